"""A window under SDL's dummy driver, and ways to press its keys."""

import numpy as np
import pygame
import pytest

from engine.input.bindings import bindings_from
from engine.present.api import HudData
from engine.present.screen import ScreenConfig
from engine.present.window import Window, WindowConfig
from helios_core.null_world import NullWorld


class Bench:
    """A window on the bench: its clock, its world and its keys."""

    def __init__(self, config: WindowConfig) -> None:
        self.now = 0.0
        self.window = Window(config, clock=lambda: self.now)
        self.world = NullWorld()
        info = self.world.info
        presets = [preset.prompt for preset in info.presets]
        self.window.enter_world(info, bindings_from(info.spec), presets=presets)
        self.frame = np.full((384, 640, 3), (90, 140, 190), np.uint8)
        pygame.event.clear()
        self.focus()

    def focus(self, on: bool = True) -> None:
        kind = pygame.WINDOWFOCUSGAINED if on else pygame.WINDOWFOCUSLOST
        self.post(kind)
        self.window.poll(self.now)

    def post(self, kind: int, **values) -> None:
        pygame.event.post(pygame.event.Event(kind, **values))

    def key(self, key: int, *, down: bool | None = None, mod: int = 0) -> None:
        """Press and release, or only one of them."""
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            if down is None or down == (kind == pygame.KEYDOWN):
                self.post(kind, key=key, mod=mod, unicode="", scancode=0)

    def press(self, *keys: int, **options) -> list:
        """Keys, and what the window makes of them."""
        for key in keys:
            self.key(key, **options)
        return self.poll()

    def type(self, text: str) -> list:
        for character in text:
            self.post(pygame.TEXTINPUT, text=character)
        return self.poll()

    def poll(self) -> list:
        return self.window.poll(self.now)

    def show(self, overlays=(), **hud) -> np.ndarray:
        """Show the frame; the picture on the screen."""
        self.window.show(self.frame, HudData(**hud), overlays)
        return self.window.screen.picture()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(
        WindowConfig(
            screen=ScreenConfig(size=(1280, 768), vsync=False),
            sound=False,
            bindings_file=tmp_path / "bindings.yaml",
            history_file=tmp_path / "prompts.txt",
        )
    )
    yield bench
    bench.window.close()
