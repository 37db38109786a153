"""A gamepad that SDL believes in: no hardware, no /dev/uinput.

The SDL that pygame carries is loaded a second time, which gives the same one, and asked for a
virtual joystick of the game controller kind.
"""

import ctypes
from pathlib import Path

import pygame
import pytest

A, B, BACK, START, SHOULDER, DPAD_UP, DPAD_DOWN, DPAD_RIGHT = 0, 1, 4, 6, 9, 11, 12, 14
LEFT_X, LEFT_Y, RIGHT_X, TRIGGER = 0, 1, 2, 4


def load_sdl() -> ctypes.CDLL:
    """pygame's own SDL; skips the test where the package carries none."""
    found = sorted(Path(str(pygame.__file__)).parent.parent.glob("pygame*.libs/libSDL2-2*"))
    if not found:
        pytest.skip("this pygame carries no SDL library to make a virtual joystick with")
    library = ctypes.CDLL(str(found[0]))
    library.SDL_JoystickFromInstanceID.restype = ctypes.c_void_p
    return library


class VirtualPad:
    """A gamepad that SDL believes in; no hardware and no /dev/uinput."""

    def __init__(self, sdl: ctypes.CDLL) -> None:
        self._sdl = sdl
        self.index = sdl.SDL_JoystickAttachVirtual(1, 6, 15, 1)
        assert self.index >= 0, "SDL has no virtual joystick"

    def open(self, number: int) -> "VirtualPad":
        """Find it once the game has opened it under a number."""
        self._pad = ctypes.c_void_p(self._sdl.SDL_JoystickFromInstanceID(number))
        return self

    def axis(self, axis: int, value: int) -> None:
        self._sdl.SDL_JoystickSetVirtualAxis(self._pad, axis, ctypes.c_int16(value))

    def button(self, button: int, down: bool) -> None:
        self._sdl.SDL_JoystickSetVirtualButton(self._pad, button, ctypes.c_uint8(down))

    def unplug(self) -> None:
        self._sdl.SDL_JoystickDetachVirtual(self.index)
