"""Every kind of condition, and when triggers fire."""

import numpy as np
import pytest

from engine.scenes.director import SceneDirector
from engine.scenes.expressions import FUNCTIONS, SENSES
from helios_core.world_api import Arriving
from tests.engine.scenes.playing import hold, play, scene_of, small_world

TRIGGER = 'triggers:\n  - {{name: it, when: "{when}"{more}, caption: now}}\n'


def fired(tmp_path, when: str, *, frames: int = 100, more: str = "", head: str = "", **options):
    """First frames of the chunks in which a trigger with this condition fires."""
    body = head + TRIGGER.format(when=when, more=more and f", {more}")
    return play(scene_of(tmp_path, body), frames=frames, **options).events("it")


def test_time(tmp_path):
    assert fired(tmp_path, "time >= 0m2s and time < 1m30s") == [40]
    assert fired(tmp_path, "time >= 2s") == [40]
    assert fired(tmp_path, "time >= 40f") == [40]


def test_phase_time_and_phase(tmp_path):
    head = "timeline:\n  - {at: 2s, go: two}\nphases:\n  one: {}\n  two: {}\n"
    assert fired(tmp_path, "phase(two) and phase_time >= 1s", head=head) == [60]
    assert fired(tmp_path, "phase(one)", head=head) == [0], "it begins with the scene"


def test_the_first_phase_begins_with_the_scene(tmp_path):
    phases = "phases: {a: {}, b: {}}\n"
    assert fired(tmp_path, "not phase(a)", head=phases) == []
    assert fired(tmp_path, "phase(a)", head=phases) == [0]


def test_idle_counts_from_the_last_touch(tmp_path):
    assert fired(tmp_path, "idle >= 1s") == [16]
    assert fired(tmp_path, "idle >= 1s", events=hold("w", 0.5, 1.0)) == [40]
    assert fired(tmp_path, "idle >= 1s", script="0-39: strafe") == [56]


def test_held_key_for_a_time(tmp_path):
    assert fired(tmp_path, "held(e) >= 1s", events=hold("e", 0.9, 3.0)) == [36]
    assert fired(tmp_path, "held(e) >= 1s", events=hold("e", 0.9, 1.5)) == []
    assert fired(tmp_path, "held(left shift) >= 1s", events=hold("left shift", 0.0, 3.0)) == [16]


def test_held_channel_for_a_time_by_key_or_script(tmp_path):
    assert fired(tmp_path, "held(move_forward) >= 1s", events=hold("w", 0.9, 3.0)) == [36]
    assert fired(tmp_path, "held(move_forward) >= 1s", script="20-60: move_forward=0.3") == [36]


def test_tapped_sees_a_press_shorter_than_a_chunk(tmp_path):
    assert fired(tmp_path, "tapped(e)", events=hold("e", 1.01, 1.02)) == [24]
    assert fired(tmp_path, "tapped(jump)", events=hold("space", 1.01, 1.02)) == [24]


def test_chance_is_drawn_from_the_seed_and_has_its_rate(tmp_path):
    draws = [
        fired(tmp_path, "chance(0.3)", frames=4000, more="cooldown: 0s", seed=seed)
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    share = np.mean([len(d) / 1000 for d in draws])
    assert share == pytest.approx(1 - 0.7**0.2, rel=0.25)
    assert fired(tmp_path, "chance(0)") == [] and fired(tmp_path, "chance(1)") == [0]


def test_chance_of_two_triggers_is_not_the_same(tmp_path):
    body = "triggers:\n" + "  - {when: chance(0.3), cooldown: 0s, caption: x}\n" * 2
    played = play(scene_of(tmp_path, body), frames=800)
    assert played.events("chance(0.3)") != played.events("chance(0.3)#2")


def test_chance_of_two_values_is_not_the_same(tmp_path):
    body = "flags: {l: false, r: false}\ntriggers:\n"
    body += "  - {when: true, cooldown: 0s, set: {l: chance(0.9), r: chance(0.9)}}\n"
    played = play(scene_of(tmp_path, body), frames=400)
    drawn = [chunk.director_after["variables"] for chunk in played.chunks]
    assert {(d["l"], d["r"]) for d in drawn} == {(a, b) for a in (0, 1) for b in (0, 1)}


def test_prompt_and_crossfade(tmp_path):
    head = "timeline:\n  - {at: 1s, prompt: storm}\n"
    assert fired(tmp_path, "prompt(storm)", head=head) == [24]
    assert fired(tmp_path, "prompt(storm) and crossfade >= 1", head=head) == [60]
    assert fired(tmp_path, "prompt(storm) and crossfade >= 0.5", head=head) == [40]


def test_counters_and_flags(tmp_path):
    head = "counters: {n: 0}\nflags: {f: false}\ntimeline:\n"
    head += "  - {every: 1s, set: {n: n + 1}}\n  - {at: 3s, set: {f: true}}\n"
    assert fired(tmp_path, "n == 2", head=head) == [44]
    assert fired(tmp_path, "f", head=head) == [64]


class Painted:
    """A null world whose frames have one colour: grey until frame 40, then what it was told."""

    def __init__(self, colour: tuple[int, int, int]) -> None:
        self.world, self.colour = small_world(), colour
        self.info = self.world.info

    def __getattr__(self, name):
        return getattr(self.world, name)

    def begin_decode(self, state, latents):
        frames = np.full((4, 24, 40, 3), 128, np.uint8)
        if latents.first_frame >= 40:
            frames[:] = self.colour
        return Arriving(lambda: frames)


@pytest.mark.parametrize(
    ("when", "colour"),
    [
        ("brightness > 0.9", (255, 255, 255)),
        ("brightness < 0.1 and time > 1s", (0, 0, 0)),
        ("red > 0.9 and green < 0.1", (255, 0, 0)),
        ("green > 0.9 and blue < 0.1", (0, 255, 0)),
        ("blue > 0.9 and red < 0.1", (0, 0, 255)),
    ],
)
def test_frames_of_a_chunk_act_in_the_next(tmp_path, when, colour):
    assert fired(tmp_path, when, world=Painted(colour)) == [44]


def test_a_condition_on_the_picture_waits_until_there_is_one(tmp_path):
    bright = Painted((128, 128, 128))
    assert fired(tmp_path, "brightness < 0.2", world=bright) == []
    assert fired(tmp_path, "brightness < 0.6", world=bright) == [4]
    assert fired(tmp_path, "time > 1s or brightness < 0.2", world=bright) == [24]


def test_a_rewind_does_not_fire_a_condition_on_the_picture_again(tmp_path):
    file = scene_of(tmp_path, "triggers: [{when: brightness < 0.6, caption: grey}]\n")
    world = Painted((128, 128, 128))
    director = SceneDirector(file, world.info)
    play(file, frames=20, world=world, director=director)
    again = play(file, frames=20, world=world, director=director)  # goes on without a last frame
    assert again.events("brightness < 0.6") == []


def test_distance_and_away_are_integrated_from_applied_actions(tmp_path):
    there_and_back = "0-39: move_forward; 40-79: move_forward=-1"
    assert fired(tmp_path, "distance >= 8", script=there_and_back) == [40]
    assert fired(tmp_path, "distance >= 12", script=there_and_back) == [60]
    assert fired(tmp_path, "away < 4 and time > 2s", script=there_and_back) == [64]
    halved = "limits: {move_forward: 0.5}\n"
    assert fired(tmp_path, "distance >= 4", script=there_and_back, head=halved) == [40]
    faster = "speed: {walk: 8}\n"
    assert fired(tmp_path, "distance >= 8", script=there_and_back, head=faster) == [20]
    running = "0-39: move_forward, run"
    assert fired(tmp_path, "distance >= 8", script=running) == [20]


def test_turned_is_signed_and_does_not_wrap(tmp_path):
    assert fired(tmp_path, "turned >= 360", script="0-99: look_yaw=180") == [40]
    assert fired(tmp_path, "turned <= -90", script="0-99: look_yaw=-90") == [20]
    assert fired(tmp_path, "tilted >= 30", script="0-19: look_pitch=60") == [12]


def test_a_square_walk_ends_where_it_began(tmp_path):
    side = "{a}-{b}: move_forward; {c}-{d}: look_yaw=90"
    parts = []
    for i in range(4):
        a = i * 40
        parts.append(side.format(a=a, b=a + 19, c=a + 20, d=a + 39))
    played = play(scene_of(tmp_path, ""), frames=160, script="; ".join(parts))
    odometer = played.director.memory.odometer
    assert odometer.distance == pytest.approx(16) and odometer.away == pytest.approx(0, abs=1e-3)


def test_and_or_not_combine(tmp_path):
    head = "flags: {wet: true}\n"
    assert fired(tmp_path, "time > 1s and not wet", head=head) == []
    assert fired(tmp_path, "(time > 1s or wet) and idle > 1s", head=head) == [20]


def test_arithmetic(tmp_path):
    assert fired(tmp_path, "min(time, 1) == 1 and max(time, 3) == 3 and abs(-2) == 2") == [20]
    assert fired(tmp_path, "time % 2 == 1 and 1 / 0 == 0") == [20, 60]
    assert fired(tmp_path, "-time * 2 + 1 <= 1 - 4") == [40]


def test_fires_when_it_turns_true_and_again_after_it_was_false(tmp_path):
    assert fired(tmp_path, "time % 2 < 1", frames=100) == [0, 40, 80]


def test_once(tmp_path):
    assert fired(tmp_path, "time % 2 < 1", more="once: true") == [0]


def test_cooldown_fires_again_while_it_holds(tmp_path):
    assert fired(tmp_path, "time >= 1s", more="cooldown: 1s") == [20, 40, 60, 80]
    assert fired(tmp_path, "time >= 4s", more="cooldown: 0s") == [80, 84, 88, 92, 96]
    assert fired(tmp_path, "time % 1 < 0.2", more="cooldown: 2s") == [0, 40, 80]


def test_a_phase_forgets_its_triggers_when_it_is_entered_again(tmp_path):
    body = """\
triggers:
  - {when: tapped(g), cooldown: 0s, go: two}
phases:
  one: {}
  two: {triggers: [{name: it, when: phase_time > 0.5s, once: true, caption: x}]}
"""
    taps = [*hold("g", 1.0, 1.01), *hold("g", 3.0, 3.01)]
    played = play(scene_of(tmp_path, body), frames=100, events=taps)
    assert played.events("two/it") == [32, 72]


def test_every_sense_and_function_has_a_test_here():
    with open(__file__, encoding="utf-8") as stream:
        text = stream.read()
    assert not [word for word in (*SENSES, *FUNCTIONS) if word not in text]
