"""Every kind of effect, from the file to the plan that the engine gets."""

import numpy as np
import pytest

from engine.director import (
    Caption,
    EndSession,
    Fade,
    JumpScene,
    LoadState,
    PlaySound,
    SaveState,
    Screenshot,
    StartRecording,
    StopRecording,
    TitleCard,
)
from engine.input.events import KeyEvent
from engine.scenes.effects import Effects
from engine.scenes.reference import table
from engine.scenes.scene import Scene
from tests.engine.scenes.playing import Played, play, scene_of


def at(tmp_path, event: str, *, frames: int = 60, head: str = "", **options) -> Played:
    """A scene with one event at 1 s, played."""
    body = f"{head}timeline:\n  - {{at: 1s, {event}}}\n"
    return play(scene_of(tmp_path, body), frames=frames, **options)


def test_prompt_crossfades_over_the_prompts_own_time(tmp_path):
    assert at(tmp_path, "prompt: storm").prompts == [(20, "a storm at dusk", 10)]


def test_prompt_crossfades_over_the_time_given(tmp_path):
    played = at(tmp_path, "prompt: {to: storm, over: 4s}")
    assert played.prompts == [(20, "a storm at dusk", 20)]
    assert played.chunks[5].state_after.prompt.weight == pytest.approx(1 / 20)


def test_prompt_switches_at_once_over_no_time(tmp_path):
    assert at(tmp_path, "prompt: {to: storm, over: 0s}").prompts == [(20, "a storm at dusk", 1)]


def test_inject_replaces_only_the_channels_that_it_names(tmp_path):
    played = at(
        tmp_path, 'inject: {track: "+0.5s: look_yaw=90"}', script="0-59: move_forward, look_yaw=-10"
    )
    assert (played.channel("move_forward") == 1).all()
    yaw = played.channel("look_yaw")
    assert (yaw[:20] == -10).all() and (yaw[20:30] == 90).all() and (yaw[30:] == -10).all()


def test_inject_begins_at_its_very_frame_inside_a_chunk(tmp_path):
    body = 'timeline:\n  - {at: frame 22, inject: {track: "0-2: jump"}}\n'
    played = play(scene_of(tmp_path, body), frames=40)
    assert np.flatnonzero(played.channel("jump")).tolist() == [22, 23, 24]


def test_inject_a_macro_by_name_and_its_reverse(tmp_path):
    head = 'macros:\n  out: "+2f: move_forward; +1f: look_yaw=60, jump"\n  back: {reverse: out}\n'
    there = at(tmp_path, "inject: out", head=head)
    back = at(tmp_path, "inject: back", head=head)
    assert there.channel("move_forward")[20:23].tolist() == [1, 1, 0]
    assert back.channel("move_forward")[20:23].tolist() == [0, -1, -1]
    assert back.channel("look_yaw")[20:23].tolist() == [-60, 0, 0]
    assert back.channel("jump")[20:23].tolist() == [1, 0, 0]


def test_inject_adds_repeats_and_blends(tmp_path):
    played = at(
        tmp_path,
        'inject: {track: "+0.2s: look_yaw=40", mode: add, times: 2}',
        script="0-59: look_yaw=10",
    )
    assert played.channel("look_yaw")[18:30].tolist() == [10, 10, *[50] * 8, 10, 10]
    blended = at(tmp_path, 'inject: {track: "+7f: look_yaw=80", over: 3f, ease: linear}')
    assert blended.channel("look_yaw")[20:27].tolist() == [20, 40, 60, 80, 60, 40, 20]


def test_injected_values_stay_within_the_spec(tmp_path):
    played = at(
        tmp_path, 'inject: {track: "+1s: move_forward", mode: add}', script="0-59: move_forward=0.8"
    )
    assert played.channel("move_forward").max() == 1.0


def test_scale_holds_until_the_time_is_up(tmp_path):
    played = at(
        tmp_path, "scale: {channels: {move_forward: 0.5}, for: 1s}", script="0-79: move_forward"
    )
    forward = played.channel("move_forward")
    assert (forward[:20] == 1).all() and (forward[20:40] == 0.5).all() and (forward[40:] == 1).all()


@pytest.mark.parametrize(
    ("length", "factors"),
    [
        ("8f", [0.75, 0.5, 0.25, 0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1]),
        ("2f", [0.75, 0.5, 0.625, 0.75, 0.875, 1, 1]),  # ends on its way, and goes back from there
    ],
)
def test_scale_ramps_there_and_back_with_its_easing(tmp_path, length, factors):
    played = at(
        tmp_path,
        f"scale: {{channels: {{move_forward: 0}}, for: {length}, over: 4f, ease: linear}}",
        script="0-79: move_forward",
    )
    forward = played.channel("move_forward")[20 : 20 + len(factors)].tolist()
    assert forward == factors


def test_scale_without_an_end_lasts_and_minus_one_turns_round(tmp_path):
    played = at(tmp_path, "scale: {channels: {look_yaw: -1}}", script="0-59: look_yaw=30")
    assert (played.channel("look_yaw")[20:] == -30).all()


def test_sound(tmp_path):
    (tmp_path / "boo.ogg").write_bytes(b"")
    played = at(tmp_path, "sound: {file: boo.ogg, volume: 0.5, loop: true}")
    sound = PlaySound(file=str(tmp_path / "boo.ogg"), volume=0.5, loop=True)
    assert played.effects(PlaySound) == [(20, sound)]


def test_caption_and_its_short_form(tmp_path):
    whisper = at(tmp_path, "caption: {text: psst, for: 2s, style: whisper}")
    assert whisper.effects(Caption) == [(20, Caption(text="psst", frames=40, style="whisper"))]
    assert at(tmp_path, "caption: hi").effects(Caption) == [(20, Caption(text="hi", frames=80))]


def test_title(tmp_path):
    played = at(tmp_path, "title: {text: Act one, for: 1s}")
    assert played.effects(TitleCard) == [(20, TitleCard(text="Act one", frames=20))]


def test_fade(tmp_path):
    played = at(tmp_path, 'fade: {to: colour, over: 2s, colour: "#102030"}')
    assert played.effects(Fade) == [(20, Fade(to="colour", frames=40, colour=(16, 32, 48)))]
    back = at(tmp_path, "fade: picture")
    assert back.effects(Fade) == [(20, Fade(to="picture", frames=20))]


def test_screenshot(tmp_path):
    assert at(tmp_path, "screenshot: before").effects(Screenshot) == [
        (20, Screenshot(name="before"))
    ]


def test_record(tmp_path):
    played = at(tmp_path, "record: {do: start, name: walk}")
    assert played.effects(StartRecording) == [(20, StartRecording(dir="walk"))]
    assert at(tmp_path, "record: stop").effects(StopRecording) == [(20, StopRecording())]


def test_save_and_load_bring_back_world_and_scene(tmp_path):
    body = """\
counters: {n: 0}
timeline:
  - {at: 1s, save: here}
  - {at: 2s, set: {n: n + 1}}
triggers:
  - {when: tapped(b), load: here}
"""
    played = play(
        scene_of(tmp_path, body),
        frames=80,
        script="0-200: move_forward",
        events=[KeyEvent("b", True, 3.0)],
    )
    assert played.effects(SaveState)[0] == (20, SaveState(name="here"))
    index = next(i for i, c in enumerate(played.chunks) if LoadState(name="here") in c.effects)
    loaded = played.chunks[index]
    assert loaded.index == 5 and loaded.branch == 1, "generated from the state at frame 20"
    assert loaded.state_before == played.chunks[5].state_before
    assert loaded.director_after["variables"]["n"] == 0 and loaded.director_after["frame"] == 24


def test_every_load_lands_on_the_same_chunk_and_the_scene_goes_on_behind_it(tmp_path):
    body = """\
timeline:
  - {at: 1s, save: here, prompt: {to: storm, over: 1s}}
triggers:
  - {when: time >= 2s, load: here}
"""
    played = play(scene_of(tmp_path, body), frames=120)
    assert [f for f, _ in played.effects(SaveState)] == [20], "a load does not save again"
    assert [chunk.index for chunk in played.chunks] == [*range(10), *range(5, 10)] + [
        *range(5, 10)
    ] * 3
    frames = [c.director_after["frame"] - 4 for c in played.chunks[10:]]
    assert frames == [c.first_frame for c in played.chunks[10:]]
    loaded = [c.plan for c in played.chunks[10:] if c.index == 5]
    assert {(plan.prompt, plan.crossfade) for plan in loaded} == {("a storm at dusk", 5)}
    assert played.chunks[10].director_before == played.chunks[5].director_before


def test_load_of_what_was_never_saved_is_said_and_not_done(tmp_path):
    played = at(tmp_path, "load: nowhere")
    assert played.effects(LoadState) == []
    [(_, caption)] = played.effects(Caption)
    assert caption.text == "nothing was saved as nowhere so far" and caption.style == "warning"


def test_set_works_out_all_values_before_any_changes(tmp_path):
    body = "counters: {a: 1, b: 2}\nflags: {f: false}\n"
    played = at(tmp_path, "set: {a: b, b: a + 10, f: not f}", head=body)
    assert played.director.memory.variables == {"a": 2.0, "b": 11.0, "f": True}


def test_counters_stay_finite(tmp_path):
    body = "counters: {a: 1000000}\n"
    body += "triggers:\n  - {when: true, cooldown: 0s, set: {a: a * a}}\n"
    played = play(scene_of(tmp_path, body), frames=60)
    assert played.director.memory.variables["a"] == 1e9


def test_go(tmp_path):
    body = "phases:\n  one: {}\n  two: {enter: {caption: two}}\n"
    played = at(tmp_path, "go: two", head=body)
    assert played.director.memory.phase == "two"
    assert played.effects(Caption)[0][0] == 20


def test_anchor_renew(tmp_path):
    played = at(tmp_path, "anchor: renew")
    assert [c.index for c in played.chunks if c.plan.reanchor] == [5]
    assert played.chunks[-1].state_after.anchor_chunk == 5


@pytest.mark.parametrize(
    ("keep", "anchor", "last"),
    [
        ("nothing", False, 0),
        ("anchor", True, 0),
        ("last", False, 2),
        ("{keep: last, latents: 3}", False, 3),
    ],
)
def test_cut(tmp_path, keep, anchor, last):
    played = at(tmp_path, f"cut: {keep}")
    [cut] = [c.plan.cut for c in played.chunks if c.plan.cut]
    assert (cut.keep_anchor, cut.keep_last) == (anchor, last)


def test_jump(tmp_path):
    (tmp_path / "other.yaml").write_text("")
    played = at(tmp_path, "jump: other.yaml")
    assert played.effects(JumpScene)[0] == (20, JumpScene(path=str(tmp_path / "other.yaml")))


def test_end(tmp_path):
    assert at(tmp_path, "end: true").effects(EndSession)[0] == (20, EndSession())


def test_one_event_does_several_things_in_the_order_of_the_keys(tmp_path):
    played = at(tmp_path, "title: a, caption: b, prompt: storm")
    assert [type(e) for e in played.chunks[5].effects] == [Caption, TitleCard]
    assert played.prompts and played.chunks[5].events == ("timeline[1]",)


def test_every_effect_has_a_test_here():
    kinds = {key for key, *_ in table(Effects)}
    words = {name.removeprefix("test_").split("_")[0] for name in globals() if "test_" in name}
    assert kinds <= words | {"load", "jump", "set"}, kinds - words


def test_scene_is_a_plain_value(tmp_path):
    assert isinstance(scene_of(tmp_path, "").scene, Scene)
    assert scene_of(tmp_path, "seed: 3\n").scene == scene_of(tmp_path, "seed: 3\n").scene
