"""From timed device events to one window of actions per chunk.

`InputMapper` is a `LatchedInput`. Presses act at once and are seen exactly once (see
engine.input.signals); mouse counts since the last latch spread evenly over the window, and a turn
faster than the channel allows goes on into the next one, up to one window's worth. Two inputs that
pull a channel the same way do not add up: the stronger one has it; opposite pulls cancel. Mouse
motion comes on top. Scripted values are addressed by world frame and pull like a device.

    mapper = InputMapper(spec, bindings, fps=20)
    mapper.feed(window.poll(now))
    actions = mapper.window(now, 4, first_frame=0).requested

F pixel frames of a window, A action channels.
"""

from collections.abc import Sequence

import numpy as np

from engine.input.bindings import Binding, Bindings, refuse_for_channel
from engine.input.events import (
    DeviceEvent,
    FocusLost,
    FrameAction,
    InputWindow,
    KeyEvent,
    MouseButton,
    MouseMotion,
    PadAxis,
    PadButton,
    PadChanged,
    Wheel,
)
from engine.input.names import MOUSE_COUNTS
from engine.input.presses import input_of
from engine.input.signals import Signals
from helios_core.actions import ActionSpec, Channel


class InputMapper:
    """Keyboard, mouse, pads and script, merged into the channels of one world."""

    def __init__(self, spec: ActionSpec, bindings: Bindings, *, fps: int) -> None:
        self.spec = spec
        self.fps = fps
        self.rebind(bindings)
        self._waiting: list[DeviceEvent] = []
        self._signals = Signals()
        self._counts = dict.fromkeys(MOUSE_COUNTS, 0.0)
        self._carry = np.zeros(spec.size)
        self._script = np.zeros((0, spec.size), np.float32)
        self._touched = False
        self._idle_frames = 0

    def rebind(self, bindings: Bindings) -> None:
        """Other bindings from the next window on."""
        for channel in self.spec.channels:
            for binding in bindings.channels.get(channel.name, ()):
                refuse_for_channel(channel, binding)
        self.bindings = bindings

    def feed(self, events: Sequence[DeviceEvent]) -> None:
        for event in events:
            if isinstance(event, FrameAction):
                self._add_script(event)
            else:
                self._waiting.append(event)

    def window(self, t_latch: float, frames: int, first_frame: int) -> InputWindow:
        """Consume what came up to the latch; later events wait for the next one."""
        self._consume(t_latch)
        tuning = self.bindings.tuning
        digital, analog = self._signals.window(frames, self.fps, tuning)
        script = self._scripted(frames, first_frame)
        requested = np.zeros((frames, self.spec.size))
        for a, channel in enumerate(self.spec.channels):
            pulls = [*self._pulls(channel, digital, analog), script[:, a]]
            held = np.max(pulls, axis=0, initial=0.0) + np.min(pulls, axis=0, initial=0.0)
            requested[:, a] = held + self._turned(a, channel, held)
        self._counts = dict.fromkeys(MOUSE_COUNTS, 0.0)
        held_inputs = self._signals.held(tuning)
        flicked = any(values.any() for values in analog.values())
        busy = self._touched or bool(held_inputs) or flicked or bool(script.any())
        self._idle_frames = 0 if busy else self._idle_frames + frames
        self._touched = False
        return InputWindow(
            requested=self.spec.clip(requested),
            pressed=self._with_channels(held_inputs),
            tapped=self._with_channels(self._signals.take_tapped()),
            idle_frames=self._idle_frames,
        )

    def forget(self, now: float) -> None:
        """Drop motion and presses that are over; what is held stays held, and a script stays."""
        self._consume(now)
        self._signals.settle()
        self._counts = dict.fromkeys(MOUSE_COUNTS, 0.0)
        self._carry[:] = 0.0
        self._touched = False
        self._idle_frames = 0

    # ---- events in

    def _consume(self, t_latch: float) -> None:
        later = [event for event in self._waiting if event.t > t_latch]
        for event in self._waiting:
            if event.t <= t_latch:
                # A resting stick jitters; what is past the dead zone shows in the values.
                self._touched = self._touched or not isinstance(event, PadAxis)
                self._take(event)
        self._waiting = later

    def _take(self, event: DeviceEvent) -> None:
        match event:
            case KeyEvent(name, down, t):
                self._signals.press(None, name, down, t)
            case MouseButton(_, down, t):
                self._signals.press(None, input_of(event), down, t)
            case PadButton(pad, _, down, t):
                self._signals.press(pad, input_of(event), down, t)
            case PadAxis(pad, axis, value, t):
                self._signals.move(pad, axis, value, t, self.bindings.tuning)
            case MouseMotion(dx, dy, _):
                self._counts["mouse.x"] += dx
                self._counts["mouse.y"] -= dy
            case Wheel(dy, t):
                for _ in range(round(abs(dy))):
                    self._signals.pulse(input_of(event), t)
            case PadChanged(pad, _, present, t):
                if present:
                    self._signals.plug(pad)
                else:
                    self._signals.unplug(pad, t)
            case FocusLost(t):
                self._signals.release_all(t)

    def _with_channels(self, inputs: frozenset[str]) -> frozenset[str]:
        """Input names, and the channels that they drive."""
        channels = {
            name
            for name, bound in self.bindings.channels.items()
            if any(binding.input in inputs for binding in bound)
        }
        return inputs | channels

    # ---- values out

    def _pulls(
        self, channel: Channel, digital: dict[str, np.ndarray], analog: dict[str, np.ndarray]
    ) -> list[np.ndarray]:
        """What every bound input asks of a channel, [F] each, in the channel's unit."""
        inverted = self.bindings.tuning.invert_look and channel.name == "look_pitch"
        pulls = []
        for binding in self.bindings.channels.get(channel.name, ()):
            name, scale = binding.input, binding.scale
            is_axis = name in analog and (channel.kind == "axis" or name not in digital)
            values = analog[name] if is_axis else digital.get(name)
            if values is not None:
                part = values * (-scale if inverted and is_axis else scale)
                pulls.append(np.where(part > 0, part * channel.high, part * -channel.low))
        return pulls

    def _turned(self, a: int, channel: Channel, held: np.ndarray) -> np.ndarray:
        """The mouse's part of a channel, [F], on top of what is held; keeps what does not fit."""
        bound = self.bindings.channels.get(channel.name, ())
        total = self._carry[a] + sum(self._displacement(b, channel) for b in bound)
        rate = total * self.fps / len(held)
        room = np.maximum(channel.high - held, 0.0), np.minimum(channel.low - held, 0.0)
        spread = np.minimum(rate, room[0]) if rate > 0 else np.maximum(rate, room[1])
        left = total - float(spread.sum()) / self.fps
        most = channel.scale * len(held) / self.fps
        self._carry[a] = float(np.clip(left, -most, most)) if abs(left) > 1e-9 else 0.0
        return spread

    def _displacement(self, binding: Binding, channel: Channel) -> float:
        """Mouse counts of one input, as the channel's unit times seconds."""
        if binding.input not in MOUSE_COUNTS:
            return 0.0
        tuning = self.bindings.tuning
        counts = self._counts[binding.input] * binding.scale
        if tuning.invert_look and binding.input == "mouse.y":
            counts = -counts
        per_count = 0.01 * channel.scale if channel.unit != "deg/s" else tuning.mouse_sensitivity
        return counts * per_count

    # ---- scripts

    def _add_script(self, event: FrameAction) -> None:
        end = event.first_frame + event.frames
        if end > len(self._script):
            longer = np.zeros((max(end, 2 * len(self._script)), self.spec.size), np.float32)
            longer[: len(self._script)] = self._script
            self._script = longer
        self._script[event.first_frame : end, self.spec.index(event.channel)] = event.value

    def _scripted(self, frames: int, first_frame: int) -> np.ndarray:
        """[F, A] of the script, 0 where it says nothing."""
        values = np.zeros((frames, self.spec.size))
        known = self._script[first_frame : first_frame + frames]
        values[: len(known)] = known
        return values
