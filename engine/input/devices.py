"""Keyboard, mouse and gamepads through SDL: pygame's events become the engine's own.

Gamepads come and go at any time; SDL's mapping makes their buttons and axes those of an Xbox pad,
whatever they are. `assets/controllers/mappings.txt` adds mappings of pads that SDL does not know.
Not here: what an input does (bindings) and the window's own events (engine.present.window).
"""

import os
import sys
from pathlib import Path

import pygame
from pygame._sdl2 import controller

from engine.input.events import (
    DeviceEvent,
    KeyEvent,
    MouseButton,
    MouseMotion,
    PadAxis,
    PadButton,
    PadChanged,
    Wheel,
)
from engine.input.names import MOUSE_BUTTONS, is_sign

MAPPINGS = Path(__file__).resolve().parents[2] / "assets" / "controllers" / "mappings.txt"

_SIGNS = {
    **{"-": "minus", "=": "equals", "+": "plus", ",": "comma", ".": "period", "/": "slash"},
    **{"\\": "backslash", ";": "semicolon", "'": "quote", "`": "backquote"},
    **{"[": "left bracket", "]": "right bracket"},
    **{f"[{i}]": f"keypad {i}" for i in range(10)},
}
_PLACES = {
    **dict(enumerate("abcdefghijklmnopqrstuvwxyz1234567890", start=4)),
    **{45: "minus", 46: "equals", 47: "left bracket", 48: "right bracket", 49: "backslash"},
    **{51: "semicolon", 52: "quote", 53: "backquote", 54: "comma", 55: "period", 56: "slash"},
}
"""Names of the keys of a US keyboard by their place, which SDL numbers as USB does."""
_MOUSE = dict(zip((1, 2, 3, 6, 7), MOUSE_BUTTONS, strict=True))
_BUTTONS = {
    pygame.CONTROLLER_BUTTON_A: "a",
    pygame.CONTROLLER_BUTTON_B: "b",
    pygame.CONTROLLER_BUTTON_X: "x",
    pygame.CONTROLLER_BUTTON_Y: "y",
    pygame.CONTROLLER_BUTTON_BACK: "back",
    pygame.CONTROLLER_BUTTON_START: "start",
    pygame.CONTROLLER_BUTTON_GUIDE: "guide",
    pygame.CONTROLLER_BUTTON_LEFTSHOULDER: "left_shoulder",
    pygame.CONTROLLER_BUTTON_RIGHTSHOULDER: "right_shoulder",
    pygame.CONTROLLER_BUTTON_LEFTSTICK: "left_stick",
    pygame.CONTROLLER_BUTTON_RIGHTSTICK: "right_stick",
    pygame.CONTROLLER_BUTTON_DPAD_UP: "dpad_up",
    pygame.CONTROLLER_BUTTON_DPAD_DOWN: "dpad_down",
    pygame.CONTROLLER_BUTTON_DPAD_LEFT: "dpad_left",
    pygame.CONTROLLER_BUTTON_DPAD_RIGHT: "dpad_right",
}
_AXES = {
    pygame.CONTROLLER_AXIS_LEFTX: ("left_x", 1),
    pygame.CONTROLLER_AXIS_LEFTY: ("left_y", -1),
    pygame.CONTROLLER_AXIS_RIGHTX: ("right_x", 1),
    pygame.CONTROLLER_AXIS_RIGHTY: ("right_y", -1),
    pygame.CONTROLLER_AXIS_TRIGGERLEFT: ("left_trigger", 1),
    pygame.CONTROLLER_AXIS_TRIGGERRIGHT: ("right_trigger", 1),
}
"""Name, and the sign that makes up positive."""


def key_name(key: int, place: int) -> str:
    """The engine's name of a key, from pygame's key code and scan code."""
    name = pygame.key.name(key) or (chr(key).lower() if 0x7F < key <= sys.maxunicode else "")
    if len(name) > 1 or is_sign(name):
        return _SIGNS.get(name) or name.lower()
    return _PLACES.get(place, "")


class Devices:
    """Turns pygame events into device events and keeps gamepads open."""

    def __init__(self) -> None:
        _add_mappings()
        controller.init()
        self._pads: dict[int, controller.Controller] = {}
        self.mouse_plays = False
        """Whether buttons and the wheel belong to the world; else to the screens."""
        self.mouse_look = False
        """Whether motion does, which wants the pointer."""

    @property
    def pads(self) -> dict[int, str]:
        """Names of the gamepads that are plugged in."""
        return {number: str(pad.name) for number, pad in self._pads.items()}

    def translate(self, event: pygame.event.Event, now: float) -> list[DeviceEvent]:
        """The device events that a pygame event means; none for the window's own."""
        kind = event.type
        if kind in (pygame.KEYDOWN, pygame.KEYUP):
            return [KeyEvent(key_name(event.key, event.scancode), kind == pygame.KEYDOWN, now)]
        if kind == pygame.MOUSEMOTION and self.mouse_look:
            return [MouseMotion(event.rel[0], event.rel[1], now)]
        if self.mouse_plays or kind == pygame.MOUSEBUTTONUP:
            return self.mouse_press(event, now) or self._pad_event(event, now)
        return self._pad_event(event, now)

    def mouse_press(self, event: pygame.event.Event, now: float) -> list[DeviceEvent]:
        """A button or the wheel, whoever the mouse belongs to."""
        if event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
            name = _MOUSE.get(event.button)
            down = event.type == pygame.MOUSEBUTTONDOWN
            return [MouseButton(name, down, now)] if name else []
        return [Wheel(event.y, now)] if event.type == pygame.MOUSEWHEEL and event.y else []

    def read_axes(self, now: float) -> list[DeviceEvent]:
        """Where every stick is: after the window got the focus back."""
        return [
            _axis(number, axis, pad.get_axis(axis), now)
            for number, pad in self._pads.items()
            if pad.attached()
            for axis in _AXES
        ]

    def close(self) -> None:
        for pad in self._pads.values():
            pad.quit()
        self._pads.clear()
        controller.quit()

    def _pad_event(self, event: pygame.event.Event, now: float) -> list[DeviceEvent]:
        kind = event.type
        if kind == pygame.CONTROLLERDEVICEADDED:
            return self._plug(event.device_index, now)
        if kind == pygame.CONTROLLERDEVICEREMOVED:
            return self._unplug(event.instance_id, now)
        if kind == pygame.CONTROLLERAXISMOTION and event.axis in _AXES:
            return [_axis(event.instance_id, event.axis, event.value, now)]
        if kind in (pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERBUTTONUP):
            down = kind == pygame.CONTROLLERBUTTONDOWN
            name = _BUTTONS.get(event.button)
            return [PadButton(event.instance_id, name, down, now)] if name else []
        return []

    def _plug(self, index: int, now: float) -> list[DeviceEvent]:
        try:
            pad = controller.Controller(index)
            number = pad.as_joystick().get_instance_id()
        except pygame.error:
            return []  # it is gone again; the event had waited in the queue
        if number in self._pads:
            return []
        self._pads[number] = pad
        return [PadChanged(number, str(pad.name), True, now)]

    def _unplug(self, number: int, now: float) -> list[DeviceEvent]:
        pad = self._pads.pop(number, None)
        return [PadChanged(number, str(pad.name), False, now)] if pad else []


def _axis(pad: int, axis: int, value: float, now: float) -> PadAxis:
    """SDL's 16-bit position as -1..1."""
    name, sign = _AXES[axis]
    return PadAxis(pad, name, sign * max(-1.0, value / 32767), now)


def _add_mappings() -> None:
    """Hand the project's own mappings to SDL, which reads them from the environment."""
    if MAPPINGS.exists() and "SDL_GAMECONTROLLERCONFIG" not in os.environ:
        lines = MAPPINGS.read_text(encoding="utf-8").splitlines()
        own = [line for line in lines if line and not line.startswith("#")]
        if own:
            os.environ["SDL_GAMECONTROLLERCONFIG"] = "\n".join(own)
