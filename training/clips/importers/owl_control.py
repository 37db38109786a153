"""Recordings of OWL Control: a video beside `inputs.csv` of timed events.

The table has the columns `timestamp` (seconds), `event_type` and `event_args` (a list). The video
runs from START to END; KEYBOARD ([key code, pressed]) and MOUSE_MOVE ([dx, dy]) become channels;
other events have no channel here. Keys are Windows virtual key codes. What is pressed between two
frames is the action of the second: a frame is the picture after its action.

F frames.
"""

import ast
import csv
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from helios_core.actions import WALK_SPEC
from training.clips.importers.source import SourceClip, exact_rate

KEYS = {
    0x57: ("move_forward", 1.0),
    0x53: ("move_forward", -1.0),
    0x44: ("strafe", 1.0),
    0x41: ("strafe", -1.0),
    0x20: ("jump", 1.0),
    0x10: ("run", 1.0),
    0xA0: ("run", 1.0),
}
"""Virtual key code to channel and value: W S D A, space, shift."""
DEGREES = 0.1
"""Degrees that one mouse count turns by; games differ, the file does not say."""
Event = tuple[float, str, list]


def find(folder: Path) -> list[SourceClip]:
    """Every folder that holds a video and its inputs."""
    tables = sorted(folder.rglob("inputs.csv"))
    if not tables:
        raise ValueError(f"{folder} holds no inputs.csv")
    return [_clip(table) for table in tables]


def _clip(table: Path) -> SourceClip:
    videos = sorted(table.parent.glob("*.mp4"))
    if not videos:
        raise ValueError(f"{table.parent} has inputs.csv and no .mp4 video beside it")
    rate = exact_rate(videos[0])
    events = list(_events(table))
    if not events:
        raise ValueError(f"{table} holds no events")
    start = next((t for t, kind, _ in events if kind == "START"), events[0][0])
    end = next((t for t, kind, _ in events if kind == "END"), events[-1][0])
    frames = max(1, int((end - start) * rate) + 1)
    actions = _track(events, start, frames, rate)
    return SourceClip(video=videos[0], spec=WALK_SPEC, actions=actions, fps=round(rate))


def _events(table: Path) -> Iterator[Event]:
    with table.open(newline="") as stream:
        reader = csv.DictReader(stream)
        missing = {"timestamp", "event_type", "event_args"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{table} lacks the column {sorted(missing)[0]!r}")
        for number, row in enumerate(reader, start=2):
            try:
                arguments = _list(row["event_args"] or "[]")
                yield float(row["timestamp"]), row["event_type"], arguments
            except (ValueError, TypeError, SyntaxError) as error:
                raise ValueError(f"{table}:{number}: {error}") from error


def _list(text: str) -> list:
    """A list as Python or JSON writes it; literals only."""
    value = ast.literal_eval(text.replace("true", "True").replace("false", "False"))
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _track(events: list[Event], start: float, frames: int, rate: Fraction) -> np.ndarray:
    """Channel values [F, A]: keys while they are held, mouse counts of each frame as degrees/s."""
    values = WALK_SPEC.zeros(frames)
    yaw, pitch = WALK_SPEC.index("look_yaw"), WALK_SPEC.index("look_pitch")
    timed = [((time - start) * float(rate), kind, args) for time, kind, args in events]
    for at, kind, arguments in timed:
        frame = math.floor(at) + 1
        if kind == "MOUSE_MOVE" and len(arguments) == 2 and 0 < frame < frames:
            values[frame, yaw] += float(arguments[0]) * DEGREES * rate
            values[frame, pitch] -= float(arguments[1]) * DEGREES * rate
    for key, began, ended in _held(timed):
        if ended <= -1 or began >= frames:
            continue
        channel, value = KEYS[key]
        first = math.floor(max(began, -1.0)) + 1
        last = max(first, math.ceil(min(ended, frames)))  # a tap between frames is one frame long
        values[first : last + 1, WALK_SPEC.index(channel)] += value
    return WALK_SPEC.clip(values)


def _held(timed: list[Event]) -> Iterator[tuple[int, float, float]]:
    """(key, from, to) in frames after the start; a key whose release alone is told was held
    before."""
    down: dict[int, float] = {}
    seen: set[int] = set()
    for at, kind, arguments in timed:
        if kind != "KEYBOARD" or len(arguments) != 2 or int(arguments[0]) not in KEYS:
            continue
        key = int(arguments[0])
        if arguments[1]:
            down.setdefault(key, at)  # a held key repeats
        elif key in down or key not in seen:
            yield key, down.pop(key, -math.inf), at
        seen.add(key)
    yield from ((key, at, math.inf) for key, at in down.items())
