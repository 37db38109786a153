"""`helios record` and `helios clips` as a person runs them: by hand, killed, resumed, looked at."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pygame
import pytest

from engine.cli import main
from engine.present.window import Window
from engine.rollouts.journal import read_journal
from engine.rollouts.layout import Layout
from engine.rollouts.reader import RolloutDataset
from training.clips.recorder import RecordConfig, record
from training.worlds.games.mapping import load_mapping, names

FRAMES = 60


STALLING = """
import time
from pathlib import Path

def make_policy(spec, seed):
    def play(picture, frame):
        while seed == 1 and frame == 45 and Path({marker!r}).exists():
            time.sleep(0.05)
        return spec.build(1, steer=(seed + frame) % 3 - 1, gas=frame % 2)[0]
    return play
"""
"""Stops for ever in the second episode, after two whole chunks, while a file is there."""


def test_a_killed_recording_is_resumed_to_what_a_whole_one_is(tmp_path) -> None:
    marker, policy, root = tmp_path / "stall", tmp_path / "policy.py", tmp_path / "clips"
    marker.touch()
    policy.write_text(STALLING.format(marker=str(marker)))
    command = ["record", "--env", "car-racing", "--policy", str(policy)]
    _killed_at([*command, *_options(root, episodes=3)], root, frames=FRAMES + 20)
    marker.unlink()
    before = RolloutDataset.open(root)
    assert [e.complete for e in before.episodes] == [True, False]
    assert before.episodes[0].length == FRAMES
    assert before.episodes[1].length >= 20, "of 40: at most the last chunk is missing"
    assert main(["clips", "check", str(root)]) == 1
    assert main([*command, *_options(root, episodes=3)]) == 0
    assert main([*command, *_options(tmp_path / "whole", episodes=3)]) == 0
    resumed, whole = RolloutDataset.open(root), RolloutDataset.open(tmp_path / "whole")
    assert [e.complete for e in resumed.episodes] == [True, False, True, True]
    assert not Layout(root).journal.exists()
    assert main(["clips", "check", str(root)]) == 0, "an episode that was cut off is of use"
    for number, episode in ((0, 0), (1, 1), (2, 1), (3, 2)):
        one, other = resumed.read(number), whole.read(episode)
        length = len(one.frames)
        np.testing.assert_array_equal(one.applied, other.applied[:length])
        error = np.abs(one.frames.astype(int) - other.frames[:length]).mean()
        assert error < 2, "video is lossy, the game is not"


def _killed_at(command: list[str], root: Path, *, frames: int) -> None:
    """Run a command in a process of its own; kill -9 once the disk holds so many frames."""
    child = subprocess.Popen([sys.executable, "-m", "engine", *command], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while _on_disk(root) < frames:
            assert child.poll() is None, f"it ended with {child.returncode}"
            assert time.monotonic() < until, f"{_on_disk(root)} frames only"
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()


def _on_disk(root: Path) -> int:
    """Frames in the journal."""
    journal = Layout(root).journal
    view = read_journal(journal) if journal.exists() else None
    return sum(episode.length for episode in view.episodes) if view else 0


def _options(root: Path, *, episodes: int, frames: int = FRAMES) -> list[str]:
    return ["--episodes", str(episodes), "--frames", str(frames), "--out", str(root)]


def _recorded(root: Path, *, episodes: int, frames: int = FRAMES) -> Path:
    record(
        load_mapping("car-racing"), RecordConfig(out=str(root), episodes=episodes, frames=frames)
    )
    return root


@pytest.mark.parametrize("name", names())
def test_every_shipped_game_is_recorded_by_the_command(name: str, tmp_path) -> None:
    if name == "breakout":
        pytest.importorskip("ale_py", reason="Atari games come with the extra `games`")
    root = tmp_path / "clips"
    assert main(["record", "--env", name, *_options(root, episodes=1, frames=25)]) == 0
    data, mapping = RolloutDataset.open(root), load_mapping(name)
    assert data.frames == 25 and data.spec.actions == mapping.spec
    assert data.read(0).frames.std() > 5


def test_another_game_is_refused_in_one_sentence(tmp_path, capsys) -> None:
    root = _recorded(tmp_path / "clips", episodes=1, frames=5)
    assert main(["record", "--env", "freedoom", *_options(root, episodes=2)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and "holds other clips" in error
    assert RolloutDataset.open(root).frames == 5


def test_a_game_that_is_not_installed_is_one_sentence(tmp_path, capsys) -> None:
    mapping = tmp_path / "game.yaml"
    mapping.write_text(
        "env: nowhere:Game-v0\nfps: 20\nchannels: [{name: jump, kind: button}]\n"
        "discrete: [{}, {jump: 1}]\n"
    )
    options = ["--mapping", str(mapping), *_options(tmp_path / "clips", episodes=1)]
    assert main(["record", *options]) == 2
    error = capsys.readouterr().err
    assert "nowhere:Game-v0 cannot be made" in error and "games" in error


def test_a_policy_that_answers_too_little_is_one_sentence(tmp_path, capsys) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text("def make_policy(spec, seed):\n    return lambda picture, frame: [1.0]\n")
    options = ["--policy", str(policy), *_options(tmp_path / "clips", episodes=1)]
    assert main(["record", "--env", "car-racing", *options]) == 2
    *_, error = capsys.readouterr().err.splitlines()  # the others count episodes
    assert error.startswith(f"helios record: the policy {policy} answered")
    assert error.endswith("give 3: steer, gas, brake")


MISFITS = {
    "box: [steer, gas]": "the mapping says box with 2 dimensions, but CarRacing-v3 takes Box",
    "discrete: [{}, {gas: 1}]": "the mapping says discrete with 2 choices, but CarRacing-v3 takes",
    "kwargs: {wheels: 3}\nbox: [steer, gas, gas]": "kwargs ['render_mode', 'wheels']",
}


@pytest.mark.parametrize("body", MISFITS)
def test_a_mapping_that_misses_its_game_is_one_sentence(body, tmp_path, capsys) -> None:
    mapping = tmp_path / "game.yaml"
    mapping.write_text(
        "env: CarRacing-v3\nfps: 20\nchannels: [{name: steer, kind: axis, low: -1, high: 1},"
        "{name: gas, kind: button}]\n" + body
    )
    options = _options(tmp_path / "clips", episodes=1)
    assert main(["record", "--mapping", str(mapping), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert MISFITS[body] in error and error.count("\n") == 0


@pytest.mark.parametrize("who", [[], ["--policy", "random"], ["--play"]])
def test_actions_that_nobody_plays_are_refused(who, tmp_path, capsys) -> None:
    options = [*who, "--actions", "walk.txt", *_options(tmp_path / "clips", episodes=1)]
    assert main(["record", "--env", "car-racing", *options]) == 2
    assert "--policy scripted" in capsys.readouterr().err


def test_one_game_is_named_once(tmp_path, capsys) -> None:
    options = ["--mapping", "game.yaml", *_options(tmp_path / "clips", episodes=1)]
    with pytest.raises(SystemExit):
        main(["record", "--env", "car-racing", *options])
    assert "not allowed with" in capsys.readouterr().err


@pytest.fixture
def presses(monkeypatch):
    """Keys posted before the poll of a given number: {poll: [(key, down)]}; how many came."""
    plan: dict[int, list[tuple[int, bool]]] = {}
    count, poll = [0], Window.poll

    def pressing(self, now):
        for key, down in plan.get(count[0], ()):
            kind = pygame.KEYDOWN if down else pygame.KEYUP
            pygame.event.post(pygame.event.Event(kind, key=key, mod=0, unicode="", scancode=0))
        count[0] += 1
        return poll(self, now)

    monkeypatch.setattr(Window, "poll", pressing)
    return plan


def test_a_game_played_by_hand_is_recorded_until_escape(tmp_path, presses, capsys) -> None:
    presses[5] = [(pygame.K_UP, True), (pygame.K_RIGHT, True)]
    presses[40] = [(pygame.K_ESCAPE, True)]
    root = tmp_path / "clips"
    assert main(["record", "--env", "car-racing", "--play", *_options(root, episodes=4)]) == 0
    data = RolloutDataset.open(root)
    assert len(data.episodes) == 1 and data.episodes[0].complete and 2 <= data.frames < FRAMES
    steer, gas, brake = data.read(0).applied.T
    assert steer[-1] == 1 and gas[-1] == 1 and not brake.any() and gas[0] == 0
    assert f"{data.frames} frames recorded" in capsys.readouterr().out


def test_leaving_before_the_first_frame_leaves_nothing(tmp_path, presses) -> None:
    presses[0] = [(pygame.K_ESCAPE, True)]
    root = tmp_path / "clips"
    assert main(["record", "--env", "car-racing", "--play", *_options(root, episodes=4)]) == 0
    assert RolloutDataset.open(root).frames == 0


def test_clips_are_described_checked_and_viewed(tmp_path, capsys, monkeypatch) -> None:
    root = str(_recorded(tmp_path / "clips", episodes=2, frames=30))
    assert main(["clips", "info", root]) == 0
    assert "steer" in capsys.readouterr().out
    assert main(["clips", "check", root]) == 0
    assert "0 problems" in capsys.readouterr().out
    shown: list[np.ndarray] = []
    show = Window.show
    monkeypatch.setattr(
        Window,
        "show",
        lambda self, frame, hud, overlays: (shown.append(frame), show(self, frame, hud, overlays)),
    )
    monkeypatch.setattr(Window, "poll", _closing(Window.poll, after=3))
    assert main(["clips", "view", root, "--episode", "1"]) == 0
    assert "steer, gas, brake" in capsys.readouterr().out
    frames = RolloutDataset.open(root).read(1, 0, 3).frames
    for picture, frame in zip(shown, frames, strict=True):
        np.testing.assert_array_equal(picture[:96, :96], frame)
        assert picture.shape[0] > 96, "the actions are drawn below"
    assert main(["clips", "view", root, "--episode", "2"]) == 2
    assert "has episodes 0 to 1, not 2" in capsys.readouterr().err


def _closing(poll, *, after: int):
    """A window whose player closes it at a poll."""
    count = [0]

    def closing(self, now):
        count[0] += 1
        if count[0] > after:
            pygame.event.post(pygame.event.Event(pygame.QUIT))
        return poll(self, now)

    return closing
