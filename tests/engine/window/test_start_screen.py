"""The start screen in a real X window: what is on the screen is what was drawn, to the pixel."""

import numpy as np
import pygame

from engine.cli.play_window import demo_cards
from engine.present.start_screen import StartScreen, columns_for, start_picture
from engine.present.theme import Theme
from tests.engine.window.desktop import PATIENCE, SCREEN, helios_play, until

SIZE = (1280, 768)
TOP = (SCREEN[1] - SIZE[1]) // 2


def drawn(cards: tuple, at: int) -> np.ndarray:
    look = Theme(*SIZE)
    state = StartScreen(cards, at, columns_for(look, SIZE[0]))
    pixels = pygame.image.tobytes(start_picture(look, SIZE, state).picture, "RGB")
    return np.frombuffer(pixels, np.uint8).reshape(SIZE[1], SIZE[0], 3)


def test_demos_are_shown_and_chosen_by_keys_and_mouse(desktop, tmp_path):
    cards = tuple(demo_cards())
    with (tmp_path / "log").open("w+") as log:
        process = helios_play(desktop, tmp_path, log)
        try:
            desktop.hand("mousemove", "5", "790")

            def shows(at: int) -> bool:
                seen = desktop.picture()[TOP : TOP + SIZE[1]].astype(int)
                off = np.abs(seen - drawn(cards, at)).max(-1) > 2
                return bool(off.mean() < 0.001)  # the pointer is drawn by the server

            until(lambda: shows(0), "the start screen")
            desktop.hand("key", "Right")
            until(lambda: shows(1), "the second card")
            desktop.hand("mousemove", "640", str(TOP + 500))
            until(lambda: shows(4), "the card under the mouse")
            desktop.hand("key", "Escape")
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait(PATIENCE)
