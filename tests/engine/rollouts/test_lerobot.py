"""The acceptance of the format: the real lerobot package opens our recordings with no conversion.

lerobot wants older versions of much that we use, so it lives in a virtual environment that this
test makes (about 2 GB, minutes); HELIOS_LEROBOT_VENV names one that is there already.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from engine.rollouts.layout import Layout
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.repair import repair
from tests.engine.rollouts.scenes import CHUNK, record_dataset, small_world
from tests.engine.rollouts.test_crash import _kill_after

PACKAGES = (
    *("torch==2.13.0", "torchvision==0.28.0", "accelerate", "av"),
    *("datasets>=4,<4.2", "huggingface-hub<0.36", "packaging", "pandas"),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Path:
    """The interpreter of an environment with lerobot 0.4.4."""
    folder = Path(os.environ.get("HELIOS_LEROBOT_VENV") or tmp_path_factory.mktemp("lerobot"))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "--no-deps", "lerobot==0.4.4"], check=True)
        subprocess.run([*install, *PACKAGES], check=True)
    return python


def _accept(client: Path, root: Path, truth: list[np.ndarray], work: Path) -> None:
    data = RolloutDataset.open(root)
    facts: dict = {"fps": data.spec.fps, "episodes": len(truth), "chunk": CHUNK}
    for e, frames in enumerate(truth):
        window = data.read(e)
        facts |= {f"frames{e}": frames, f"actions{e}": window.applied}
        facts |= {f"tasks{e}": np.array(window.prompts)}
    np.savez(work / "truth.npz", **facts)
    script = Path(__file__).with_name("lerobot_client.py")
    command = [str(client), str(script), str(root), str(work / "truth.npz")]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, file=sys.stderr)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.full
def test_lerobot_opens_a_recording_of_two_sessions(client, tmp_path):
    truth = record_dataset(tmp_path / "a", [3, 5]) + record_dataset(tmp_path / "a", [4])
    _accept(client, tmp_path / "a", truth, tmp_path)


@pytest.mark.full
def test_lerobot_opens_a_killed_recording_after_its_repair(client, tmp_path):
    _kill_after(tmp_path / "a", 0.3)
    repair(Layout(tmp_path / "a"))
    data = RolloutDataset.open(tmp_path / "a")
    _accept(client, tmp_path / "a", [data.read(e.index).frames for e in data.episodes], tmp_path)
    assert small_world().info.spec == data.spec.actions
