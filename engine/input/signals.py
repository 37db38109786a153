"""The state of every key, button and stick, and its values over one window of frames.

What is held at the latch holds for the whole window; a press that is already over becomes a pulse
of its own length, at least one frame; a key let go and pressed again shows a gap of one frame. So
every press is seen exactly once. Not here: which channel an input drives (engine.input.mapper).

F pixel frames of a window.
"""

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from engine.input.bindings import Tuning
from engine.input.names import PAD_TRIGGERS

PENDING = 64
"""Changes of one key that may wait for room; a faster hammering loses its oldest pulses."""

TRIGGER_REST = 0.1
"""A worn trigger that nobody touches may rest as far out as this, of 1."""


@dataclass
class Key:
    """A two-state input: what its last window ended with, and the changes since."""

    shown: bool = False
    down: bool = False
    changes: deque[tuple[bool, float]] = field(default_factory=deque)
    """(state, time), alternating; the first differs from `shown`."""

    def set(self, down: bool, t: float) -> bool:
        """Note a change; a repeat of the same state is none. True for a press."""
        if down == self.down:
            return False
        self.down = down
        if len(self.changes) >= PENDING:
            self.changes.popleft()
            self.changes.popleft()
        self.changes.append((down, t))
        return down

    def window(self, frames: int, fps: int) -> np.ndarray:
        """0/1 values [F]; consumes the changes that find room, the others wait."""
        values = np.full(frames, float(self.shown))
        start = 0
        while self.changes and start < frames:
            self.shown, since = self.changes.popleft()
            values[start:] = self.shown
            if self.changes:
                lasted = self.changes[0][1] - since if self.shown else 0.0
                start += max(1, round(lasted * fps))
        return values


@dataclass
class Stick:
    """One axis of one pad: where it is, and the furthest it was since the last latch."""

    value: float = 0.0
    peak: float = 0.0
    resting: bool = True
    """It asked for nothing at the last latch; else what is past its peak is a letting go."""

    def set(self, value: float) -> None:
        self.value = value
        if abs(value) > abs(self.peak):
            self.peak = value


class Signals:
    """All devices: the keyboard and mouse buttons as pad `None`, gamepads by their number."""

    def __init__(self) -> None:
        self._keys: dict[tuple[Hashable, str], Key] = {}
        self._sticks: dict[tuple[int, str], Stick] = {}
        self._gone: set[int] = set()
        self._tapped: set[str] = set()

    def press(self, pad: int | None, name: str, down: bool, t: float) -> None:
        if self._keys.setdefault((pad, name), Key()).set(down, t):
            self._tapped.add(name)

    def pulse(self, name: str, t: float) -> None:
        """A press and release at once, such as a notch of the wheel."""
        self.press(None, name, True, t)
        self.press(None, name, False, t)

    def move(self, pad: int, axis: str, value: float, t: float, tuning: Tuning) -> None:
        """A stick or a trigger; a trigger is a button too, down beyond its threshold."""
        value = min(1.0, max(-1.0, value))
        self._sticks.setdefault((pad, f"pad.{axis}"), Stick()).set(value)
        if axis in PAD_TRIGGERS:
            self.press(pad, f"pad.{axis}", value > tuning.trigger_threshold, t)

    def release_all(self, t: float) -> None:
        for stick in self._sticks.values():
            stick.value = 0.0
        for key in self._keys.values():
            key.set(False, t)

    def settle(self) -> None:
        """Forget what came and went; what is down or pushed stays so, and is no new press."""
        for key in self._keys.values():
            key.changes.clear()
            key.shown = key.down
        for stick in self._sticks.values():
            stick.peak = stick.value
        self._tapped = set()

    def unplug(self, pad: int, t: float) -> None:
        """A pad lets go of what it held; it is forgotten once its last presses were seen."""
        for (owner, _), stick in self._sticks.items():
            if owner == pad:
                stick.value = 0.0
        for (owner, _), key in self._keys.items():
            if owner == pad:
                key.set(False, t)
        self._gone.add(pad)

    def plug(self, pad: int) -> None:
        self._gone.discard(pad)

    def held(self, tuning: Tuning) -> frozenset[str]:
        """Names of the inputs that are down or out of their dead zone."""
        names = {name for (_, name), key in self._keys.items() if key.down}
        for pad in {pad for pad, _ in self._sticks}:
            axes = {n: s.value for (p, n), s in self._sticks.items() if p == pad}
            names |= {name for name, value in respond(axes, tuning).items() if value}
        return frozenset(names)

    def take_tapped(self) -> frozenset[str]:
        tapped, self._tapped = frozenset(self._tapped), set()
        return tapped

    def window(
        self, frames: int, fps: int, tuning: Tuning
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Digital (0..1) and analog (-1..1) values [F] by input name, devices merged."""
        digital: dict[str, np.ndarray] = {}
        for (_, name), key in self._keys.items():
            values = key.window(frames, fps)
            digital[name] = np.maximum(digital.get(name, 0.0), values)
        analog: dict[str, np.ndarray] = {}
        for pad in sorted({pad for pad, _ in self._sticks}):
            for name, values in self._stick_window(pad, frames, tuning).items():
                other = analog.get(name, np.zeros(frames))
                analog[name] = np.where(np.abs(values) > np.abs(other), values, other)
        self._drop_gone()
        return digital, analog

    def _stick_window(self, pad: int, frames: int, tuning: Tuning) -> dict[str, np.ndarray]:
        """A flick that was over before the latch shows its furthest point for one frame."""
        mine = {name: stick for (owner, name), stick in self._sticks.items() if owner == pad}
        now = respond({name: stick.value for name, stick in mine.items()}, tuning)
        furthest = respond({name: stick.peak for name, stick in mine.items()}, tuning)
        values = {}
        for name, stick in mine.items():
            values[name] = np.full(frames, now[name])
            if now[name] == 0.0 and stick.resting:
                values[name][0] = furthest[name]
            stick.peak, stick.resting = stick.value, now[name] == 0.0
        return values

    def _drop_gone(self) -> None:
        busy = {pad for (pad, _), key in self._keys.items() if key.changes}
        for pad in self._gone - busy:
            self._keys = {k: v for k, v in self._keys.items() if k[0] != pad}
            self._sticks = {k: v for k, v in self._sticks.items() if k[0] != pad}
            self._gone = self._gone - {pad}


def respond(axes: dict[str, float], tuning: Tuning) -> dict[str, float]:
    """Raw positions to responses: a round dead zone and a curve per stick, triggers straight from
    their rest."""
    answer = dict(axes)
    for name in PAD_TRIGGERS:
        if f"pad.{name}" in axes:
            beyond = (axes[f"pad.{name}"] - TRIGGER_REST) / (1.0 - TRIGGER_REST)
            answer[f"pad.{name}"] = max(0.0, beyond)
    for side in ("left", "right"):
        x, y = f"pad.{side}_x", f"pad.{side}_y"
        radius = math.hypot(axes.get(x, 0.0), axes.get(y, 0.0))
        beyond = min(1.0, max(0.0, (radius - tuning.dead_zone) / (1.0 - tuning.dead_zone)))
        for name in (x, y):
            if name in axes:
                answer[name] = axes[name] / radius * beyond**tuning.curve if beyond else 0.0
    return answer
