"""The examples run as they are printed, and the two experiments find what they should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import av
import gymnasium
import numpy as np
import pytest

from engine.examples import planning, policy_evaluation
from engine.rollouts.reader import RolloutDataset
from helios_core.null_world import NullWorld

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "engine" / "examples"
SNIPPETS = ("library", "log", "replay", "env")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the snippets ran, one after the other, as a reader would run them."""
    folder = tmp_path_factory.mktemp("snippets")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for name in SNIPPETS:
        command = [sys.executable, str(EXAMPLES / f"{name}.py")]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        (folder / f"{name}.txt").write_text(done.stdout)
    return folder


def test_the_library_example_saves_a_video(folder):
    with av.open(str(folder / "walk.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 100
    code = [line for line in (EXAMPLES / "library.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 17, "the README promises about 15 lines"


def test_the_log_example_makes_a_dataset(folder):
    assert RolloutDataset.open(folder / "runs" / "first").frames >= 24
    assert "a meadow at noon" in (folder / "log.txt").read_text()


def test_the_replay_example_makes_a_counterfactual(folder):
    child = RolloutDataset.open(folder / "runs" / "turned").episodes[0]
    assert child.header.extra["parent"]["frame"] == 19
    assert (folder / "both.mp4").stat().st_size > 1000


def test_the_env_example_steps_eight_worlds(folder):
    assert (folder / "env.txt").read_text().startswith("(8, ")


def test_snippets_in_the_readme_are_these_files():
    readme = (ROOT / "README.md").read_text()
    for block in re.findall(r"```python\n(# engine/examples/.*?)```", readme, re.S):
        name = block.split(":")[0].removeprefix("# ")
        assert block == (ROOT / name).read_text(), f"README prints another {name}"


def test_planning_beats_a_random_walk_in_the_null_world():
    config = planning.PlanConfig(chunks=3, candidates=6, rounds=2, elite=2)
    envs = gymnasium.make_vec(
        "engine.rollouts:helios/World-v0", num_envs=config.candidates,
        vectorization_mode="vector_entry_point", actions="normalised",
        pack=lambda: NullWorld(height=32, width=48),
    )  # fmt: skip
    ends = np.array([planning.compare(envs, seed, config) for seed in range(8)])
    assert (ends[:, 0] <= ends[:, 1]).mean() > 0.7 and ends[:, 0].mean() < ends[:, 1].mean()


@pytest.mark.parametrize("name", ["planning", "policy_evaluation"])
def test_an_experiment_is_under_120_lines(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 120


def test_the_same_world_ranks_policies_the_same():
    world = NullWorld(height=32, width=48)
    walks = policy_evaluation.policies(world.info.spec, 40)
    clip = np.zeros((20, 32, 48, 3), np.uint8)
    made = policy_evaluation.world_walks(world, clip, list(walks.values()), "a meadow")
    alone = [
        policy_evaluation.world_walks(world, clip, [walk], "a meadow")[0] for walk in walks.values()
    ]
    scores = [[policy_evaluation.score(made[0], m) for m in frames] for frames in (made, alone)]
    assert len(set(scores[0])) > 5
    assert policy_evaluation.rank_correlation(*scores) == pytest.approx(1.0)


def test_rank_correlation_is_spearmans():
    rank = policy_evaluation.rank_correlation
    assert rank([1, 2, 3, 4], [10, 20, 30, 400]) == pytest.approx(1.0)
    assert rank([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert rank([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(0.9486833)
    assert abs(rank([1, 2, 3, 4], [2, 4, 1, 3])) < 1e-9


def test_the_true_walks_share_their_beginning():
    world = NullWorld(height=32, width=48)
    walks = policy_evaluation.policies(world.info.spec, 4)
    chosen = [walks["stand"], walks["turn left"]]
    clip, lasts = policy_evaluation.true_walks(3, chosen, world.info)
    assert clip.shape == (20, 32, 48, 3) and lasts.shape == (2, 32, 48, 3)
    still = policy_evaluation.score(clip[-1], lasts[0])
    turned = policy_evaluation.score(clip[-1], lasts[1])
    assert still > turned
