"""Longer proofs: a recording of 20,000 frames beside play, and stable-baselines3 as a client."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.rollouts.reader import RolloutDataset
from engine.rollouts.writer import RolloutWriter
from helios_core.null_world import NullWorld
from tests.engine.rollouts.scenes import small_spec

FRAMES, SPEED = 20_000, 4
"""Played four times faster than real time: 250 seconds of it."""


@pytest.mark.full
@pytest.mark.timeout(900)
def test_20000_frames_keep_up_with_play(tmp_path, capsys):
    """Ten times the frame rate of a shipped pack, paced; the queue must not fill."""
    world = NullWorld(height=128, width=192)
    info = world.info
    state, none = world.start(seed=0, prompt="a meadow"), info.spec.build(4, look_yaw=40)
    slowest = 0.0
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        began = time.perf_counter()
        writer.begin_episode(prompt="a meadow", seed=0, state=world.save_state(state))
        for chunk in range(FRAMES // info.chunk_frames):
            state, frames = world.advance(state, none)
            before = time.perf_counter()
            writer.write(frames, none, none, prompt="a meadow", chunk=chunk)
            slowest = max(slowest, time.perf_counter() - before)
            due = began + (chunk + 1) * info.chunk_seconds / SPEED
            time.sleep(max(0.0, due - time.perf_counter()))
        took = time.perf_counter() - began
    status = writer.status
    with capsys.disabled():
        print(
            f"\n{FRAMES} frames in {took:.0f} s ({FRAMES / took:.0f} frames/s): high water "
            f"{status.high_water} of {writer.config.queue_chunks} chunks, slowest write "
            f"{slowest * 1000:.1f} ms, waited {status.blocked_seconds:.2f} s"
        )
    assert not status.error and status.blocked_seconds == 0
    data = RolloutDataset.open(tmp_path / "a")
    assert data.frames == FRAMES
    assert data.read(0, FRAMES - 4).frames.shape == (4, 128, 192, 3)
    assert np.array_equal(data.columns(0)["chunk"], np.arange(FRAMES) // 4)


CLIENT = """
import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

settings = dict(actions="normalised", reward="engine.rollouts.rewards:walked")
env = gymnasium.make(
    "engine.rollouts:helios/World-v0", pack="random", max_episode_steps=20, **settings
)
check_env(env.unwrapped)
model = PPO("CnnPolicy", env, n_steps=64, batch_size=32, n_epochs=1, seed=0, device="cpu")
model.learn(256)
print("learned", model.num_timesteps)
"""


@pytest.mark.full
@pytest.mark.timeout(900)
def test_stable_baselines3_checks_and_learns(tmp_path):
    """In a folder of its own: stable-baselines3 is no dependency of ours."""
    packages = ["stable-baselines3==2.9.2", "cloudpickle", "pandas", "matplotlib", "tzdata", "six"]
    more = ["python-dateutil", "pytz", "cycler", "kiwisolver", "contourpy", "fonttools"]
    folder = _install(tmp_path / "sb3", *packages, *more, "pyparsing")
    (tmp_path / "client.py").write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "client.py")],
        env=_with(folder) | {"HOME": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "learned 256" in done.stdout


@pytest.mark.full
@pytest.mark.timeout(900)
def test_minari_and_hdf5_open_our_exports(tmp_path):
    """Runs the tests that skip where h5py and minari are missing, with them."""
    packages = ["minari==0.5.4", "h5py", "portion", "sortedcontainers", "typer", "rich", "click"]
    folder = _install(tmp_path / "minari", *packages, "shellingham", "markdown-it-py", "mdurl")
    tests = [str(Path(__file__).with_name("test_commands.py")), "-k", "hdf5 or minari"]
    command = [sys.executable, "-m", "pytest", *tests]
    done = subprocess.run(command, env=_with(folder), capture_output=True, text=True)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout[-3000:]


def _install(folder: Path, *packages: str) -> Path:
    """Packages without their dependencies, which must not shadow ours."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--target", str(folder), *packages], check=True)
    return folder


def _with(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([*sys.path, str(folder)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
