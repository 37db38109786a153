"""Input events, whatever made them, and the two faces that the loop knows of input.

An `InputSource` (window, gamepads, script, replay) gives events; a `LatchedInput` (the mapper)
takes them and answers, once per chunk, with the actions they ask for. Times are those of the
engine's clock, in seconds. No pygame here.

F pixel frames, A action channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key by its name, such as `w`, `left shift`, `up`."""

    name: str
    down: bool
    t: float


@dataclass(frozen=True, slots=True)
class MouseMotion:
    """Relative counts; right and down are positive."""

    dx: float
    dy: float
    t: float


@dataclass(frozen=True, slots=True)
class MouseButton:
    """`left`, `middle`, `right`, `x1`, `x2`."""

    name: str
    down: bool
    t: float


@dataclass(frozen=True, slots=True)
class Wheel:
    """Notches; away from the player is positive."""

    dy: float
    t: float


@dataclass(frozen=True, slots=True)
class PadAxis:
    """Xbox-style axis name (`left_x`, `right_trigger`), value -1..1 (triggers 0..1)."""

    pad: int
    axis: str
    value: float
    t: float


@dataclass(frozen=True, slots=True)
class PadButton:
    """Xbox-style button name (`a`, `left_shoulder`, `dpad_up`)."""

    pad: int
    name: str
    down: bool
    t: float


@dataclass(frozen=True, slots=True)
class PadChanged:
    """A gamepad came or went; one that went releases all it held."""

    pad: int
    name: str
    present: bool
    t: float


@dataclass(frozen=True, slots=True)
class FocusLost:
    """Everything held is released."""

    t: float


@dataclass(frozen=True, slots=True)
class FrameAction:
    """A scripted or replayed value of one channel, addressed by world frame instead of time."""

    channel: str
    value: float
    first_frame: int
    frames: int
    t: float = 0.0


@dataclass(frozen=True, slots=True)
class PromptEntered:
    """The player finished a line in the prompt box, or picked a preset; latched once."""

    text: str
    t: float


CommandName = Literal[
    "quit",
    "pause",  # toggles
    "reset",
    "save",
    "load",
    "rewind_start",
    "rewind_stop",
    "screenshot",
    "video",  # toggles the mp4
    "record",  # toggles the rollout recording
]


@dataclass(frozen=True, slots=True)
class Command:
    """What the window asks of the session; keys that only change the window never come here."""

    name: CommandName
    t: float
    argument: str = ""
    """A file for `load`; empty for the last save."""


DeviceEvent = (
    KeyEvent
    | MouseMotion
    | MouseButton
    | Wheel
    | PadAxis
    | PadButton
    | PadChanged
    | FocusLost
    | FrameAction
)
InputEvent = DeviceEvent | PromptEntered | Command


class InputSource(Protocol):
    """A device, a script or a log."""

    def poll(self, now: float) -> list[InputEvent]:
        """Events since the last poll, in order; each exactly once."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class InputWindow:
    """What the devices ask for over one chunk."""

    requested: np.ndarray
    """float32 [F, A] in the spec's units, within range."""
    pressed: frozenset[str] = frozenset()
    """Channels and scene keys held at the latch."""
    tapped: frozenset[str] = frozenset()
    """Those pressed since the last latch, however short."""
    idle_frames: int = 0
    """Frames since the last touch of any device."""


class LatchedInput(Protocol):
    """Events in, one window of actions per chunk out. The loop serialises the calls."""

    def feed(self, events: Sequence[DeviceEvent]) -> None: ...

    def window(self, t_latch: float, frames: int, first_frame: int) -> InputWindow:
        """Consume what came since the last latch. `first_frame` addresses scripted values."""
        ...

    def forget(self, now: float) -> None:
        """Drop what is over (motion, taps), keep what is held: after a pause or a jump."""
        ...
