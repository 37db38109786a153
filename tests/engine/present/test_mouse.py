"""Buttons and the wheel of a mouse whose motion drives nothing."""

from dataclasses import replace

import pygame
import pytest

from engine.input.bindings import bindings_from
from engine.input.events import MouseButton, Wheel
from helios_core.actions import ActionSpec, Channel

SPEC = ActionSpec(
    channels=(Channel(name="strafe", kind="axis", low=-1.0), Channel(name="attack", kind="button"))
)


@pytest.fixture
def played(bench):
    """A world that is shot at with the mouse and looked about in with nothing."""
    bench.window.enter_world(replace(bench.world.info, spec=SPEC), bindings_from(SPEC))
    bench.show()
    bench.poll()
    return bench


def test_presses_reach_the_world_and_the_pointer_stays(played):
    click = [MouseButton("left", True, 0.0), MouseButton("left", False, 0.0)]
    for kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
        played.post(kind, button=1, pos=(5, 5))
    played.post(pygame.MOUSEMOTION, pos=(9, 5), rel=(4, 0), buttons=(0, 0, 0))
    assert played.poll() == click
    played.post(pygame.MOUSEWHEEL, x=0, y=1)
    assert played.poll() == [Wheel(1, 0.0)]
    assert pygame.mouse.get_visible() and not pygame.mouse.get_relative_mode()


@pytest.mark.parametrize("why", ["pause", "menu", "no focus", "never"])
def test_presses_are_the_players_while_it_is_not_played(played, why):
    if why == "pause":
        played.show(paused=True)
    elif why == "menu":
        played.press(pygame.K_ESCAPE)
    elif why == "no focus":
        played.focus(False)
    else:
        played.window.config = replace(played.window.config, mouse_look=False)
    played.poll()
    played.post(pygame.MOUSEBUTTONDOWN, button=1, pos=(5, 5))
    played.post(pygame.MOUSEWHEEL, x=0, y=1)
    assert played.poll() == []
