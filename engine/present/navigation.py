"""Moving about in menus, with the keyboard or any gamepad: device events become steps."""

from typing import Literal

from engine.input.events import DeviceEvent, KeyEvent, PadAxis, PadButton

Step = Literal["up", "down", "left", "right", "accept", "back", "clear", "home", "end"]

_KEYS: dict[str, Step] = {
    **{"up": "up", "down": "down", "left": "left", "right": "right", "tab": "down"},
    **{"w": "up", "s": "down", "a": "left", "d": "right"},
    **{"return": "accept", "enter": "accept", "space": "accept", "escape": "back"},
    **{"delete": "clear", "backspace": "clear", "home": "home", "end": "end"},
}
_BUTTONS: dict[str, Step] = {
    **{"dpad_up": "up", "dpad_down": "down", "dpad_left": "left", "dpad_right": "right"},
    **{"a": "accept", "start": "accept", "b": "back", "back": "back", "y": "clear"},
}
PUSHED, CENTRED = 0.6, 0.35
"""A stick steps once beyond the first and again only after coming back within the second."""


class Navigator:
    """Remembers which sticks are pushed, so that each push is one step."""

    def __init__(self) -> None:
        self._pushed: set[tuple[int, str]] = set()

    def step(self, event: DeviceEvent) -> Step | None:
        match event:
            case KeyEvent(name, True, _):
                return _KEYS.get(name)
            case PadButton(_, name, True, _):
                return _BUTTONS.get(name)
            case PadAxis(pad, axis, value, _):
                return self._stick(pad, axis, value)
        return None

    def _stick(self, pad: int, axis: str, value: float) -> Step | None:
        if axis not in ("left_x", "left_y"):
            return None
        if abs(value) < CENTRED:
            self._pushed.discard((pad, axis))
        elif abs(value) > PUSHED and (pad, axis) not in self._pushed:
            self._pushed.add((pad, axis))
            if axis == "left_x":
                return "right" if value > 0 else "left"
            return "up" if value > 0 else "down"
        return None
