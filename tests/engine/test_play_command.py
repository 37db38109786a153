"""`helios play` and `helios bench play` as a user runs them: files, exit codes, sentences."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.cli import main
from engine.input.events import Command
from engine.video import png_bytes, read_clip
from helios_core.codecs.beside import BesideCodec
from helios_core.packs import build
from tests.engine.playing import play

ROOT = Path(__file__).resolve().parents[2]

PLAINLY = ("--pack", "random", "--device", "cpu", "--dtype", "fp32", "--threads", "1")


def helios(*arguments: object, capsys=None) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "walk.txt"
    path.write_text("0-23: move_forward\n24-47: look_yaw=-60, run  # turn\n")
    return path


def test_a_headless_play_is_the_same_every_time(tmp_path, script, capsys):
    hashes = []
    for name in ("a.mp4", "b.mp4"):
        code, out, _ = helios(
            *("play", "--headless", "--pack", "null", "--frames", 50, "--out", tmp_path / name),
            *("--actions", script, "--seed", 3),
            capsys=capsys,
        )
        assert code == 0
        hashes.append(out.split("frame hash ")[1])
    assert hashes[0] == hashes[1]
    assert read_clip(tmp_path / "a.mp4").shape == (50, 384, 640, 3)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    _, out, _ = helios(
        "play", "--headless", "--pack", "null", "--frames", 50, "--seed", 3, capsys=capsys
    )
    assert out.split("frame hash ")[1] != hashes[0], "the script matters"


def test_the_codec_can_be_elsewhere(capsys, monkeypatch):
    made = []

    def beside(*given):
        made.append(BesideCodec(*given))
        return made[-1]

    monkeypatch.setattr(build, "BesideCodec", beside)
    given = ("play", "--headless", "--frames", 8, *PLAINLY)
    plain, other = (helios(*given, *a, capsys=capsys) for a in ((), ("--codec-device", "cpu")))
    assert plain[0] == other[0] == 0 and len(made) == 1
    assert plain[1].split("frame hash ")[1] == other[1].split("frame hash ")[1]


def test_a_recording_is_a_dataset(tmp_path, script, capsys):
    from engine.rollouts.reader import RolloutDataset

    code, *_ = helios(
        *("play", "--headless", "--pack", "null", "--frames", 30, "--actions", script),
        *("--record", tmp_path / "roll"),
        capsys=capsys,
    )
    dataset = RolloutDataset.open(tmp_path / "roll")
    assert code == 0 and [e.length for e in dataset.episodes] == [30]
    window = dataset.read(0, 0, 30)
    assert window.applied[10, 0] == 1.0 and window.applied[26, 2] == pytest.approx(-60)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--headless", "--pack", "null"], "say how long"),
        (["--headless", "--frames", "0"], "at least 1"),
        (["--pack", "nul", "--headless", "--frames", "4"], "did you mean 'null'"),
        (["nowhere.yaml", "--headless", "--frames", "4"], "no such scene or session"),
        (["--out", "a.mp4"], "--headless"),
        (["--image", "a.png", "--clip", "b.mp4"], "not from both"),
        (["--headless", "--pack", "null", "--frames", "4", "--image", "no.png"], "no such file"),
        (["--headless", "--pack", "null", "--frames", "4", "--out", "a.avi"], "mp4"),
        (["--headless", "--pack", "null", "--frames", "4", "--device", "tpu"], "not known"),
        (["--headless", "--frames", "4", *PLAINLY, "--codec-device", "tpu"], "not known"),
        (["--headless", "--frames", "4", *PLAINLY, "--graphs"], "--graphs wants a CUDA device"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(arguments, sentence, capsys, tmp_path, monkeypatch):
    if "tpu" in arguments:
        arguments = ["random" if a == "null" else a for a in arguments]
    monkeypatch.chdir(tmp_path)
    code, _, err = helios("play", *arguments, capsys=capsys)
    assert code == 2 and sentence in err
    assert err.startswith("helios play: ") and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_exit_1_and_the_frames_are_still_counted(tmp_path, capsys):
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    code, out, err = helios(
        *("play", "--headless", "--pack", "null", "--frames", 8, "--out", tmp_path / "full.mp4"),
        capsys=capsys,
    )
    assert code == 1 and "8 frames of null" in out and "No space left" in err


def test_recording_into_another_kind_of_dataset_is_refused_at_once(tmp_path, capsys):
    (tmp_path / "roll").mkdir()
    (tmp_path / "roll" / "notes.txt").write_text("mine")
    code, _, err = helios(
        *("play", "--headless", "--pack", "null", "--frames", 8, "--record", tmp_path / "roll"),
        capsys=capsys,
    )
    assert code == 2 and "choose another" in err


def test_a_bad_script_names_its_line(tmp_path, capsys):
    (tmp_path / "bad.txt").write_text("0-3: move_forward\n4: fly\n")
    code, _, err = helios(
        *("play", "--headless", "--pack", "null", "--frames", 4),
        *("--actions", tmp_path / "bad.txt"),
        capsys=capsys,
    )
    assert code == 2 and "bad.txt:2" in err and "fly" in err


def test_a_wrong_window_size_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["play", "--window", "10x10"])
    assert exit_.value.code == 2 and "320x200" in capsys.readouterr().err


def test_an_image_starts_a_world(tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(png_bytes(np.zeros((48, 64, 3), np.uint8)))
    code, *_ = helios(
        *("play", "--headless", "--pack", "null", "--frames", 4, "--image", tmp_path / "a.png"),
        capsys=capsys,
    )
    assert code == 0


def test_a_session_goes_on_headless(tmp_path, capsys):
    from helios_core.null_world import NullWorld

    path = tmp_path / "s.helios"
    run = play(
        tmp_path,
        events=[Command("save", 1.0, str(path))],
        frames=40,
        world=None,
    )
    run.world.info = NullWorld().info
    run.loop.run()
    code, out, _ = helios("play", path, "--headless", "--frames", 8, capsys=capsys)
    assert code == 0 and "8 frames of null" in out
    scene = tmp_path / "later.yaml"
    scene.write_text(
        f'title: Later\npack: "null"\nprompts: {{a: b}}\nstart: {{session: {path.name}}}\n'
    )
    for option in ("seed", "image", "clip"):
        for what in (path, scene):
            code, _, err = helios("play", what, "--headless", f"--{option}", "7", capsys=capsys)
            assert code == 2 and f"leave out --{option}" in err
    code, _, err = helios("run", scene, "--frames", 4, "--seed", 7, capsys=capsys)
    assert code == 2 and "leave out --seed" in err
    other = tmp_path / "other.helios"
    play(tmp_path, events=[Command("save", 1.0, str(other))], frames=40).loop.run()
    code, _, err = helios("play", other, "--headless", "--frames", 8, capsys=capsys)
    assert code == 2 and "saved with pack 'null'" in err


def child(*arguments: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "engine", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("headless", [True, False])
def test_ctrl_c_leaves_whole_files_and_exit_130(tmp_path, headless):
    from engine.rollouts.reader import RolloutDataset

    mode = ["--headless", "--out", tmp_path / "a.mp4"] if headless else ["--no-sound"]
    game = child(
        *("play", "--pack", "null", "--frames", 1_000_000, "--record", tmp_path / "roll", *mode),
        SDL_VIDEODRIVER="dummy",
        HELIOS_HOME=str(tmp_path),
    )
    end = time.monotonic() + 30
    while not list(tmp_path.glob("roll/**/*.arrow*")) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.6)
    game.send_signal(signal.SIGINT)
    _, err = game.communicate(timeout=30)
    assert game.returncode == 130, err
    assert "Traceback" not in err
    episodes = RolloutDataset.open(tmp_path / "roll").episodes
    assert len(episodes) == 1 and episodes[0].length > 0 and episodes[0].complete
    if headless:
        assert len(read_clip(tmp_path / "a.mp4")) > 0


def test_help_shows_an_example(capsys):
    for command in (["play"], ["bench", "play"]):
        with pytest.raises(SystemExit) as exit_:
            main([*command, "--help"])
        out = capsys.readouterr().out
        assert exit_.value.code == 0 and "example:" in out and "helios" in out


def test_the_flatness_report_ends_in_json(capsys):
    code, out, _ = helios("bench", "play", "--flat", 400, capsys=capsys)
    report = json.loads(out.splitlines()[-1])
    assert code == 0 and report["pack"] == "null" and report["frames"] == 400
    assert "cpu" in report["hardware"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--graphs"], "--graphs wants a CUDA device"),
        (["--compile"], "--compile wants a CUDA device, not cpu"),
        (["--codec-device", "tpu"], "not known"),
    ],
)
def test_the_bench_computes_as_play_does(given, sentence, capsys):
    plainly = ["--pack", "random", "--device", "cpu", "--dtype", "fp32"]
    for flat in ([], ["--flat", "40"]):
        code, _, err = helios("bench", "play", "--no-latch", *flat, *plainly, *given, capsys=capsys)
        assert code == 2 and sentence in err


def test_a_recording_with_8_bit_products_replays_in_them(tmp_path, capsys):
    computed = ["--device", "cpu", "--dtype", "fp32", "--threads", "1", "--eight-bits", "int8"]
    asked = ["--headless", "--pack", "random", "--frames", "8", "--record", tmp_path / "roll"]
    plain = helios("play", *asked[:-2], *computed[:-2], capsys=capsys)[1]
    code, out, err = helios("play", *asked, *computed, capsys=capsys)
    assert code == 0, err
    assert out.splitlines()[-1] != plain.splitlines()[-1]
    code, out, _ = helios("replay", tmp_path / "roll", "--verify", capsys=capsys)
    assert code == 0 and "all identical" in out


def test_what_was_compiled_is_compiled_again_on_a_gpu(monkeypatch, capsys):
    asked = []

    def note(pack, **given):
        asked.append((given["device"], given["compile"]))
        raise ValueError("enough")

    monkeypatch.setattr("helios_core.packs.load_world", note)
    plainly = ["--headless", "--frames", "1", "--pack", "random", "--dtype", "bf16"]
    for option in ([], ["--compile"]):
        code, _, err = helios("play", *plainly, "--device", "cuda", *option, capsys=capsys)
        assert code == 2 and "enough" in err
    from engine.cli import replay

    for device, mode in (("cuda", "codec"), ("cuda", "none"), ("cpu", "codec")):
        source = {"pack": "random", "fingerprint": {"compile": mode}}
        data = SimpleNamespace(episodes=[SimpleNamespace(header=SimpleNamespace(source=source))])
        with pytest.raises(ValueError, match="enough"):
            replay._world(Namespace(pack="", device=device), cast("Any", data), 0)
    assert asked == [
        ("cuda", False), ("cuda", True), ("cuda", True), ("cuda", False), ("cpu", False),
    ]  # fmt: skip


def test_an_evaluation_keeps_what_the_bench_measures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    asked = ["eval", "random", "--suite", "latency", "--events", "6", "--dtype", "float32"]
    code, out, err = helios(*asked, "--out", tmp_path, capsys=capsys)
    assert code == 0, err
    assert "of the floor" in out
    kept = next(tmp_path.glob("*.json")).read_text()
    assert '"floor_fraction"' in kept and '"torch"' in kept


def test_no_display_names_headless(tmp_path):
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "engine", "play", "--pack", "null", "--no-sound"],
        cwd=ROOT,
        env=environment | {"HELIOS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "--headless" in done.stderr
    assert "Traceback" not in done.stderr


class StandIn:
    """A window for the flow between sessions."""

    def __init__(self, picks: list[str | None]) -> None:
        self.picks, self.closed = picks, False

    def choose(self, cards):
        assert {card.title for card in cards} > {"Free walk"}
        return self.picks.pop(0)

    def loading(self, what, fraction) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def windowed(
    monkeypatch, picks, outcomes, *arguments, limits: list[int | None] | None = None
) -> tuple[int, list[str], StandIn]:
    """`helios play` with a stand-in window and given ends of its sessions."""
    from engine.cli import play_window

    window, played = StandIn(picks), []
    limits = [] if limits is None else limits
    monkeypatch.setattr(play_window, "Window", lambda config, clock: window)

    def play_session(window, opening, args, config, cache, clock, frames, shots):
        played.append(config.what and Path(config.what).stem)
        limits.append(frames)
        return outcomes.pop(0)

    monkeypatch.setattr(play_window, "play_session", play_session)
    return main(["play", *arguments]), played, window


def test_the_start_screen_comes_back_after_a_demo(monkeypatch):
    from engine.loop import Outcome

    demo = str(next((ROOT / "demos").glob("[a-z]*.yaml")))
    monkeypatch.setattr("engine.opening.default_pack", lambda: "null")
    ends = [Outcome(frames=9, scene_ended=True), Outcome(frames=9)]
    code, played, window = windowed(monkeypatch, [demo, "free walk"], ends)
    assert code == 0 and played == [Path(demo).stem, ""] and window.closed
    code, played, _ = windowed(monkeypatch, [None], [])
    assert code == 0 and played == []


def test_a_scene_leads_to_the_next_and_a_failure_is_exit_1(monkeypatch, capsys):
    from engine.loop import Outcome

    one, two = sorted((ROOT / "demos").glob("[a-z]*.yaml"))[:2]
    ends = [Outcome(frames=9, jump=str(two), scene_ended=True), Outcome(frames=9, failure="boom")]
    code, played, window = windowed(monkeypatch, [], ends, str(one), "--pack", "null")
    assert code == 1 and played == [one.stem, two.stem] and window.closed
    assert capsys.readouterr().err == "helios play: boom\n"


def test_what_is_not_kept_is_told_and_exit_1(monkeypatch, capsys):
    from engine.loop import Outcome

    demo = str(next((ROOT / "demos").glob("[a-z]*.yaml")))
    monkeypatch.setattr("engine.opening.default_pack", lambda: "null")
    ends = [Outcome(frames=9, scene_ended=True, problems=("recording stopped: it is full",))]
    code, *_ = windowed(monkeypatch, [demo, None], ends)
    assert code == 1 and capsys.readouterr().err == "helios play: recording stopped: it is full\n"
    ends = [Outcome(frames=9, failure="boom", saved="saved there.helios")]
    code, *_ = windowed(monkeypatch, [], ends, "--pack", "null")
    assert code == 1
    assert capsys.readouterr().err == "helios play: boom\nhelios play: saved there.helios\n"


def test_scene_after_scene_shares_the_frames_that_were_asked_for(monkeypatch):
    from engine.loop import Outcome

    one, two = map(str, sorted((ROOT / "demos").glob("[a-z]*.yaml"))[:2])
    limits: list[int | None] = []
    ends = [Outcome(frames=n, jump=to, scene_ended=True) for n, to in ((9, two), (11, one))]
    asked = (one, "--pack", "null", "--frames", "20")
    code, played, _ = windowed(monkeypatch, [], ends, *asked, limits=limits)
    assert code == 0 and len(played) == 2 and limits == [20, 11]


def test_a_session_is_resumed_in_a_window_with_its_history(tmp_path):
    from engine.session_file import read_session
    from helios_core.null_world import NullWorld

    path = tmp_path / "s.helios"
    run = play(tmp_path, events=[Command("save", 1.0, str(path))], frames=40)
    run.world.info = NullWorld().info
    run.loop.run()
    done = child(
        *("play", path, "--frames", 8, "--no-sound", "--no-vsync", "--record", tmp_path / "roll"),
        SDL_VIDEODRIVER="dummy",
        HELIOS_HOME=str(tmp_path),
    )
    _, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    from engine.rollouts.reader import RolloutDataset

    chunk = RolloutDataset.open(tmp_path / "roll").read(0, 0, 1)
    assert chunk is not None
    assert len(read_session(path).history.chunk) == read_session(path).history.chunk[-1] + 1
