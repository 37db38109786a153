"""Input from a text file or a log: values of channels by world frame, on the same path as a device.

The text form, one entry per line or between semicolons, `#` begins a comment:

    0-23: move_forward; 24-47: look_yaw=-60, run
    48: jump

A name alone is a button pressed or an axis at its highest. Frames are world frames, the last one
included. A mistake is a ValueError that names the file, the line and what to write instead.

F pixel frames, A action channels.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine.input.events import FrameAction, InputEvent
from helios_core.actions import ActionSpec

LONGEST = 1_000_000
"""World frames that a script may cover: about 14 hours at 20 fps."""
_ENTRY = re.compile(r"(?P<first>\d+)\s*(?:-\s*(?P<last>\d+))?\s*:(?P<values>.*)", re.DOTALL)


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
    for number, line in enumerate(text.splitlines(), start=1):
        for entry in filter(None, (part.strip() for part in line.split("#")[0].split(";"))):
            try:
                actions += _entry(entry, spec)
            except ValueError as error:
                raise ValueError(f"{name}:{number}: {error}") from error
    _refuse_overlaps(actions, name)
    return actions


def _entry(entry: str, spec: ActionSpec) -> list[FrameAction]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(
            f"{entry!r}: write FRAME: or FIRST-LAST: and then channels, as in `0-23: move_forward`"
        )
    first = int(found["first"])
    last = int(found["last"] or first)
    if last < first:
        raise ValueError(f"{entry!r}: the last frame {last} comes before the first {first}")
    if last >= LONGEST:
        raise ValueError(f"{entry!r}: a script covers at most {LONGEST} frames")
    names = [part.strip() for part in found["values"].split(",") if part.strip()]
    if not names:
        raise ValueError(f"{entry!r}: no channel is named; this world has {', '.join(spec.names)}")
    return [_value(part, spec, first, last - first + 1) for part in names]


def _value(part: str, spec: ActionSpec, first: int, frames: int) -> FrameAction:
    name, equals, number = (piece.strip() for piece in part.partition("="))
    channel = spec.channels[spec.index(name)]
    try:
        value = float(number) if equals else channel.high
    except ValueError:
        raise ValueError(f"{part!r}: {number!r} is not a number") from None
    if not channel.low <= value <= channel.high:
        raise ValueError(f"{part!r}: {name} ranges from {channel.low:g} to {channel.high:g}")
    if channel.kind == "button" and value not in (0.0, 1.0):
        raise ValueError(f"{part!r}: {name} is a button, 0 or 1")
    return FrameAction(name, value, first, frames)


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
