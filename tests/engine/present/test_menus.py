"""Start screen, settings and moving about in them, without a window where it can be."""

from dataclasses import replace

import numpy as np
import pygame
import pytest

from engine.input.bindings import bindings_from
from engine.input.events import KeyEvent, MouseButton, PadAxis, PadButton, Wheel
from engine.present.menu import Menu, Row, menu_panel
from engine.present.navigation import Navigator
from engine.present.settings import SLIDERS, Settings
from engine.present.start_screen import DemoCard, StartScreen, columns_for, start_picture
from engine.present.theme import Theme
from helios_core.actions import WALK_SPEC, ActionSpec, Channel

LOOK = Theme(1280, 768)


# ---- moving about


def test_keys_pads_and_sticks_step_alike():
    navigator = Navigator()
    steps = [
        navigator.step(event)
        for event in (
            KeyEvent("up", True, 0),
            KeyEvent("up", False, 0),
            PadButton(0, "dpad_down", True, 0),
            PadButton(0, "a", True, 0),
            PadButton(0, "b", True, 0),
            Wheel(1, 0),
        )
    ]
    assert steps == ["up", None, "down", "accept", "back", None]


def test_a_pushed_stick_steps_once_until_it_comes_back():
    navigator = Navigator()
    values = (0.3, 0.7, 0.9, 0.5, 0.7, 0.2, -0.8)
    steps = [navigator.step(PadAxis(0, "left_y", v, 0)) for v in values]
    assert steps == [None, "up", None, None, None, None, "down"]
    assert navigator.step(PadAxis(0, "left_x", -0.9, 0)) == "left"
    assert navigator.step(PadAxis(0, "right_x", -0.9, 0)) is None


def test_a_menu_skips_headings_and_wraps():
    menu = Menu("m", (Row(name="", text="head"), Row(name="a", text="A"), Row(name="b", text="B")))
    assert menu.move("down").row.name == "b" or menu.move("down").row.name == "a"
    menu = menu.point(1)
    assert menu.move("up").row.name == "b"
    assert menu.move("down").move("down").row.name == "a"
    assert menu.point(0).row.name == "a", "a heading cannot be chosen"
    assert menu.move("end").row.name == "b"


def test_a_long_menu_scrolls_to_the_chosen_row():
    rows = tuple(Row(name=f"r{i}", text=f"row {i}") for i in range(40))
    for at in (0, 20, 39):
        drawn = menu_panel(LOOK, Menu("long", rows, at), 400)
        assert at in [i for i, _ in drawn.areas]
        assert drawn.picture.get_height() <= 400
        area = dict(drawn.areas)[at]
        assert drawn.row_at(area.center) == at


# ---- settings


def settings(name: str) -> Settings:
    """The settings with one row chosen."""
    start = Settings(bindings_from(WALK_SPEC), bindings_from(WALK_SPEC))
    index = next(i for i, row in enumerate(start.menu.rows) if row.name == name)
    return start.point(index)


def bound(state: Settings, channel: str) -> list[str]:
    return [str(b) for b in state.bindings.channels[channel]]


def test_a_new_key_replaces_the_old_key_and_leaves_the_pad():
    state = settings("channel:jump:0").step("accept")
    assert state.waiting
    assert state.menu.row.prompt
    state = state.capture(KeyEvent("j", True, 0))
    assert not state.waiting
    assert bound(state, "jump") == ["pad.a", "j"]
    state = state.step("accept").capture(PadButton(0, "b", True, 0))
    assert bound(state, "jump") == ["j", "pad.b"]


def test_a_direction_keeps_its_sign_and_its_reach():
    state = settings("channel:look_yaw:1").step("accept").capture(KeyEvent("q", True, 0))
    assert bound(state, "look_yaw") == ["-q*0.4", "mouse.x", "right*0.4", "pad.right_x*0.75"]
    state = settings("channel:strafe:0").step("accept").capture(PadAxis(0, "left_y", -0.9, 0))
    assert "-pad.left_y" in bound(state, "strafe"), "a stick pushed down for right"


def test_mouse_motion_stays_whatever_is_bound_or_unbound_beside_it():
    row = settings("channel:look_yaw:0")
    assert {"mouse.x", "right*0.4", "pad.right_x*0.75"} <= set(bound(row, "look_yaw"))
    state = row.step("accept").capture(MouseButton("x1", True, 0))
    assert set(bound(row, "look_yaw")) | {"mouse.x1"} == set(bound(state, "look_yaw"))
    assert bound(row.step("clear"), "look_yaw") == ["mouse.x", "-left*0.4"]


def test_a_taken_key_is_named_and_its_owner_loses_it():
    state = settings("channel:jump:0").step("accept").capture(KeyEvent("w", True, 0))
    assert "'w' moved from move_forward to jump" in state.note
    assert "w" not in bound(state, "move_forward")
    state = settings("channel:move_forward:1").step("accept").capture(KeyEvent("w", True, 0))
    assert bound(state, "move_forward") == ["-w", "pad.left_y"], "also from its other direction"
    state = settings("channel:run:0").step("accept").capture(KeyEvent("f5", True, 0))
    assert state.bindings.command("f5") is None
    assert "save" in state.note


def test_escape_leaves_a_row_as_it_was_and_delete_unbinds():
    state = settings("channel:jump:0").step("accept")
    assert state.capture(KeyEvent("escape", True, 0)).bindings == state.bindings
    assert state.capture(KeyEvent("x", False, 0)).waiting, "a release is no answer"
    cleared = settings("channel:jump:0").step("clear")
    assert cleared.bindings.unbound() == ("jump",)


def test_escape_comes_back_to_the_menu_it_was_taken_from():
    bare = settings("command:menu:0").step("clear")
    assert bare.bindings.command("escape") is None
    again = bare.step("accept").capture(KeyEvent("escape", True, 0))
    assert not again.waiting and again.bindings.command("escape") == "menu"


def test_a_command_takes_mouse_buttons_too():
    state = settings("command:screenshot:0").step("accept").capture(MouseButton("x1", True, 0))
    assert state.bindings.command("mouse.x1") == "screenshot"


@pytest.mark.parametrize("name", SLIDERS)
def test_sliders_stay_within_their_ends(name):
    _, low, high, _, _ = SLIDERS[name]
    state = settings(name)
    before = getattr(state.bindings.tuning, name)
    assert getattr(state.step("right").bindings.tuning, name) > before
    for _ in range(100):
        state = state.step("left")
    assert getattr(state.bindings.tuning, name) == pytest.approx(low)
    for _ in range(100):
        state = state.step("right")
    assert getattr(state.bindings.tuning, name) == pytest.approx(high)
    assert 0 <= state.menu.row.share <= 1


def test_invert_look_toggles():
    state = settings("invert_look").step("accept")
    assert state.bindings.tuning.invert_look
    assert state.menu.row.value == "on"


def test_delete_brings_the_defaults_back_and_enter_only_says_so():
    state = settings("defaults")
    assert "nothing" in state.step("clear").note and not state.step("accept").waiting
    own = replace(state, bindings=state.bindings.tuned(curve=2.5).bind("jump"))
    asked = own.step("accept").step("accept")  # as a key that is held repeats
    assert asked.bindings == own.bindings and "Delete" in asked.note
    assert own.step("clear").bindings == state.defaults


def test_the_row_stays_chosen_where_the_defaults_have_fewer_rows():
    spec = ActionSpec(channels=(Channel(name="steer", kind="axis", low=-1.0),))
    bare = bindings_from(spec)
    own = bindings_from(spec, user={"channels": {"steer": ["d", "-a"]}})
    state = Settings(own, bare).step("end")
    assert len(Settings(bare, bare).menu.rows) < len(state.menu.rows)
    assert state.step("clear").menu.row.name == "defaults"


# ---- start screen


def cards(count: int) -> tuple[DemoCard, ...]:
    picture = np.full((48, 80, 3), 200, np.uint8)
    return tuple(
        DemoCard(value=f"demo-{i}", title=f"Demo {i}", thumbnail=picture if i % 2 else None)
        for i in range(count)
    )


def test_moving_over_the_grid():
    state = StartScreen(cards(8), columns=3)
    assert state.step("right").step("down").at == 4
    assert state.step("up").at == 0
    assert state.step("left").at == 0
    assert state.point(5).step("down").at == 7, "the last row is shorter"
    assert state.step("end").at == 7
    assert state.step("accept").chosen == "demo-0"
    left = state.step("back")
    assert left.over
    assert left.chosen is None


def test_a_card_that_cannot_be_played_is_not_taken():
    broken = DemoCard(value="x", title="X", note="line 3: no such key")
    assert not StartScreen((broken,)).take().over
    assert not StartScreen(()).take().over


@pytest.mark.parametrize("size", [(1280, 768), (640, 400), (2560, 1440)])
def test_the_chosen_card_is_always_in_sight(size):
    look = Theme(*size)
    state = StartScreen(cards(20), columns=columns_for(look, size[0]))
    for at in (0, 9, 19):
        drawn = start_picture(look, size, state.point(at))
        area = dict(drawn.areas)[at]
        assert pygame.Rect((0, 0), size).contains(area) or size[1] < 500
        assert drawn.card_at(area.center) == at


def test_choosing_with_keys_mouse_and_closing(bench):
    bench.key(pygame.K_RIGHT)
    bench.key(pygame.K_RETURN)
    assert bench.window.choose(cards(4)) == "demo-1"
    size = bench.window.screen.size
    state = StartScreen(cards(4), columns=columns_for(bench.window.screen.theme, size[0]))
    drawn = start_picture(bench.window.screen.theme, size, state)
    bench.post(pygame.MOUSEBUTTONDOWN, pos=dict(drawn.areas)[2].center, button=1)
    assert bench.window.choose(cards(4)) == "demo-2"
    bench.post(pygame.MOUSEBUTTONDOWN, pos=dict(drawn.areas)[2].center, button=5)
    bench.post(pygame.MOUSEWHEEL, x=1, y=0)
    bench.key(pygame.K_RETURN)
    assert bench.window.choose(cards(4)) == "demo-0", "the wheel does not point"
    bench.key(pygame.K_ESCAPE)
    assert bench.window.choose(cards(4)) is None
    bench.post(pygame.WINDOWCLOSE)
    assert bench.window.choose(cards(4)) is None


@pytest.mark.parametrize("on", [True, False])
def test_the_focus_that_comes_or_goes_on_the_start_screen_counts_in_the_world(bench, on):
    bench.focus(not on)
    bench.post(pygame.WINDOWFOCUSGAINED if on else pygame.WINDOWFOCUSLOST)
    bench.key(pygame.K_RETURN)
    assert bench.window.choose(cards(1)) == "demo-0"
    bench.show()
    bench.poll()
    assert bench.window.devices.mouse_look == on


def test_the_start_screen_gives_the_pointer_back(bench):
    bench.show()
    bench.poll()
    assert bench.window.devices.mouse_look
    pygame.event.clear()
    bench.key(pygame.K_ESCAPE)
    bench.window.choose(cards(1))
    assert not bench.window.devices.mouse_look
    assert pygame.mouse.get_visible()
    assert not pygame.mouse.get_relative_mode()
