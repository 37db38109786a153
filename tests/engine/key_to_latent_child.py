"""A play of a random Helios that writes down what its transformer was given, chunk by chunk.

Run by test_key_to_latent on a real X server: keys come from outside, a virtual gamepad from SDL.
The phases: nothing, a held key, the key and a stick, a tap. `python -m ... OUT.npz`.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np
import pygame
import torch

from engine.clock import RealClock
from engine.director import PassThrough
from engine.input.bindings import bindings_from
from engine.input.mapper import InputMapper
from engine.loop import Loop, LoopConfig
from engine.maker import Place
from engine.present.screen import ScreenConfig
from engine.present.window import Window, WindowConfig
from engine.session import Session
from helios_core.packs.build import assemble
from helios_core.packs.builtin import random_manifest, random_modules

STICK = 20_000
"""Of 32767, to the right."""
LATENTS = 3


class VirtualPad:
    """A gamepad that exists in SDL only."""

    def __init__(self) -> None:
        folder = Path(pygame.__file__).parent.parent
        library = next(folder.glob("pygame*.libs/libSDL2-*"))
        self._sdl = ctypes.CDLL(str(library))
        index = self._sdl.SDL_JoystickAttachVirtual(1, 6, 15, 1)
        assert index >= 0, "SDL has no virtual joystick here"
        self._sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
        self._pad = ctypes.c_void_p(self._sdl.SDL_JoystickOpen(index))

    def push(self, axis: int, value: int) -> None:
        self._sdl.SDL_JoystickSetVirtualAxis(self._pad, axis, ctypes.c_int16(value))


class Notes:
    """A sink that keeps every presented chunk, and what the transformer took for it."""

    def __init__(self, model: torch.nn.Module, pad: VirtualPad, window: Window) -> None:
        self.chunks, self.pushed = [], False
        self._pad, self._window = pad, window
        self.received: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []
        self.quiet = False
        inner = model.action_cache

        def action_cache(actions, *args, **kwargs):
            cache = inner(actions, *args, **kwargs)
            if not self.quiet:
                still = inner(torch.zeros_like(actions), *args, **kwargs)
                self.received.append(actions[0].numpy().copy())
                moved = (cache.modulation != still.modulation).flatten(2).any(-1)
                self.rows.append(moved[0].numpy())
            return cache

        model.action_cache = action_cache

    def presented(self, chunk, offsets, ages_ms) -> None:
        self.chunks.append(chunk)
        if chunk.applied[-1, 0] != 0 and not self.pushed:
            self.pushed = True
            self._pad.push(2, STICK)
        print(f"chunk {chunk.index} {chunk.applied[-1].tolist()}", flush=True)

    def rewound(self, branch, parent) -> None:
        pass

    def close(self) -> None:
        pass


def main(out: str) -> None:
    torch.set_num_threads(1)
    manifest = random_manifest(chunk_latents=LATENTS)
    world = assemble(
        manifest, {}, random_modules(manifest), device=torch.device("cpu"), dtype=torch.float32
    )
    info = world.info
    bindings = bindings_from(info.spec)
    window = Window(WindowConfig(screen=ScreenConfig(size=(640, 384), vsync=False), sound=False))
    window.enter_world(info, bindings)
    session = Session(
        world,
        PassThrough(),
        Place(state=world.start(seed=4, prompt="a stormy sea")),
        InputMapper(info.spec, bindings, fps=info.fps),
        presenter=window,
        clock=RealClock(),
        draw=lambda frame, overlays: frame,
    )
    notes = Notes(world.parts.transformer, VirtualPad(), window)
    session.stage.add_sink(notes)
    end = time.monotonic() + 60

    class Stopper:
        def poll(self, now):
            from engine.input.events import Command

            jumped = any(chunk.applied[:, 4].any() for chunk in notes.chunks)
            done = (jumped and not notes.chunks[-1].applied[:, 4].any()) or time.monotonic() > end
            return [Command("quit", now)] if done else []

    Loop(session, LoopConfig(), sources=[Stopper()]).run()
    notes.quiet = True
    still = [
        world.generate(c.state_before, info.spec.zeros(len(c.applied)))[1] for c in notes.chunks
    ]
    count = len(notes.chunks)
    np.savez(
        out,
        applied=np.stack([c.applied for c in notes.chunks]),
        received=np.stack(notes.received[:count]),
        rows=np.stack(notes.rows[:count]),
        change=np.stack(
            [
                (c.latents - quiet).abs().flatten(3).amax(-1).amax(1)[0].numpy()
                for c, quiet in zip(notes.chunks, still, strict=True)
            ]
        ),
    )
    window.close()


if __name__ == "__main__":
    os.environ.pop("SDL_VIDEODRIVER", None)
    main(sys.argv[1])
