"""The window under the dummy driver: what keys become, and what shows on the picture."""

from dataclasses import replace

import numpy as np
import pygame
import pytest

from engine.director import Caption, Fade, PlaySound
from engine.input.bindings import Binding, bindings_from
from engine.input.events import Command, FocusLost, KeyEvent, MouseMotion, PadAxis, PromptEntered
from engine.present.api import HudData, Overlay
from engine.present.hud import HudPanel
from engine.present.overlay import compose
from engine.present.screen import BAND_BYTES, Screen, ScreenConfig, fit
from engine.present.theme import Theme
from engine.present.unlocked import unlocked_present
from engine.present.window import WindowConfig
from helios_core.actions import ActionSpec
from tests.engine.present.conftest import Bench


def names(events) -> list[str]:
    return [e.name for e in events if isinstance(e, Command)]


def changed(a: np.ndarray, b: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns in which two pictures differ."""
    rows, columns = np.nonzero((a != b).any(-1))
    assert len(rows), "nothing changed"
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


# ---- the picture


def test_the_frame_fills_the_window_with_its_aspect_kept(bench):
    rng = np.random.default_rng(0)
    bench.frame = rng.integers(0, 256, (48, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    picture = bench.show()
    assert picture.shape == (768, 1280, 3)
    middles = picture[8::16, 8::16]
    np.testing.assert_array_equal(middles, bench.frame[4::8, 4::8])


def test_a_frame_of_another_size_is_taken_as_it_comes(bench):
    bench.show()
    bench.frame = np.full((100, 100, 3), 200, np.uint8)
    picture = bench.show()
    assert (picture[:, 256:1024] == 200).all()
    assert not picture[:, :250].any()


def test_every_pixel_of_a_frame_is_shown_whatever_its_size_and_order():
    rng = np.random.default_rng(1)
    screen = Screen(ScreenConfig(size=(640, 400), vsync=False))
    tall = max(1, BAND_BYTES // (4 * 640)) * 2 + 7  # two bands and a rest
    for height, width in ((tall, 640), (tall, 640), (200, 320)):
        frame = rng.integers(0, 256, (height, 2 * width, 3), np.uint8)[:, ::-2]
        screen.size = (width, height)
        screen.set_frame(frame)
        screen.present()
        np.testing.assert_array_equal(screen.picture()[:height, :width], frame)
    screen.close()


@pytest.mark.parametrize(
    ("picture", "room", "scaling", "area"),
    [
        ((640, 384), (1280, 768), "smooth", (0, 0, 1280, 768)),
        ((640, 384), (1920, 1080), "smooth", (60, 0, 1800, 1080)),
        ((640, 384), (1920, 1080), "integer", (320, 156, 1280, 768)),
        ((640, 384), (320, 400), "integer", (0, 104, 320, 192)),
        ((0, 0), (320, 400), "smooth", (0, 0, 320, 400)),
    ],
)
def test_fit(picture, room, scaling, area):
    assert fit(picture, room, scaling) == area


def test_integer_scaling_keeps_hard_edges():
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[::2, ::2] = 255
    shades = {}
    for scaling in ("integer", "smooth"):
        screen = Screen(ScreenConfig(size=(400, 400), scaling=scaling, vsync=False))
        screen.set_frame(frame)
        screen.present()
        shades[scaling] = set(np.unique(screen.picture()))
        screen.close()
    assert shades["integer"] == {0, 255}
    assert len(shades["smooth"]) > 20


def test_overlays_agree_with_the_rendered_video(bench):
    """At one pixel per pixel the window shows what `compose` writes into a video."""
    bench.window.screen.window.size = (640, 384)
    bench.poll()
    bench.window.screen.measure()
    overlays = (
        Overlay(effect=Caption(text="The rain begins.", frames=60), age=30),
        Overlay(effect=Fade(to="colour", frames=20, colour=(40, 0, 60)), age=9),
    )
    picture = bench.show(overlays)
    film = compose(bench.frame, overlays)
    assert picture.shape == film.shape
    assert np.abs(picture.astype(int) - film).max() <= 3
    assert np.abs(film.astype(int) - bench.frame).max() > 60


def test_nothing_is_drawn_again_while_nothing_changes(bench):
    bench.show(pack="null")
    shown = []
    bench.window.screen.present = lambda: shown.append(1)
    for _ in range(5):
        bench.window.refresh(HudData(pack="null"))
    assert not shown
    bench.window.refresh(HudData(pack="null", messages=("saved",)))
    assert len(shown) == 1
    bench.post(pygame.WINDOWEXPOSED)
    bench.poll()
    bench.window.refresh(HudData(pack="null", messages=("saved",)))
    assert len(shown) == 2


@pytest.mark.parametrize("lost", [pygame.RENDER_TARGETS_RESET, pygame.RENDER_DEVICE_RESET])
def test_a_paused_picture_stays_when_the_driver_loses_it(bench, lost):
    paused = bench.show(paused=True)
    bench.post(lost)
    bench.poll()
    bench.window.refresh(HudData(paused=True))
    np.testing.assert_array_equal(bench.window.screen.picture(), paused)


def test_pictures_over_the_frame_do_not_pile_up(bench):
    for i in range(50):
        bench.now += 1.0
        bench.show(messages=(f"line {i}",), paused=bool(i % 2), age_ms=float(i))
    assert len(bench.window.screen._kept) <= 3
    bench.show()
    assert not bench.window.screen._kept


# ---- keys


def test_keys_of_the_world_go_through_with_their_time(bench):
    bench.now = 3.5
    assert bench.press(pygame.K_w) == [KeyEvent("w", True, 3.5), KeyEvent("w", False, 3.5)]


def test_keys_walk_and_paste_under_a_layout_of_another_script(bench, monkeypatch):
    def press(letter: str, place: int, mod: int = 0) -> list:
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            bench.post(kind, key=ord(letter), mod=mod, unicode=letter, scancode=place)
        return bench.poll()

    assert press("ц", 26) == [KeyEvent("w", True, 0.0), KeyEvent("w", False, 0.0)]
    monkeypatch.setattr("engine.present.window._clipboard", lambda: "snow falls")
    bench.press(pygame.K_RETURN)
    press("м", 25, pygame.KMOD_LCTRL)
    assert bench.press(pygame.K_RETURN) == [PromptEntered("snow falls", 0.0)]


@pytest.mark.parametrize(("key", "letter"), [("a", "ą"), ("e", "€"), ("u", "ú"), ("v", "@")])
def test_letters_written_with_altgr_go_where_the_caret_is(bench, monkeypatch, key, letter):
    """Windows reports AltGr as Ctrl and the right Alt."""
    monkeypatch.setattr("engine.present.window._clipboard", lambda: "pasted")
    bench.press(pygame.K_RETURN)
    bench.type("ab")
    bench.press(pygame.K_LEFT)
    bench.press(ord(key), mod=pygame.KMOD_LCTRL | pygame.KMOD_RALT)
    bench.type(letter)
    assert bench.press(pygame.K_RETURN) == [PromptEntered(f"a{letter}b", 0.0)]


def test_keys_of_the_session_become_commands(bench):
    keys = (pygame.K_p, pygame.K_F5, pygame.K_F9, pygame.K_F12, pygame.K_F10, pygame.K_F8)
    events = bench.press(*keys)
    assert names(events) == ["pause", "save", "load", "screenshot", "video", "record"]
    assert len(events) == 6
    assert names(bench.press(pygame.K_BACKSPACE, down=True)) == ["rewind_start"]
    assert names(bench.press(pygame.K_BACKSPACE, down=False)) == ["rewind_stop"]
    bench.post(pygame.QUIT)
    assert names(bench.poll()) == ["quit"]


def test_number_keys_call_what_the_scene_offers_and_nothing_of_the_pack(bench):
    info = bench.world.info
    assert bench.press(pygame.K_1) == [PromptEntered(info.presets[0].prompt, 0.0)], "a free walk"
    for offered in (("the sun sets",), ()):
        bench.window.enter_world(info, bindings_from(info.spec), presets=offered)
        assert bench.press(pygame.K_1) == [PromptEntered(text, 0.0) for text in offered]
        assert bench.press(pygame.K_2) == []


def test_losing_the_focus_releases_keys_and_ends_a_rewind(bench):
    bench.press(pygame.K_BACKSPACE, down=True)
    bench.post(pygame.WINDOWFOCUSLOST)
    assert bench.poll() == [FocusLost(0.0), Command("rewind_stop", 0.0)]


def test_the_mouse_is_the_worlds_only_while_playing(bench):
    bench.show()
    bench.poll()
    bench.post(pygame.MOUSEMOTION, pos=(5, 5), rel=(3, -2), buttons=(0, 0, 0))
    assert bench.poll() == [MouseMotion(3, -2, 0.0)]
    bench.show(paused=True)
    bench.poll()
    bench.post(pygame.MOUSEMOTION, pos=(5, 5), rel=(3, -2), buttons=(0, 0, 0))
    assert bench.poll() == []


# ---- HUD, help, pause, failure


def test_the_hud_comes_and_goes_and_its_numbers_hold_still_for_a_moment(bench):
    plain = bench.show(pack="null", age_ms=100.0)
    bench.press(pygame.K_F3)
    on = bench.show(pack="null", age_ms=100.0)
    rows, columns = changed(plain, on)
    assert rows.start < 20
    assert columns.start < 20
    assert columns.stop < 400
    same = bench.show(pack="null", age_ms=222.0)
    np.testing.assert_array_equal(on, same)
    bench.now = 1.0
    later = bench.show(pack="null", age_ms=222.0)
    assert (later != on).any()
    bench.press(pygame.K_F3)
    np.testing.assert_array_equal(bench.show(pack="null"), plain)


def test_a_panel_that_draws_only_what_changed_looks_like_a_new_one():
    look, kept = Theme(1280, 768), HudPanel()
    plain = HudData(pack="null", prompt="a meadow", age_ms=1111.0)
    for hud in (
        plain,
        replace(plain, age_ms=7.0, real_time_factor=1.5),
        replace(plain, prompt="a meadow at noon " * 6, prompt_weight=0.4),
        replace(plain, prompt_weight=0.5),
        replace(plain, text_only=True),
    ):
        drawn, fresh = kept.draw(look, hud), HudPanel().draw(look, hud)
        assert drawn.get_size() == fresh.get_size()
        assert pygame.image.tobytes(drawn, "RGBA") == pygame.image.tobytes(fresh, "RGBA")


def test_new_numbers_on_the_screen_look_as_if_the_panel_came_with_them(bench):
    bench.press(pygame.K_F3)
    bench.show(pack="null", age_ms=100.0, memory_mb=90.0, frame=7)
    bench.now = 1.0
    renewed = bench.show(pack="null", age_ms=7.0, memory_mb=91.0, frame=7)
    bench.window.screen.lose_textures()
    fresh = bench.show(pack="null", age_ms=7.0, memory_mb=91.0, frame=7)
    np.testing.assert_array_equal(renewed, fresh)


def test_new_numbers_take_the_texture_of_the_old_ones(bench):
    bench.press(pygame.K_F3)
    textures = []
    for bench.now in (0.0, 1.0, 2.0):
        bench.show(pack="null", age_ms=bench.now)
        textures.append(bench.window.screen._kept["hud"][1])
    assert textures[0] is textures[1] is textures[2]


def test_help_pause_rewind_and_messages_show(bench):
    plain = bench.show()
    for hud in ({"paused": True}, {"rewinding": True, "frame": 40}, {"messages": ("saved",)}):
        assert (bench.show(**hud) != plain).any(), hud
    assert (bench.show(recording=True)[:60, 900:] != plain[:60, 900:]).any()
    bench.now += 1
    assert (bench.show(speed=0.5)[:60, 900:] != plain[:60, 900:]).any()
    bench.press(pygame.K_F1)
    bench.now += 1
    columns = changed(plain, bench.show())[1]
    assert columns.stop - columns.start > 400


def test_a_failure_covers_the_play_and_any_way_out_closes(bench):
    bench.show(failure="RuntimeError: it broke", messages=("saved there",))
    assert names(bench.press(pygame.K_w)) == []
    assert names(bench.press(pygame.K_ESCAPE)) == ["quit"]


def test_every_input_that_can_be_pressed_gives_its_command(bench):
    def bound(text: str) -> None:
        layer = {"commands": {"pause": [text]}}
        bench.window.enter_world(bench.world.info, bindings_from(bench.world.info.spec, user=layer))

    def pull(value: float) -> list[str]:
        event = PadAxis(0, "left_trigger", value, 0.0)
        bench.window.devices.translate = lambda *_: [event]
        bench.post(pygame.CONTROLLERAXISMOTION)
        return names(bench.poll())

    for look in (True, False):  # whether the world has the mouse
        bound("mouse.middle")
        bench.window.devices.mouse_plays = look
        bench.post(pygame.MOUSEBUTTONDOWN, button=2, pos=(0, 0))
        bench.post(pygame.MOUSEBUTTONUP, button=2, pos=(0, 0))
        assert names(bench.poll()) == ["pause"]
        bound("mouse.wheel_up")
        bench.window.devices.mouse_plays = look
        bench.post(pygame.MOUSEWHEEL, x=0, y=1)
        assert names(bench.poll()) == ["pause"]
    bound("pad.left_trigger")
    pulls = [pull(value) for value in (0.1, 0.5, 1.0, 0.1, 0.9)]
    assert pulls == [[], ["pause"], [], [], ["pause"]], "each pull is one press"


def test_what_cannot_be_kept_is_a_message_and_counts_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file"  # no folder, so that nothing can be written there
    config = WindowConfig(
        screen=ScreenConfig(size=(640, 384), vsync=False),
        sound=False,
        bindings_file=folder / "bindings.yaml",
        history_file=folder / "prompts.txt",
    )
    bench = Bench(config)
    bench.window._change_bindings(bench.window.bindings.tuned(invert_look=True))
    assert bench.window.bindings.tuning.invert_look
    bench.press(pygame.K_RETURN)
    bench.type("snow")
    prompts = [e.text for e in bench.press(pygame.K_RETURN) if isinstance(e, PromptEntered)]
    assert prompts == ["snow"]
    said = [text for text, _ in bench.window._notices]
    assert [text.split(":")[0] for text in said] == [
        "this change is not kept",
        "prompts are not remembered",
    ]
    bench.window.close()


def test_a_pad_that_came_and_went_at_once_is_no_pad(bench):
    bench.post(pygame.CONTROLLERDEVICEADDED, device_index=99)
    assert bench.poll() == [] and not bench.window.devices.pads


def test_a_missing_cue_is_a_message_that_goes_away(bench):
    plain = bench.show()
    bench.window.play_sound(PlaySound(file="nowhere.ogg"))
    rows, columns = changed(plain, bench.show())
    assert rows.stop < 100
    assert columns.start > 300
    bench.now = 5.0
    np.testing.assert_array_equal(bench.show(), plain)


def test_the_next_world_begins_with_nothing_open_and_the_same_history(bench):
    bench.press(pygame.K_RETURN)
    bench.type("snow falls")
    bench.press(pygame.K_RETURN)
    bench.show(paused=True, failure="it broke")
    bench.press(pygame.K_F3)
    info = bench.world.info
    for _ in range(3):
        bench.window.enter_world(info, bindings_from(info.spec))
    assert bench.press(pygame.K_w)[0] == KeyEvent("w", True, 0.0)
    assert names(bench.press(pygame.K_ESCAPE)) == ["pause"], "it is not paused"
    assert bench.window._line.history == ["snow falls"]


def test_no_display_names_the_way_without_one(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    with pytest.raises(ValueError, match="--headless"):
        Screen(ScreenConfig())


def test_a_world_without_actions_plays_by_text(bench):
    plain = bench.show()
    info = replace(bench.world.info, spec=ActionSpec())
    bench.window.enter_world(info, bindings_from(info.spec))
    bench.press(pygame.K_F1, pygame.K_F3)
    bench.now += 1
    assert (bench.show(text_only=True) != plain).any()
    bench.press(pygame.K_F2)
    bench.show(paused=True, text_only=True)
    bench.press(pygame.K_ESCAPE)
    bench.poll()
    bench.post(pygame.MOUSEMOTION, pos=(5, 5), rel=(3, -2), buttons=(0, 0, 0))
    assert bench.poll() == [], "nothing for the mouse to drive"


def test_full_screen_and_back(bench):
    bench.show()
    bench.press(pygame.K_F11)
    assert bench.window.screen.fullscreen
    bench.show()
    bench.press(pygame.K_F11)
    assert not bench.window.screen.fullscreen
    assert bench.show().shape[2] == 3


# ---- prompt line


def test_typing_a_prompt_and_recalling_it(bench, tmp_path):
    plain = bench.show()
    assert bench.press(pygame.K_w, down=True) == [KeyEvent("w", True, 0.0)]
    assert bench.press(pygame.K_RETURN) == [FocusLost(0.0)], "opening the line releases keys"
    rows, _ = changed(plain, bench.show())
    assert rows.start > 384
    assert bench.type("snow falls") == []
    assert bench.press(pygame.K_p, pygame.K_w) == [], "keys are text now"
    assert bench.press(pygame.K_RETURN) == [PromptEntered("snow falls", 0.0)]
    assert (tmp_path / "prompts.txt").read_text() == "snow falls\n"
    bench.press(pygame.K_RETURN)
    assert bench.press(pygame.K_UP, pygame.K_RETURN) == [PromptEntered("snow falls", 0.0)]


def test_escape_leaves_the_line_and_a_number_on_an_empty_line_is_a_preset(bench):
    bench.press(pygame.K_RETURN)
    bench.type("half a thou")
    assert bench.press(pygame.K_ESCAPE) == []
    assert bench.press(pygame.K_w)[0] == KeyEvent("w", True, 0.0)
    bench.press(pygame.K_RETURN)
    assert bench.type("3") == [PromptEntered(bench.world.info.presets[2].prompt, 0.0)]
    bench.press(pygame.K_RETURN)
    bench.type("a 3")
    assert bench.press(pygame.K_RETURN) == [PromptEntered("a 3", 0.0)]


def test_pasting(bench):
    bench.press(pygame.K_RETURN)
    bench.press(pygame.K_v, mod=pygame.KMOD_CTRL)  # an empty clipboard is no error
    pygame.scrap.put_text("snow\nfalls")
    bench.press(pygame.K_v, mod=pygame.KMOD_CTRL)
    assert bench.press(pygame.K_RETURN) == [PromptEntered("snow falls", 0.0)]


def test_text_of_an_input_method_is_shown_before_it_is_part_of_the_line(bench):
    bench.press(pygame.K_RETURN)
    bench.type("to ")
    before = bench.show()
    bench.post(pygame.TEXTEDITING, text="とう", start=0, length=2)
    bench.poll()
    composing = bench.show()
    assert (composing != before).any()
    assert bench.press(pygame.K_RETURN) == [], "Enter belongs to the input method"
    bench.post(pygame.TEXTEDITING, text="", start=0, length=0)
    bench.post(pygame.TEXTINPUT, text="塔")
    bench.poll()
    assert bench.press(pygame.K_RETURN) == [PromptEntered("to 塔", 0.0)]


def test_unknown_words_are_dimmed_and_tab_takes_the_offer(bench):
    info = replace(bench.world.info, known_words=frozenset({"snow", "falls", "on"}))
    bench.window.enter_world(info, bindings_from(info.spec))
    bench.press(pygame.K_RETURN)
    bench.type("snwo falls")
    bench.press(pygame.K_TAB)
    assert bench.press(pygame.K_RETURN) == [PromptEntered("snow falls", 0.0)]


# ---- menus


def test_the_menu_pauses_and_going_on_unpauses(bench):
    bench.show()
    assert names(bench.press(pygame.K_ESCAPE)) == ["pause"]
    bench.show(paused=True)
    assert names(bench.press(pygame.K_ESCAPE)) == ["pause"]
    bench.show(paused=True)
    assert names(bench.press(pygame.K_ESCAPE)) == [], "it was the player who had paused"
    assert names(bench.press(pygame.K_DOWN, pygame.K_DOWN, pygame.K_DOWN, pygame.K_RETURN)) == [
        "reset"
    ]


def test_the_menu_by_mouse(bench):
    bench.show()
    bench.press(pygame.K_ESCAPE)
    bench.show(paused=True)
    for y in range(200, 600, 4):
        bench.post(pygame.MOUSEMOTION, pos=(640, y), rel=(0, 4), buttons=(0, 0, 0))
        bench.poll()
        if bench.window._menus.menu.row.name == "quit":
            break
    assert bench.window._menus.menu.row.name == "quit"
    bench.post(pygame.MOUSEBUTTONDOWN, pos=(640, y), button=1)
    assert names(bench.poll()) == ["pause", "quit"]


def test_the_wheel_moves_on_in_the_settings_from_the_row_that_is_chosen(bench):
    """pygame says a notch twice: as button 4 or 5 at the pointer, then as the wheel."""
    bench.show()
    bench.press(pygame.K_F2)
    bench.show(paused=True)
    pointer = bench.window.screen.size[0] // 2, 300
    assert bench.window._row_at(pointer) not in (None, 1, 2)
    for _ in range(3):
        before = bench.window._menus.menu.at
        bench.post(pygame.MOUSEBUTTONDOWN, pos=pointer, button=5)
        bench.post(pygame.MOUSEWHEEL, x=0, y=-1)
        bench.post(pygame.MOUSEWHEEL, x=1, y=0)
        bench.poll()
        assert bench.window._menus.menu.at == before + 1


def test_a_pointer_put_back_by_the_system_does_not_choose(bench):
    bench.show()
    bench.press(pygame.K_ESCAPE)
    for _ in range(3):
        bench.post(pygame.MOUSEMOTION, pos=(640, 400), rel=(0, 0), buttons=(0, 0, 0))
    bench.poll()
    assert bench.window._menus.menu.row.name == "resume"


def test_remapping_a_key_is_in_force_at_once_and_kept(bench, tmp_path):
    heard = []
    info = bench.world.info
    bench.window.enter_world(info, bindings_from(info.spec), on_bindings=heard.append)
    bench.show()
    bench.press(pygame.K_F2)
    bench.press(pygame.K_DOWN, pygame.K_RETURN)
    bench.press(pygame.K_k, down=True)
    assert [str(b) for b in heard[-1].channels["move_forward"]] == ["-k", "w", "pad.left_y"]
    assert "-k" in (tmp_path / "bindings.yaml").read_text()
    bench.show(paused=True)
    bench.press(pygame.K_k, down=False)
    assert names(bench.press(pygame.K_ESCAPE)) == ["pause"]
    assert bench.press(pygame.K_k, down=True) == [KeyEvent("k", True, 0.0)]


def test_a_mouse_button_can_be_bound_although_the_mouse_is_the_players(bench):
    bench.show()
    bench.press(pygame.K_F2)
    bench.press(pygame.K_DOWN, pygame.K_RETURN)
    bench.post(pygame.MOUSEBUTTONDOWN, pos=(5, 5), button=3)
    bench.poll()
    bound = [str(b) for b in bench.window.bindings.channels["move_forward"]]
    assert "-mouse.right" in bound


def test_loading_shows_progress(bench):
    pictures = []
    for share in (0.1, 0.9):
        bench.window.loading("transformer", share)
        pictures.append(bench.window.screen.picture())
    columns = changed(*pictures)[1]
    assert columns.stop - columns.start > 250


def test_presenting_goes_round_the_interpreters_lock(bench):
    """`ctypes` calls let go of it; a window that this SDL does not know has no such call."""
    screen = bench.window.screen
    assert screen._present != screen.renderer.present
    assert unlocked_present(screen.window.id) is not None
    assert unlocked_present(screen.window.id + 1000) is None
    assert (bench.show()[384] == bench.frame[192, 0]).all(), "and it shows the picture"


def test_an_edited_scene_keeps_the_players_keys_and_reaches_the_window(tmp_path, bench):
    from engine.cli.play_window import SceneEdits
    from engine.opening import OpeningConfig, hands_for, open_play
    from engine.scenes.load import load_scene

    scene, keys = tmp_path / "scene.yaml", tmp_path / "bindings.yaml"
    text = (
        "title: A test\nprompts: {{a: a meadow, b: {}}}\nbindings: {{channels: {{jump: [{}]}}}}\n"
    )
    scene.write_text(text.format("a castle", "f"))
    opening = open_play(OpeningConfig(what=str(scene), pack="null", user_bindings=keys, live=True))
    info, window, said = opening.world.info, bench.window, []
    first = hands_for(info, opening.scene, keys)
    window.config = replace(window.config, bindings_file=keys)
    window.enter_world(
        info, opening.hands.bindings, defaults=first.defaults, on_bindings=opening.mapper.rebind,
        presets=opening.hands.presets,
    )  # fmt: skip
    edits = SceneEdits(window, opening, keys, said.append)
    window._change_bindings(window.bindings.bind("move_forward", Binding.parse("i")))
    scene.write_text(text.format("a ruined castle", "g"))
    opening.director._on_change(load_scene(scene))
    edits.poll(0.0)
    for bindings in (opening.mapper.bindings, window.bindings):
        assert [str(b) for b in bindings.channels["move_forward"]] == ["i"]
        assert [str(b) for b in bindings.channels["jump"]] == ["g"]
    assert "a ruined castle" in window._presets and "a castle" not in window._presets
    assert window.screen.window.title == "A test"
    window._change_bindings(window.bindings.tuned(mouse_sensitivity=0.2))
    assert "jump" not in keys.read_text(), "the scene's key is not kept as the player's"
    assert said == []
