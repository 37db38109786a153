"""Controls, phases, memory and the player's own prompts."""

import json
import subprocess
import sys

import numpy as np
import pytest

from engine.director import Caption, TitleCard
from engine.input.events import PromptEntered
from engine.opening import OpeningConfig, open_play
from engine.overlays import OverlayTrack
from engine.scenes.director import MAX_PHASES_AT_ONCE, SceneDirector
from helios_core.actions import ActionSpec, Channel
from helios_core.null_world import NullWorld
from helios_core.packs import load_world
from tests.engine.scenes.playing import hold, play, scene_of, small_world, write

EVERYTHING = """\
counters: {n: 0}
flags: {f: false}
macros: {nod: "+0.3s: look_pitch=30; +0.3s: look_pitch=-30"}
autopilot: {track: "+1s: move_forward; +0.5s: look_yaw=90", after: 1s}
timeline:
  - {every: 1.5s, inject: {macro: nod, times: 2, over: 2f}, set: {n: n + 1}}
  - {at: 2s, scale: {channels: {look_yaw: 0.5}, for: 2s, over: 5f}, prompt: storm}
triggers:
  - {when: chance(0.4), cooldown: 0.5s, caption: luck}
  - {when: n >= 2 and not f, set: {f: true}, go: two}
  - {when: turned > 20 and distance > 2, once: true, prompt: meadow}
phases:
  one: {enter: {title: one}}
  two:
    enter: {title: two}
    timeline: [{at: 1s, caption: later}]
    triggers: [{when: phase_time > 2s, go: one}]
"""
KEYS = [*hold("w", 1.2, 2.7), *hold("right", 4.1, 4.9), *hold("e", 5.0, 5.01)]


# ---- limits, autopilot, bindings


def test_limits_scale_and_clip_what_the_player_does(tmp_path):
    body = "limits: {jump: 0, look_yaw: 0.5, move_forward: {low: 0, high: 0.7}}\n"
    script = "0-9: move_forward, look_yaw=100, jump; 10-19: move_forward=-1"
    played = play(scene_of(tmp_path, body), frames=20, script=script)
    assert played.channel("jump").max() == 0
    assert set(played.channel("look_yaw").tolist()) == {0, 50}
    assert played.channel("move_forward").tolist() == pytest.approx([0.7] * 10 + [0] * 10)


def test_the_request_is_kept_beside_what_was_applied(tmp_path):
    played = play(scene_of(tmp_path, "limits: {jump: 0}\n"), frames=8, script="0-7: jump")
    assert played.chunks[0].requested[:, 4].all() and not played.channel("jump").any()


def test_a_phase_overrides_limits_of_the_same_channels(tmp_path):
    body = "limits: {jump: 0, run: 0}\nphases: {a: {limits: {jump: 1}}}\n"
    played = play(scene_of(tmp_path, body), frames=12, script="0-11: jump, run")
    assert played.channel("jump")[:4].all() and not played.channel("run").any()


PILOT = 'autopilot: {track: "+8f: move_forward; +4f: look_yaw=50", after: 1s'


def test_autopilot_waits_then_walks_in_circles(tmp_path):
    forward = play(scene_of(tmp_path, PILOT + "}\n"), frames=60).channel("move_forward")
    assert not forward[:16].any()
    assert forward[16:40].tolist() == ([1] * 8 + [0] * 4) * 2


def test_autopilot_yields_to_any_touch_and_comes_back(tmp_path):
    body = PILOT + ", at_start: true}\n"
    played = play(scene_of(tmp_path, body), frames=80, events=hold("a", 1.0, 1.4))
    forward, strafe = played.channel("move_forward"), played.channel("strafe")
    assert forward[:8].all() and (strafe[20:28] == -1).all()
    touched = np.flatnonzero(strafe)[-1]
    assert not forward[20 : touched + 16].any() and forward[touched + 17 :].any()


def test_autopilot_without_a_loop_stops_at_the_end(tmp_path):
    body = PILOT + ", at_start: true, loop: false}\n"
    assert not play(scene_of(tmp_path, body), frames=60).applied[12:].any()


def test_limits_hold_for_the_autopilot_and_injection_has_the_last_word(tmp_path):
    body = PILOT + ", at_start: true}\nlimits: {move_forward: 0}\n"
    body += 'timeline: [{at: frame 4, inject: {track: "+2f: move_forward"}}]\n'
    played = play(scene_of(tmp_path, body), frames=12)
    assert np.flatnonzero(played.channel("move_forward")).tolist() == [4, 5]


def test_bindings_of_the_scene_move_keys(tmp_path):
    body = "bindings: {channels: {jump: [f]}, tuning: {dead_zone: 0.3}}\n"
    played = play(scene_of(tmp_path, body), frames=20, events=hold("f", 0.1, 0.6))
    assert played.channel("jump").any()


def test_a_track_on_a_channel_that_the_world_lacks_is_refused(tmp_path):
    world = NullWorld(spec=ActionSpec(channels=(Channel(name="jump", kind="button"),)))
    file = scene_of(tmp_path, 'macros: {a: "+1s: strafe"}\ntimeline: [{at: 1s, inject: a}]\n')
    with pytest.raises(ValueError, match="macro a needs strafe, which the pack null lacks"):
        SceneDirector(file, world.info)
    inline = scene_of(tmp_path, 'autopilot: {track: "+1s: strafe"}\n')
    with pytest.raises(ValueError, match="autopilot needs strafe, which the pack null lacks"):
        SceneDirector(inline, world.info)
    harmless = scene_of(tmp_path, "limits: {run: 0}\ntimeline: [{at: 0s, title: x}]\n")
    assert play(harmless, frames=8, world=world).applied.shape == (8, 1)


def test_a_world_without_actions_plays_by_text(tmp_path):
    world = NullWorld(height=24, width=40, spec=ActionSpec())
    file = scene_of(tmp_path, "timeline: [{at: 1s, prompt: storm}]\n")
    played = play(file, frames=40, world=world)
    assert played.applied.shape == (40, 0) and played.prompts[0][0] == 20


# ---- prompts


def test_a_typed_prompt_wins_over_the_scenes(tmp_path):
    file = scene_of(tmp_path, "timeline: [{at: 1s, prompt: storm}]\n")
    played = play(file, frames=40, events=[PromptEntered("my own", 1.0)])
    assert played.prompts == [(20, "my own", None)]


def test_a_picked_preset_takes_its_own_crossfade(tmp_path):
    played = play(scene_of(tmp_path, ""), frames=40, events=[PromptEntered("a storm at dusk", 1.0)])
    assert played.prompts == [(20, "a storm at dusk", 10)]


# ---- header


def test_hints_are_one_caption_when_the_scene_begins_and_not_again(tmp_path):
    lines = ["walk", "look", "run", "jump", "use", "type"]
    body = f"hints: [{', '.join(lines)}]\ntimeline: [{{at: 0s, caption: first}}]\n"
    played = play(scene_of(tmp_path, body), frames=40)
    shown = [(f, c.text, c.frames) for f, c in played.effects(Caption)]
    assert shown == [(0, "\n".join(lines), 100), (0, "first", 80)]
    track = OverlayTrack()
    for effect in played.chunks[0].effects:
        track = track.begin(effect, 0)
    assert len(track.at(0)) == 2, "all of them are seen"


def test_the_negative_prompt_reaches_a_world_with_guidance(tmp_path, monkeypatch):
    told: list[str | None] = []

    class Guided(NullWorld):
        def avoiding(self, negative: str | None) -> "Guided":
            told.append(negative)
            return self

    monkeypatch.setattr("engine.opening.load", lambda pack, **options: Guided(height=24, width=40))
    for body in ("negative: blurry\n", ""):
        open_play(OpeningConfig(what=str(write(tmp_path, body)), pack="null"))
    assert told == ["blurry", None]


def test_a_model_avoids_another_text_and_goes_back_to_its_own():
    own = load_world("random")
    other = own.avoiding("blurry")
    assert other.parts.negative_prompt == "blurry"
    assert other.parts.transformer is own.parts.transformer, "weights are shared"
    assert other.avoiding(None).parts.negative_prompt == own.parts.negative_prompt
    assert own.avoiding(None) is own


# ---- phases


def test_the_first_phase_is_entered_at_once_and_its_time_begins_there(tmp_path):
    body = (
        "phases:\n  a: {enter: {title: A}, timeline: [{at: 0s, caption: zero}, {at: 1s, go: b}]}\n"
    )
    body += "  b: {timeline: [{at: 0s, caption: b0}, {at: 1s, caption: b1}]}\n"
    played = play(scene_of(tmp_path, body), frames=60)
    assert [f for f, _ in played.effects(TitleCard)] == [0]
    captions = [(f, c.text) for f, c in played.effects(Caption)]
    assert captions == [(0, "zero"), (20, "b0"), (40, "b1")]


def test_a_circle_of_phases_ends(tmp_path):
    body = (
        "phases:\n  a: {enter: {go: b, set: {n: n + 1}}}\n  b: {enter: {go: a, set: {n: n + 1}}}\n"
    )
    played = play(scene_of(tmp_path, "counters: {n: 0}\n" + body), frames=4)
    assert played.director.memory.variables["n"] <= MAX_PHASES_AT_ONCE + 2


# ---- determinism and memory


def test_the_same_file_and_seed_give_the_same_frames(tmp_path):
    file = scene_of(tmp_path, EVERYTHING)
    runs = [play(file, frames=160, events=KEYS, seed=seed) for seed in (3, 3, 4)]
    assert np.array_equal(runs[0].frames, runs[1].frames)
    assert [c.events for c in runs[0].chunks] == [c.events for c in runs[1].chunks]
    assert [c.events for c in runs[0].chunks] != [c.events for c in runs[2].chunks]


def test_saving_and_restoring_at_every_chunk_changes_nothing(tmp_path):
    file = scene_of(tmp_path, EVERYTHING)
    plain = play(file, frames=160, events=KEYS)
    kept = play(file, frames=160, events=KEYS, save_and_restore=True)
    assert np.array_equal(plain.applied, kept.applied)
    assert [c.plan.events for c in plain.chunks] == [c.plan.events for c in kept.chunks]


def test_a_snapshot_survives_json_and_rewinds(tmp_path):
    file = scene_of(tmp_path, EVERYTHING)
    played = play(file, frames=160, events=KEYS)
    for chunk in (played.chunks[10], played.chunks[25]):
        director = SceneDirector(file, small_world().info)
        director.restore(json.loads(json.dumps(chunk.director_before)))
        assert json.dumps(director.snapshot()) == json.dumps(chunk.director_before)


def test_memory_does_not_grow(tmp_path):
    director = play(scene_of(tmp_path, EVERYTHING), frames=800).director
    early = len(json.dumps(director.snapshot()))
    play(director.file, frames=8000, director=director, world=small_world())
    assert len(json.dumps(director.snapshot())) < 1.5 * early


def test_other_chunk_lengths_play_the_same_story(tmp_path):
    body = (
        "timeline:\n  - {at: 1s, inject: {track: '+1s: look_yaw=90'}}\n  - {at: 2s, caption: x}\n"
    )
    file = scene_of(tmp_path, body)
    short = play(file, frames=96, world=small_world(chunk_frames=4))
    long = play(file, frames=96, world=small_world(chunk_frames=32))
    assert np.array_equal(short.applied, long.applied)
    assert [f for f, _ in long.effects(Caption)] == [32], "the chunk that holds frame 40"


def test_scenes_import_neither_pygame_nor_torch():
    modules = "director load live draw schema reference packs warnings"
    code = "import sys\n" + "".join(f"import engine.scenes.{m}\n" for m in modules.split())
    code += "assert not {'pygame', 'torch', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
