"""The whole window by gamepad: the start screen, walking, pausing, rewinding, the menus."""

import pygame
import pytest

from engine.input.events import Command, FocusLost, PadAxis, PadButton
from engine.present.start_screen import DemoCard
from tests.engine.virtual_pad import (
    BACK,
    DPAD_DOWN,
    DPAD_RIGHT,
    LEFT_Y,
    SHOULDER,
    START,
    A,
    B,
    VirtualPad,
    load_sdl,
)


@pytest.fixture
def pad(monkeypatch, bench):
    monkeypatch.setenv("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    pad = VirtualPad(load_sdl())
    (came,) = bench.poll()
    pad.open(came.pad)
    bench.show()
    yield pad
    pad.unplug()


def push(bench, pad: VirtualPad, *buttons: int) -> list:
    """Press and let go of buttons; what the window makes of it."""
    for button in buttons:
        pad.button(button, True)
        pygame.event.pump()
        pad.button(button, False)
        pygame.event.pump()
    return bench.poll()


def names(events) -> list[str]:
    return [e.name for e in events if isinstance(e, Command)]


def test_a_demo_is_picked_by_pad(bench, pad):
    cards = [DemoCard(value=f"demo-{i}", title=f"Demo {i}") for i in range(5)]
    for button in (DPAD_RIGHT, DPAD_DOWN, A):
        pad.button(button, True)
        pygame.event.pump()
        pad.button(button, False)
        pygame.event.pump()
    assert bench.window.choose(cards) == "demo-4"
    pad.button(B, True)
    pygame.event.pump()
    assert bench.window.choose(cards) is None


def test_walking_pausing_and_rewinding(bench, pad):
    pad.axis(LEFT_Y, -32768)
    pad.button(A, True)
    walk, jump = bench.poll()
    assert isinstance(walk, PadAxis)
    assert (walk.axis, walk.value) == ("left_y", 1.0)
    assert isinstance(jump, PadButton)
    assert names(push(bench, pad, START)) == ["pause"]
    assert names(push(bench, pad, SHOULDER)) == ["rewind_start", "rewind_stop"]


@pytest.mark.parametrize("away", ["menu", "prompt", "focus", "the next scene"])
def test_a_stick_that_is_held_all_the_while_goes_on_walking(bench, pad, away):
    pad.axis(LEFT_Y, -32768)
    (walk,) = bench.poll()
    if away == "the next scene":
        bench.window.enter_world(bench.world.info, bench.window.bindings)
    elif away == "focus":
        bench.focus(False)
        bench.post(pygame.WINDOWFOCUSGAINED)
    else:
        events = bench.press(pygame.K_ESCAPE if away == "menu" else pygame.K_RETURN)
        assert FocusLost(0.0) in events and not any(isinstance(e, PadAxis) for e in events)
        bench.show(paused=away == "menu")
        bench.key(pygame.K_ESCAPE)
    assert walk in bench.poll()
    assert not bench.poll(), "said once"


def test_menus(bench, pad):
    assert names(push(bench, pad, BACK)) == ["pause"]
    bench.show(paused=True)
    assert names(push(bench, pad, B)) == ["pause"]
    bench.show()
    push(bench, pad, BACK, DPAD_DOWN, DPAD_DOWN, DPAD_DOWN)
    bench.show(paused=True)
    assert names(push(bench, pad, A)) == ["pause", "reset"]


def test_coming_and_going_is_said(bench, pad):
    assert bench.window.devices.pads
    with_notice = bench.show()
    bench.now = 10.0
    assert (bench.show() != with_notice).any()
