"""Action tracks as text: what the player's channels do over a stretch of world time.

    0-23: move_forward; 24-47: look_yaw=-60, run; 48: jump
    +2s: move_forward; +0.5s: look_yaw=90; +1s:

The grammar is that of engine.timed_text. A part is a stretch and the channels that it holds. A
stretch is frames `0-23` (both included), times `1s-2.5s` (the end excluded), or `+2s`: so long,
after the part before. A channel without a value is at its highest.
Channels that no part names are left to the player. Not here: files and devices (engine.input).

F pixel frames, A channels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from engine import timed_text
from engine.scenes.problems import nearest, quoted
from engine.scenes.values import Span
from helios_core.actions import WALK_SPEC, ActionSpec, Channel

LONGEST = 4000
"""Signs of a track's text."""
LONGEST_SECONDS = 600
"""World time that a track lasts at most; bounds the memory that it takes. `times` repeats it."""
SHARED_SPEC = ActionSpec(
    channels=(
        *WALK_SPEC.channels,
        Channel(name="use", kind="button"),
        Channel(name="attack", kind="button"),
    )
)
"""Channels that worlds share by name; a scene may name no others unless its pack has them."""

NOMINAL_FPS = 20
"""For comparing times that are given in frames with times in seconds before a world is known."""


class TrackError(ValueError):
    """A mistake at an offset into the text of a track."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch and the channels that it holds."""

    start: Span | None
    """Where it begins; None right after the part before."""
    stop: Span
    """Where it ends, excluded; without a start, how long it is."""
    values: tuple[tuple[str, float | None], ...]
    """Channels with their values; None for the highest."""
    offset: int
    """Where it stands in the text."""

    def frames(self, fps: int, after: int) -> range:
        """The frames that it covers, when the part before ends at `after`."""
        if self.start is None:
            return range(after, after + self.stop.frames_at(fps))
        return range(self.start.frames_at(fps), self.stop.frames_at(fps))


@dataclass(frozen=True, kw_only=True)
class Track:
    """The parts of a text, in its order; later ones override earlier ones."""

    text: str
    parts: tuple[Part, ...]

    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "string",
        "maxLength": LONGEST,
        "examples": ["+2s: move_forward; +0.5s: look_yaw=90", "0-23: move_forward, run"],
    }
    MEANS: ClassVar[str] = "track"

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value)
        if len(text) > LONGEST:
            raise TrackError(f"a track has at most {LONGEST} signs", 0)
        parts = [_part(written) for written in timed_text.parts(text)]
        if not parts:
            raise TrackError("an empty track; write for example +2s: move_forward", 0)
        track = cls(text=text, parts=tuple(parts))
        if track.stretches(NOMINAL_FPS)[1] > LONGEST_SECONDS * NOMINAL_FPS:
            raise TrackError(f"a track lasts at most {LONGEST_SECONDS} s; `times` repeats it", 0)
        return track

    @property
    def channels(self) -> frozenset[str]:
        return frozenset(name for part in self.parts for name, _ in part.values)

    def stretches(self, fps: int) -> tuple[list[range], int]:
        """The frames of each part, and of the whole track (at least one)."""
        stretches, after = [], 0
        for part in self.parts:
            stretches.append(part.frames(fps, after))
            after = stretches[-1].stop
        return stretches, max(1, *(stretch.stop for stretch in stretches))

    def values(self, spec: ActionSpec, fps: int) -> np.ndarray:
        """float32 [F, A], NaN where the track says nothing; a missing channel is a ValueError."""
        stretches, frames = self.stretches(fps)
        values = np.full((frames, spec.size), np.nan, np.float32)
        for part, stretch in zip(self.parts, stretches, strict=True):
            for name, value in part.values:
                index = spec.index(name)
                top = spec.channels[index].high
                values[stretch.start : stretch.stop, index] = top if value is None else value
        return values

    def check(self, spec: ActionSpec) -> None:
        """A TrackError for the first channel that is unknown or out of its range."""
        for part in self.parts:
            for name, value in part.values:
                if name not in spec.names:
                    message = f"no channel {quoted(name)}{nearest(name, spec.names)}"
                    raise TrackError(message, part.offset)
                _check_value(spec.channels[spec.index(name)], value, part.offset)


def _check_value(channel: Channel, value: float | None, offset: int) -> None:
    if value is not None and not channel.low <= value <= channel.high:
        raise TrackError(
            f"{channel.name}={value:g} is outside {channel.low:g} to {channel.high:g}"
            + (f" {channel.unit}" if channel.unit else ""),
            offset,
        )


def _part(written: timed_text.Part) -> Part:
    at, bounds = written.offset, written.bounds
    if not written.colon:
        message = f"{quoted(written.text)} has no ':' between its stretch and its channels"
        raise TrackError(message, at)
    if bounds is None:
        message = f"{quoted(written.stretch)} is not a stretch; write 0-23, 1s-2s or +2s"
        raise TrackError(message, at)
    start = _bound(bounds.start, at, last=False) if bounds.start else None
    stop = _bound(bounds.length or bounds.stop or bounds.start, at, last=start is not None)
    if start is not None and stop.seconds_at(NOMINAL_FPS) <= start.seconds_at(NOMINAL_FPS):
        raise TrackError(f"{quoted(written.stretch)} ends before it begins", at)
    values = tuple((name, _value(name, text, at)) for name, text in written.held)
    return Part(start=start, stop=stop, values=values, offset=at)


def _bound(text: str, at: int, *, last: bool) -> Span:
    """A frame number or a time; as the last frame of a stretch, a number is included."""
    try:
        if text.isdecimal():
            return Span.parse(f"{int(text[:12]) + last}f")
        return Span.parse(text)
    except ValueError as error:
        raise TrackError(str(error), at) from error


def _value(name: str, text: str | None, at: int) -> float | None:
    """The value of a channel; None for its highest."""
    if text is None:
        return None
    value = timed_text.number(text)
    if value is None:
        raise TrackError(f"{name}={text}: {quoted(text)} is not a number", at)
    if not np.isfinite(value):
        raise TrackError(f"{name}={text}: not a finite number", at)
    return value
