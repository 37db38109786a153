"""Device events as presses of a named input: what may give a command.

A key, a button, a notch of the wheel, a trigger beyond its threshold. Motion and sticks press
nothing. Not here: which command an input gives (engine.input.bindings).

    presses = Presses()
    for down in presses.states(event, threshold=0.3): ...
"""

from engine.input.events import DeviceEvent, KeyEvent, MouseButton, PadAxis, PadButton, Wheel
from engine.input.names import PAD_TRIGGERS


def input_of(event: DeviceEvent) -> str:
    """The name of what is pressed or let go; empty for anything else."""
    match event:
        case KeyEvent(name, _, _):
            return name
        case MouseButton(name, _, _):
            return f"mouse.{name}"
        case Wheel(dy, _):
            return "mouse.wheel_up" if dy > 0 else "mouse.wheel_down"
        case PadButton(_, name, _, _):
            return f"pad.{name}"
        case PadAxis(_, axis, _, _) if axis in PAD_TRIGGERS:
            return f"pad.{axis}"
    return ""


class Presses:
    """Remembers which triggers are pulled, so that each pull is one press."""

    def __init__(self) -> None:
        self._pulled: set[tuple[int, str]] = set()

    def states(self, event: DeviceEvent, *, threshold: float) -> tuple[bool, ...]:
        """Down or up, as the event changes it; a notch of the wheel is both at once."""
        match event:
            case KeyEvent(_, down, _) | MouseButton(_, down, _) | PadButton(_, _, down, _):
                return (down,)
            case Wheel():
                return True, False
            case PadAxis(pad, axis, value, _) if axis in PAD_TRIGGERS:
                return self._pull((pad, axis), value > threshold)
        return ()

    def forget(self) -> None:
        """Nobody looked for a while: every trigger counts as let go."""
        self._pulled.clear()

    def _pull(self, trigger: tuple[int, str], down: bool) -> tuple[bool, ...]:
        if down == (trigger in self._pulled):
            return ()
        (self._pulled.add if down else self._pulled.discard)(trigger)
        return (down,)
