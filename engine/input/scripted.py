"""Input from a text file or a log: values of channels by world frame, on the same path as a device.

The text form, in the grammar of engine.timed_text:

    0-23: move_forward; 24-47: look_yaw=-60, run
    48: jump

A name alone is a button pressed or an axis at its highest. Frames are world frames, the last one
included. A mistake is a ValueError that names the file, the line and what to write instead.

F pixel frames, A action channels.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine import timed_text
from engine.input.events import FrameAction, InputEvent
from engine.timed_text import Part
from helios_core.actions import ActionSpec

LONGEST = 1_000_000
"""World frames that a script may cover: about 14 hours at 20 fps."""


class ScriptedInput:
    """An `InputSource` that says all it knows at the first poll; the mapper keeps it by frame."""

    def __init__(self, actions: list[FrameAction]) -> None:
        self.actions = tuple(actions)
        self._said = False

    @staticmethod
    def read(path: Path | str, spec: ActionSpec) -> "ScriptedInput":
        """A script file."""
        text = Path(path).read_text(encoding="utf-8")
        return ScriptedInput(parse_script(text, spec, name=str(path)))

    @staticmethod
    def replay(spec: ActionSpec, values: np.ndarray, *, first_frame: int = 0) -> "ScriptedInput":
        """A recorded track [F, A], each run of equal values as one entry."""
        track = spec.validate(values)
        actions = [
            FrameAction(channel.name, float(track[start, a]), first_frame + start, end - start)
            for a, channel in enumerate(spec.channels)
            for start, end in _runs(track[:, a])
        ]
        return ScriptedInput(actions)

    @property
    def frames(self) -> int:
        """World frame after the last one that the script speaks of."""
        return max((a.first_frame + a.frames for a in self.actions), default=0)

    def poll(self, now: float) -> list[InputEvent]:
        if self._said:
            return []
        self._said = True
        return list(self.actions)


def parse_script(text: str, spec: ActionSpec, *, name: str = "actions") -> list[FrameAction]:
    """The entries of a script; see the module's docstring."""
    actions: list[FrameAction] = []
    for part in timed_text.parts(text):
        try:
            actions += _entry(part, spec)
        except ValueError as error:
            raise ValueError(f"{name}:{part.line}: {error}") from error
    _refuse_overlaps(actions, name)
    return actions


def _entry(part: Part, spec: ActionSpec) -> list[FrameAction]:
    first, last = _frames(part)
    if last < first:
        raise ValueError(f"{part.text!r}: the last frame {last} comes before the first {first}")
    if last >= LONGEST:
        raise ValueError(f"{part.text!r}: a script covers at most {LONGEST} frames")
    if not part.held:
        known = ", ".join(spec.names)
        raise ValueError(f"{part.text!r}: no channel is named; this world has {known}")
    return [
        FrameAction(name, _value(name, text, spec), first, last - first + 1)
        for name, text in part.held
    ]


def _frames(part: Part) -> tuple[int, int]:
    """The first and the last frame of a stretch."""
    bounds = part.bounds
    numbers = bounds and [bounds.start, bounds.stop or bounds.start]
    if not part.colon or not numbers or not all(n.isdecimal() for n in numbers):
        raise ValueError(
            f"{part.text!r}: write FRAME: or FIRST-LAST: and then channels, "
            "as in `0-23: move_forward`"
        )
    first, last = (int(number[:12]) for number in numbers)
    return first, last


def _value(name: str, text: str | None, spec: ActionSpec) -> float:
    channel = spec.channels[spec.index(name)]
    if text is None:
        return channel.high
    value, said = timed_text.number(text), f"{name}={text}"
    if value is None:
        raise ValueError(f"{said!r}: {text!r} is not a number")
    if not channel.low <= value <= channel.high:
        raise ValueError(f"{said!r}: {name} ranges from {channel.low:g} to {channel.high:g}")
    if channel.kind == "button" and value not in (0.0, 1.0):
        raise ValueError(f"{said!r}: {name} is a button, 0 or 1")
    return value


def _refuse_overlaps(actions: list[FrameAction], name: str) -> None:
    last_end: dict[str, int] = {}
    for action in sorted(actions, key=lambda a: a.first_frame):
        if action.first_frame < last_end.get(action.channel, 0):
            raise ValueError(f"{name}: frame {action.first_frame} sets {action.channel} twice")
        last_end[action.channel] = action.first_frame + action.frames


def _runs(column: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of one non-zero value."""
    edges = np.flatnonzero(np.diff(column)) + 1
    bounds = [0, *edges.tolist(), len(column)] if len(column) else []
    for start, end in pairwise(bounds):
        if column[start] != 0:
            yield start, end
