"""`helios new`, `timeline` and `run` as a user meets them."""

import re
from pathlib import Path

import pytest

from engine.cli import main
from engine.scenes.draw import timeline_sheet
from engine.scenes.load import check_scene, load_scene
from engine.scenes.packs import pack_facts
from engine.video import read_image
from helios_core.world_api import World
from tests.engine.scenes.playing import small_world, write
from tests.engine.scenes.test_demos import DEMOS, FOLDER, NAMES
from tests.engine.scenes.test_director import EVERYTHING


@pytest.fixture
def tiny(monkeypatch) -> World:
    """Small pictures instead of the full null world's: hashing is what is tested."""
    world = small_world()
    monkeypatch.setattr("engine.opening.load", lambda pack, **options: world)
    return world


def test_new_scene_is_free_of_mistakes_and_doubts(tmp_path, capsys):
    assert main(["new", "scene", "harbour-town", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "harbour-town.yaml"
    checked = check_scene(path, packs=lambda name: pack_facts("null"))
    assert checked.problems == () and checked.file.scene.title == "Harbour town"
    assert (tmp_path / "scene.schema.json").exists()
    assert main(["new", "scene", "harbour-town", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["new", "scene", "../up", "--folder", str(tmp_path)]) == 2


@pytest.mark.parametrize("path", DEMOS, ids=NAMES)
def test_the_timeline_of_a_demo_names_its_events(path):
    scene = load_scene(path).scene
    sheet = timeline_sheet(scene, 20)
    text = " ".join(mark.text for mark in sheet.marks)
    assert scene.title in text and all(name in text for name in (*scene.prompts, *scene.phases))
    assert all(trigger.when.text in text for trigger in scene.triggers)
    assert all(0 <= mark.x <= sheet.width and mark.y <= sheet.height for mark in sheet.marks)


def test_the_timeline_numbers_prompts_as_the_keys_do(tmp_path):
    scene = write(tmp_path, "").with_name("keys.yaml")
    scene.write_text("title: x\nprompts: {hidden: {text: a, menu: false}, first: b, second: c}\n")
    texts = [mark.text for mark in timeline_sheet(load_scene(scene).scene, 20).marks]
    assert {"hidden", "1  first", "2  second"} <= set(texts)


def test_timeline_as_svg_and_png(tmp_path, capsys):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    scene = str(FOLDER / "haunted_forest.yaml")
    assert main(["timeline", scene, "--out", str(svg)]) == 0
    assert svg.read_text(encoding="utf-8").startswith("<svg ")
    assert main(["timeline", scene, "--out", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert main(["timeline", scene, "--out", str(tmp_path / "new" / "a.png")]) == 0
    assert (tmp_path / "new" / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["timeline", scene, "--out", str(png / "a.png")]) == 2, "its folder is a file"
    assert main(["timeline", scene, "--out", str(tmp_path / "a.txt")]) == 2
    assert "neither an .svg nor a .png" in capsys.readouterr().err


def frame_hash(out: str) -> str:
    return re.search(r"frame hash ([0-9a-f]{64})", out)[1]


def test_run_prints_a_hash_and_checks_it(tmp_path, tiny, capsys):
    scene = str(write(tmp_path, EVERYTHING))
    run = ["run", scene, "--pack", "null", "--frames", "80", "--captures", str(tmp_path)]
    assert main(run) == 0
    found = frame_hash(capsys.readouterr().out)
    assert main([*run, "--expect", found]) == 0
    assert main([*run, "--expect", found[:12]]) == 0
    assert main([*run, "--expect", "0" * 64]) == 1
    assert "expected the hash" in capsys.readouterr().err
    assert main([*run, "--seed", "9"]) == 0
    assert frame_hash(capsys.readouterr().out) != found


def test_run_obeys_actions_and_writes_a_video(tmp_path, tiny, capsys):
    scene = str(write(tmp_path, ""))
    (tmp_path / "walk.txt").write_text("0-19: move_forward")
    run = ["run", scene, "--pack", "null", "--frames", "40"]
    assert main(run) == 0
    still = frame_hash(capsys.readouterr().out)
    video = tmp_path / "out.mp4"
    assert main([*run, "--actions", str(tmp_path / "walk.txt"), "--out", str(video)]) == 0
    assert frame_hash(capsys.readouterr().out) != still
    assert video.stat().st_size > 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_run_with_a_video_that_is_not_whole_is_exit_1(tmp_path, tiny, capsys):
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    run = ["run", str(write(tmp_path, "")), "--pack", "null", "--frames", "8"]
    assert main([*run, "--out", str(tmp_path / "full.mp4")]) == 1
    assert "No space left" in capsys.readouterr().err


def test_run_ends_with_the_scene_and_follows_jumps(tmp_path, tiny, capsys):
    write(tmp_path, "timeline: [{at: 1s, end: true}]\n", "second.yaml")
    scene = write(tmp_path, "timeline: [{at: 2s, jump: second.yaml}]\n")
    assert main(["run", str(scene), "--pack", "null"]) == 0
    assert capsys.readouterr().out.startswith("60 frames of null")


def test_run_puts_the_whole_play_onto_a_sheet_across_jumps(tmp_path, tiny):
    write(tmp_path, "timeline: [{at: 1s, end: true}]\n", "second.yaml")
    scene = write(tmp_path, "timeline: [{at: 2s, jump: second.yaml}]\n")
    out = tmp_path / "sheet.png"
    run = ["run", str(scene), "--pack", "null", "--sheet", str(out), "--every"]
    assert main([*run, "0.5"]) == 0
    height, width = tiny.info.height, tiny.info.width
    assert read_image(out).shape == (height, 6 * width, 3)


def test_a_picture_of_the_next_scene_does_not_replace_one_of_its_name(tmp_path, tiny, capsys):
    write(tmp_path, "timeline: [{at: 0s, screenshot: view}, {at: 1s, end: true}]\n", "second.yaml")
    body = "timeline: [{at: 0s, screenshot: view}, {at: 1s, jump: second.yaml}]\n"
    run = ["run", str(write(tmp_path, body)), "--pack", "null", "--captures", str(tmp_path)]
    assert main(run) == 0 and main(run) == 0, "playing again overwrites them"
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["view-2.png", "view.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sheet", "sheet.jpg"], "contact sheets are written as .png"),
        (["--sheet", "sheet.png", "--every", "0"], "ask for more than 0"),
        (["--sheet", "sheet.png", "--every", "inf"], "every inf seconds: ask for more than 0"),
        (["--every", "nan"], "every nan seconds: ask for more than 0"),
        (["--frames", "0"], "ask for at least 1"),
        (["--expect", "xyz"], "8 to 64 digits of a frame hash"),
        ([], "never ends by itself; say how long: --frames N"),
    ],
)
def test_run_says_what_is_wrong(tmp_path, capsys, arguments, says):
    assert main(["run", str(write(tmp_path, "")), "--pack", "null", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_run_names_the_mistakes_of_a_scene(tmp_path, capsys):
    path = write(tmp_path, "seed: x\n")
    assert main(["run", str(path), "--frames", "4"]) == 2
    assert f"{path}:5:7: seed: expected a whole number, not 'x'" in capsys.readouterr().err
    assert main(["run", str(Path("nothere.yaml")), "--frames", "4"]) == 2


@pytest.mark.parametrize("command", ["check", "run", "new", "timeline"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0 and "example:" in capsys.readouterr().out
