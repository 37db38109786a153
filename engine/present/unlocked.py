"""Presenting a picture while other Python threads go on.

pygame's renderer holds the interpreter's lock while the driver presents: 2 to 7 ms where a CPU
draws, a whole refresh with vsync. The producer would stand still for as long, twenty times a
second. `ctypes` lets go of the lock, so the same SDL function is called through it, in the very
library that pygame has loaded. Where that library is not found, the locked call has to do.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import pygame

_PLACES = ("pygame*.libs/libSDL2-2*", "pygame/.dylibs/libSDL2-2*", "pygame/SDL2.dll")
"""Where the wheels for Linux, macOS and Windows keep SDL, beside the other packages."""


def unlocked_present(window_id: int) -> Callable[[], None] | None:
    """Present the renderer of a window without the interpreter's lock; None if it cannot be."""
    for library in _libraries():
        library.SDL_GetWindowFromID.restype = ctypes.c_void_p
        library.SDL_GetRenderer.restype = ctypes.c_void_p
        library.SDL_GetRenderer.argtypes = [ctypes.c_void_p]
        library.SDL_RenderPresent.restype = None
        library.SDL_RenderPresent.argtypes = [ctypes.c_void_p]
        window = library.SDL_GetWindowFromID(ctypes.c_uint32(window_id))
        renderer = library.SDL_GetRenderer(window) if window else None
        if renderer:  # another copy of SDL would know neither
            return lambda present=library.SDL_RenderPresent, r=renderer: present(r)
    return None


def _libraries() -> list[ctypes.CDLL]:
    """SDL as pygame carries it; loading it again gives the loaded one."""
    packages = Path(str(pygame.__file__)).parent.parent
    return [ctypes.CDLL(str(p)) for place in _PLACES for p in sorted(packages.glob(place))]
