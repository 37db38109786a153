"""Gamepads through SDL's virtual joystick: Xbox names, hot-plug, and values in the actions."""

import os

import pygame
import pytest

from engine.input.bindings import bindings_from
from engine.input.devices import Devices, key_name
from engine.input.events import PadAxis, PadButton, PadChanged
from engine.input.mapper import InputMapper
from engine.input.names import KEYS, PAD, check
from helios_core.actions import WALK_SPEC
from tests.engine.virtual_pad import (
    DPAD_UP,
    LEFT_X,
    LEFT_Y,
    RIGHT_X,
    SHOULDER,
    TRIGGER,
    A,
    VirtualPad,
    load_sdl,
)


@pytest.fixture
def sdl(monkeypatch):
    monkeypatch.setenv("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    library = load_sdl()
    pygame.display.init()
    pygame.event.clear()
    yield library
    pygame.display.quit()


@pytest.fixture
def devices(sdl):
    devices = Devices()
    yield devices
    devices.close()


def events(devices: Devices, now: float = 0.0) -> list:
    return [out for event in pygame.event.get() for out in devices.translate(event, now)]


def test_a_pad_comes_works_and_goes(sdl, devices):
    pad = VirtualPad(sdl)
    (came,) = events(devices, 1.0)
    assert came == PadChanged(came.pad, "Virtual Controller", True, 1.0)
    assert devices.pads == {came.pad: "Virtual Controller"}
    pad.open(came.pad)
    pad.axis(LEFT_X, 16384)
    pad.axis(LEFT_Y, -32768)
    pad.button(A, True)
    pad.button(SHOULDER, True)
    assert events(devices, 2.0) == [
        PadAxis(came.pad, "left_x", 16384 / 32767, 2.0),
        PadAxis(came.pad, "left_y", 1.0, 2.0),
        PadButton(came.pad, "a", True, 2.0),
        PadButton(came.pad, "left_shoulder", True, 2.0),
    ]
    pad.unplug()
    gone = events(devices, 3.0)
    assert gone[-1] == PadChanged(came.pad, "Virtual Controller", False, 3.0)
    assert PadButton(came.pad, "a", False, 3.0) in gone
    assert devices.pads == {}


def test_a_pad_plugged_in_again_is_another_one_and_works(sdl, devices):
    first = VirtualPad(sdl)
    number = events(devices)[0].pad
    first.unplug()
    events(devices)
    second = VirtualPad(sdl)
    (came,) = events(devices)
    assert came.pad != number
    second.open(came.pad).button(DPAD_UP, True)
    assert events(devices) == [PadButton(came.pad, "dpad_up", True, 0.0)]
    second.unplug()


def test_two_pads_keep_apart(sdl, devices):
    pads = [VirtualPad(sdl), VirtualPad(sdl)]
    numbers = [e.pad for e in events(devices)]
    for pad, number, value in zip(pads, numbers, (8000, -8000), strict=True):
        pad.open(number).axis(RIGHT_X, value)
    seen = {e.pad: e.value for e in events(devices)}
    assert seen == {numbers[0]: 8000 / 32767, numbers[1]: -8000 / 32767}
    for pad in reversed(pads):
        pad.unplug()


def test_a_stick_reaches_the_actions_and_an_unplugged_one_lets_go(sdl, devices):
    bindings = bindings_from(WALK_SPEC, user={"tuning": {"dead_zone": 0.0, "curve": 1.0}})
    mapper = InputMapper(WALK_SPEC, bindings, fps=20)
    pad = VirtualPad(sdl)
    (came,) = events(devices, 0.0)
    pad.open(came.pad).axis(LEFT_Y, -16384)
    pad.axis(RIGHT_X, 32767)
    pad.axis(TRIGGER, 32767)
    mapper.feed(events(devices, 0.1))
    actions = mapper.window(0.2, 4, 0).requested
    assert actions[:, 0] == pytest.approx([16384 / 32767] * 4)
    assert actions[:, 2] == pytest.approx([240 * 0.75] * 4)
    assert actions[:, 5].tolist() == [1] * 4
    pad.unplug()
    mapper.feed(events(devices, 0.3))
    assert not mapper.window(0.4, 4, 4).requested.any()


def test_after_the_focus_returns_sticks_are_read_where_they_are(sdl, devices):
    pad = VirtualPad(sdl)
    (came,) = events(devices)
    pad.open(came.pad).axis(LEFT_X, 32767)
    events(devices)
    assert PadAxis(came.pad, "left_x", 1.0, 9.0) in devices.read_axes(9.0)
    pad.unplug()


def test_every_key_and_pad_input_of_sdl_has_a_known_name(sdl):
    keys = "qwertyuiopasdfghjklzxcvbnm1234567890"
    codes = [getattr(pygame, f"K_{k}") for k in keys]
    codes += [getattr(pygame, f"K_F{i}") for i in range(1, 13)]
    words = "RETURN SPACE TAB BACKSPACE ESCAPE UP DOWN LEFT RIGHT LSHIFT RCTRL LALT MINUS EQUALS"
    words += " COMMA PERIOD SLASH BACKSLASH SEMICOLON QUOTE BACKQUOTE LEFTBRACKET RIGHTBRACKET"
    words += " PAGEUP PAGEDOWN HOME END INSERT DELETE KP0 KP9 KP_ENTER CAPSLOCK"
    codes += [getattr(pygame, f"K_{word}") for word in words.split()]
    unknown = {key_name(code, 0) for code in codes} - KEYS
    assert not unknown
    from engine.input.devices import _AXES, _BUTTONS

    assert {f"pad.{n}" for n in _BUTTONS.values()} | {f"pad.{n}" for n, _ in _AXES.values()} == PAD


@pytest.mark.parametrize(
    ("sign", "place", "name"),
    [
        ("ц", 26, "w"),  # Russian
        ("ι", 12, "i"),  # Greek
        ("א", 23, "t"),  # Hebrew
        ("z", 26, "z"),  # French: the letter that is on it
        ("ö", 51, "ö"),  # German
        ("ñ", 51, "ñ"),  # Spanish
        ("\0", 53, "backquote"),  # a dead circumflex
        (";", 20, "semicolon"),  # Greek again
    ],
)
def test_a_key_is_called_by_its_latin_sign_else_by_its_place(sdl, sign, place, name):
    key = ord(sign) or 1 << 30  # what SDL says of keys that give no sign
    assert key_name(key, place) == name == check(name)


def test_the_projects_own_mappings_reach_sdl(monkeypatch, tmp_path):
    from engine.input import devices as module

    monkeypatch.delenv("SDL_GAMECONTROLLERCONFIG", raising=False)
    file = tmp_path / "mappings.txt"
    file.write_text("# ours\n03000000aaaa,Odd pad,a:b1,platform:Linux,\n")
    monkeypatch.setattr(module, "MAPPINGS", file)
    module._add_mappings()
    assert os.environ["SDL_GAMECONTROLLERCONFIG"] == "03000000aaaa,Odd pad,a:b1,platform:Linux,"
