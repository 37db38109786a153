"""What a scene brings to the window goes with it."""

import pygame
import pytest

from engine.input.bindings import bindings_from
from engine.present.start_screen import DemoCard
from tests.engine.present.conftest import Bench


def enter(bench: Bench, **options) -> None:
    info = bench.world.info
    bench.window.enter_world(info, bindings_from(info.spec), **options)


def shows_hud(bench: Bench) -> bool:
    bench.show()
    return "hud" in bench.window.screen._kept


@pytest.mark.parametrize("mine", [False, True])
def test_the_hud_of_a_scene_is_not_the_players(bench, mine):
    if mine:
        bench.press(pygame.K_F3)
    for scenes in (not mine, mine, None, not mine, None):
        enter(bench, hud=scenes)
        assert shows_hud(bench) == (mine if scenes is None else scenes)


def test_the_player_may_overrule_a_scene_and_keeps_that(bench):
    enter(bench, hud=True)
    bench.press(pygame.K_F3)
    assert not shows_hud(bench)
    bench.press(pygame.K_F3)
    assert shows_hud(bench)
    enter(bench)
    assert shows_hud(bench), "she asked for it herself"
    enter(bench, hud=False)
    assert not shows_hud(bench)


def test_the_window_is_called_as_the_scene_is(bench):
    frame = bench.window.screen.window
    assert frame.title == "Helios"
    enter(bench, title="The lamp")
    assert frame.title == "The lamp"
    bindings = bench.window.bindings
    bench.window.follow_scene(bindings, defaults=bindings, presets=(), title="The lamps")
    assert frame.title == "The lamps"
    bench.key(pygame.K_RETURN)
    bench.window.choose((DemoCard(value="a", title="A"),))
    assert frame.title == "Helios"
