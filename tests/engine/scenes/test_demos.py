"""Every demo that ships: free of mistakes and doubts, shown on the start screen, and playable."""

from pathlib import Path

import numpy as np
import pytest

from engine.cli import main
from engine.director import Caption, EndSession, JumpScene, PlaySound
from engine.input.events import KeyEvent
from engine.scenes.load import check_scene, load_scene
from engine.scenes.packs import pack_facts
from tests.engine.scenes.playing import Played, hold, play

FOLDER = Path(__file__).resolve().parents[3] / "demos"
DEMOS = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.startswith("_"))
NAMES = [path.stem for path in DEMOS]


def demo(name: str, seconds: float, **options) -> Played:
    return play(FOLDER / f"{name}.yaml", frames=round(seconds * 20), **options)


def walk(start: float = 0.0, stop: float = 1000.0, *, run: bool = False) -> list[KeyEvent]:
    keys = hold("w", start, stop)
    return keys + hold("left shift", start, stop) if run else keys


def test_there_are_enough():
    assert len(DEMOS) >= 9


@pytest.mark.parametrize("path", DEMOS, ids=NAMES)
def test_no_mistake_and_no_doubt(path):
    checked = check_scene(path, packs=lambda name: pack_facts("null"))
    assert [str(problem) for problem in checked.problems] == []
    scene = checked.file.scene
    assert scene.description and scene.author and scene.thumbnail
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=")


@pytest.mark.parametrize("path", DEMOS, ids=NAMES)
def test_plays_twice_the_same(path):
    keys = [*walk(3.0, 5.0), *hold("right", 6.0, 6.5)]
    runs = [play(path, frames=200, events=keys) for _ in range(2)]
    assert np.array_equal(runs[0].frames, runs[1].frames)
    assert any(chunk.events for chunk in runs[0].chunks), "nothing ever happens"
    sounds = [sound for _, sound in runs[0].effects(PlaySound)]
    assert all(Path(sound.file).is_file() for sound in sounds)


def test_free_walk_crosses_borders():
    played = demo("free_walk", 45, events=walk(run=True))
    texts = [text for _, text, _ in played.prompts]
    assert len(texts) == 5 and texts[0].startswith("deep green woods")


def test_one_day_passes_in_two_minutes():
    played = demo("one_day", 121)
    assert [round(f / 20) for f, *_ in played.prompts] == [16, 34, 52, 68, 86, 102]
    assert played.effects(EndSession)[0][0] == 2400


def test_the_storm_waits_for_idlers_only():
    assert len(demo("waiting_storm", 20, events=walk(0.2)).prompts) == 1, "the first phase's own"
    idle = demo("waiting_storm", 20).prompts
    assert [text.rpartition(" in ")[2] for _, text, _ in idle[-2:]] == [
        "the rain",
        "a thunderstorm",
    ]
    back = demo("waiting_storm", 25, events=walk(18.0)).prompts
    assert "clear sky" in back[-1][1]


@pytest.mark.parametrize(("run", "title"), [(True, "Gold"), (False, "Night fell first")])
def test_the_race_has_two_endings(run, title):
    played = demo("canyon_race", 95, events=walk(run=run))
    titles = [event for chunk in played.chunks for event in chunk.effects if hasattr(event, "text")]
    assert title in [event.text for event in titles]
    assert played.effects(EndSession if run else JumpScene)
    assert not played.channel("move_forward")[:56].any(), "held back until the start"


def test_the_tour_yields_to_a_key_and_returns():
    played = demo("guided_tour", 30, events=hold("a", 10.0, 11.0))
    moved = np.abs(played.applied).sum(1) > 0
    assert moved[:100].all() and not moved[225:330].any() and moved[350:].any()
    alone = [f for f, c in played.effects(Caption) if "alone" in c.text]
    assert len(alone) == 1 and 200 <= alone[0] < 220, "told when she takes over, not before"


def test_the_forest_has_four_acts():
    played = demo("haunted_forest", 160)
    phases = dict.fromkeys(chunk.director_after["phase"] for chunk in played.chunks)
    assert list(phases) == ["the_way_in", "the_fog", "the_stones", "the_fire"]
    assert played.effects(EndSession)


def test_there_and_back_is_a_palindrome():
    played = demo("there_and_back", 30, events=walk())
    yaw, forward = played.channel("look_yaw"), played.channel("move_forward")
    assert np.array_equal(forward[60:260], -forward[320:520][::-1])
    assert np.array_equal(yaw[60:260], -yaw[320:520][::-1]) and forward[60:260].any()
    assert played.director.memory.odometer.away < 0.5
    assert played.events("time > 20s and away < 0.5")


def test_the_picture_answers_a_held_key():
    assert demo("picture_world", 12, events=hold("e", 4.0, 6.0)).prompts[0][1].endswith("at night")
    assert demo("picture_world", 12, events=hold("e", 4.0, 4.5)).prompts == []


def test_postcards_go_on_and_back():
    played = demo("postcards", 12, events=[*hold("q", 2.0, 2.1), *hold("q", 4.0, 4.1)])
    assert [c.plan.cut is not None for c in played.chunks].count(True) == 3
    back = demo("postcards", 10, events=[*hold("q", 2.0, 2.1), *hold("b", 5.0, 5.1)])
    assert back.chunks[-1].index < len(back.chunks) - 1, "time went back with the state"


def test_the_weather_changes_every_eight_seconds():
    assert [f for f, *_ in demo("weather_station", 57).prompts] == [160, 320, 480, 640, 800, 960]


def test_the_bench_ignores_the_player_and_ends_at_frame_600():
    touched = demo("lab", 31, events=walk(run=True))
    assert np.array_equal(touched.applied, demo("lab", 31).applied)
    assert touched.effects(EndSession)[0][0] == 600
    assert touched.channel("look_yaw").sum() == 0


def test_shared_files_are_no_demos():
    assert load_scene(FOLDER / "free_walk.yaml").files[0].name == "_common.yaml"
    assert "_common" not in NAMES


def test_shared_files_are_no_scenes_and_are_checked_as_what_they_are(tmp_path, capsys):
    assert main(["check", "--strict", *map(str, sorted(FOLDER.glob("*.yaml")))]) == 0
    count = len(DEMOS)
    assert f"{count} scenes: {count} can be played, 1 file shared" in capsys.readouterr().out
    shared = tmp_path / "_mine.yaml"
    shared.write_text("hints: [a]\ntimeline:\n- {at: 1s, prompt: noon, caption: '${vars.x}'}\n")
    assert main(["check", str(shared)]) == 0, "the scene that uses it knows noon and vars.x"
    shared.write_text("hint: [a]\nmacros: {a: '+1s'}\n")
    assert main(["check", str(shared)]) == 1
    out = capsys.readouterr().out
    assert "_mine.yaml:1:1: hint: no such key here; did you mean 'hints'" in out
    assert "_mine.yaml:2:14: macros.a" in out
    assert main(["play", "--headless", "--frames", "4", str(shared)]) == 2
