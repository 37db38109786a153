"""The suites on a perfect world and on ones that are wrong on purpose: the figures differ."""

import json

import numpy as np
import pytest

from training.evaluation import judges, metrics
from training.evaluation.oracle import OracleConfig, oracle_episodes
from training.evaluation.playing import continue_past
from training.evaluation.report import Report
from training.evaluation.suites import action, drift, fidelity, revisit
from training.worlds.wilds.spec import SPEC

from .oracle_world import OracleWorld


class PoseJudge:
    """Stands for the learned judge: knows the true actions of the frames that it is shown."""

    def __init__(self) -> None:
        self.known: dict[bytes, np.ndarray] = {}

    def read(self, pictures: np.ndarray) -> np.ndarray:
        inner = pictures[:, 8:24, 4:40, 0].reshape(len(pictures), -1)
        moved = [np.roll(pictures, s, 2)[:, 8:24, 4:40, 0] for s in (2, -2)]
        right, left = (m.reshape(len(pictures), -1) for m in moved)
        shift = [
            np.sign(
                np.corrcoef(inner[i], right[i + 1])[0, 1] - np.corrcoef(inner[i], left[i + 1])[0, 1]
            )
            for i in range(2, len(pictures) - 2)
        ]
        values = np.zeros((len(pictures) - judges.WINDOW + 1, SPEC.size), np.float32)
        values[:, SPEC.index("look_yaw")] = np.array(shift) * 60
        return values


@pytest.fixture
def world(monkeypatch):
    made = OracleWorld()
    made.remember(monkeypatch)
    return made


def test_the_truth_is_faithful(world, tmp_path) -> None:
    report = Report(tmp_path)
    config = fidelity.FidelityConfig(clips=2, frames=8, stride=8, past=4)
    fidelity.run(world, config, report)
    assert report.figures["fidelity.next_chunk_psnr.world"].mean == 60
    assert report.figures["fidelity.free_psnr.world"].mean == 60
    assert report.figures["fidelity.next_chunk_gain.repeat"].mean > 0
    assert (tmp_path / "fidelity.png").exists() and (tmp_path / "fidelity.mp4").exists()
    body = json.loads(report.save(pack="oracle").read_text())
    assert body["figures"]["fidelity.free_ssim.world"]["mean"] == pytest.approx(1)


def test_a_deaf_world_loses_fidelity(world, tmp_path) -> None:
    oracle = OracleConfig(count=1, past=4, future=8)
    episodes = oracle_episodes(oracle, height=32, width=48, actions=action.pushes)
    made = {}
    for world.fault in ("", "deaf"):
        (clip,) = continue_past(world, episodes)
        made[world.fault] = metrics.psnr(episodes[0].future, clip).mean()
    assert made[""] == 60 > 40 > made["deaf"]


@pytest.mark.parametrize(("fault", "right"), [("", True), ("mirrored", False)])
def test_the_action_suite_tells_left_from_right(
    world, tmp_path, monkeypatch, fault: str, right: bool
) -> None:
    world.fault = fault
    monkeypatch.setattr(judges, "inverse_dynamics", lambda **_: (PoseJudge(), {"own": 1.0}))
    report = Report(tmp_path)
    action.run(world, action.ActionConfig(clips=1, frames=20, past=4), report)
    relative = report.notes["action.relative.look_yaw"]
    assert (relative == 1.0) == right
    assert report.figures["action.still_over_pushed_motion"].mean < 0.6


def test_revisit_counts_only_what_turned(world, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(revisit, "PATHS", {"turn-90": revisit.turn(90)})
    monkeypatch.setattr(revisit, "UNLIKE", 20.0)
    report = Report(tmp_path)
    revisit.run(world, revisit.RevisitConfig(clips=1, past=4), report)
    assert report.figures["revisit.turn-90.counts"].mean > 0
    assert report.figures["revisit.turn-90.to_oracle"].mean == 60
    world.fault = "frozen"
    frozen = Report(tmp_path)
    revisit.run(world, revisit.RevisitConfig(clips=1, past=4), frozen)
    assert frozen.figures["revisit.turn-90.counts"].mean == 0
    assert "revisit.turn-90.to_first" not in frozen.figures


def test_paths_return_to_where_they_began() -> None:
    for name, path in revisit.PATHS.items():
        turned = path[:, SPEC.index("look_yaw")].sum() / 20
        assert turned % 360 == pytest.approx(0, abs=1e-3), name
        assert path[:, SPEC.index("move_forward")].sum() == 0


def test_pushes_cover_every_channel_and_rest() -> None:
    values = action.pushes(np.random.default_rng(0), 16, 64)
    for clip in values:
        SPEC.validate(clip)
    assert (values.reshape(-1, SPEC.size) > 0).any(0).all()
    assert (drift.walk(0, 2, 130) != 0).any()


def test_agreement_is_chance_on_nonsense() -> None:
    rng = np.random.default_rng(1)
    true = np.stack([rng.choice([-1.0, 0.0, 1.0], 3000) * c.scale for c in SPEC.channels], -1)
    good = judges.agreement(true * 0.9, true)
    bad = judges.agreement(true[rng.permutation(3000)], true)
    for channel in SPEC.channels:
        if channel.kind == "axis":
            assert good[channel.name]["accuracy"] == 1.0
            assert bad[channel.name]["accuracy"] == pytest.approx(1 / 3, abs=0.06)
