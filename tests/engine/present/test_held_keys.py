"""A key that is held: it edits and moves about again and again, and decides once."""

import pygame
import pytest

from engine.hand import hand_bindings
from engine.input.bindings import bindings_from
from engine.input.events import Command, FocusLost, KeyEvent, PromptEntered
from engine.present.start_screen import DemoCard

ENTER = (pygame.K_RETURN, pygame.K_KP_ENTER)
CARDS = tuple(DemoCard(value=f"demo-{i}", title=f"Demo {i}") for i in range(3))


def down(bench, *keys: int) -> list:
    """What the window makes of presses without a release, and of their repeats."""
    return bench.press(*keys, down=True)


def test_the_key_that_chose_a_demo_does_nothing_in_its_world(bench):
    """pygame's timer goes on while the world loads, and its repeats wait in the queue."""
    bench.key(pygame.K_RETURN, down=True)
    assert bench.window.choose(CARDS) == "demo-0"
    info = bench.world.info
    bench.window.enter_world(info, bindings_from(info.spec))
    bench.key(pygame.K_RETURN, down=True)
    bench.key(pygame.K_RETURN, down=False)
    assert bench.poll() == [] and bench.window._mode == "play"
    assert bench.press(pygame.K_w)[0] == KeyEvent("w", True, 0.0), "no line is open"


@pytest.mark.parametrize("enter", ENTER)
def test_a_line_that_is_sent_is_not_opened_again_by_the_same_press(bench, enter):
    bench.press(pygame.K_RETURN)
    bench.type("snow falls")
    assert down(bench, enter, enter, enter) == [PromptEntered("snow falls", 0.0)]
    assert bench.window._mode == "play"
    bench.press(enter, down=False)
    assert down(bench, enter) == [FocusLost(0.0)], "another press opens it"
    assert down(bench, enter) == [] and bench.window._mode == "prompt", "and does not send it"


def test_escape_leaves_one_thing_at_a_time(bench):
    bench.show()
    bench.press(pygame.K_ESCAPE)
    bench.show(paused=True)
    assert down(bench, pygame.K_ESCAPE, pygame.K_ESCAPE) == [Command("pause", 0.0)]
    assert bench.window._mode == "play"


def test_escape_out_of_the_settings_does_not_end_a_recording_by_hand(bench):
    info = bench.world.info
    bench.window.enter_world(info, hand_bindings(info.spec))
    bench.press(pygame.K_F2)
    assert KeyEvent("escape", True, 0.0) not in down(bench, pygame.K_ESCAPE, pygame.K_ESCAPE)


def test_the_key_that_asks_for_an_input_is_not_the_answer(bench):
    before = bench.window.bindings
    bench.press(pygame.K_F2)
    down(bench, pygame.K_DOWN, pygame.K_DOWN, pygame.K_RETURN)
    down(bench, pygame.K_RETURN, pygame.K_DOWN, pygame.K_RETURN)
    assert bench.window._menus.waiting and bench.window.bindings is before
    bench.press(pygame.K_RETURN, down=False)
    down(bench, pygame.K_RETURN)
    assert bench.window.bindings.command("return") is None, "pressed anew it is"


def test_a_failure_stays_until_a_key_is_pressed_for_it(bench):
    down(bench, pygame.K_RETURN)
    bench.show(failure="it broke")
    assert down(bench, pygame.K_RETURN) == []
    assert bench.press(pygame.K_ESCAPE) == [Command("quit", 0.0)]


def test_lists_and_lines_go_on_while_a_key_is_held(bench):
    bench.press(pygame.K_F2)
    at = bench.window._menus.menu.at
    down(bench, pygame.K_DOWN, pygame.K_DOWN, pygame.K_DOWN)
    assert bench.window._menus.menu.at == at + 3
    bench.press(pygame.K_DOWN, down=False)
    bench.press(pygame.K_ESCAPE)
    bench.press(pygame.K_RETURN)
    bench.type("snow")
    down(bench, pygame.K_BACKSPACE, pygame.K_BACKSPACE)
    assert bench.window._line.text == "sn"
    bench.key(pygame.K_RIGHT, down=True)
    bench.key(pygame.K_RIGHT, down=True)
    bench.key(pygame.K_RETURN)
    assert bench.window.choose(CARDS) == "demo-2"


def test_a_key_let_go_of_in_another_window_is_up(bench):
    assert down(bench, pygame.K_w) == [KeyEvent("w", True, 0.0)]
    assert down(bench, pygame.K_w) == []
    bench.focus(False)
    bench.focus()
    assert down(bench, pygame.K_w) == [KeyEvent("w", True, 0.0)]
