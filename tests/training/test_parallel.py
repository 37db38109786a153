"""Two processes train what one does, each holding half."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.training import tiny, two_processes
from training.trainer.checkpoints import module_tensors
from training.trainer.parallel import Ranks


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_equal_one(tmp_path):
    tiny.data(tmp_path)
    tiny.data(tmp_path / "alone")
    (tmp_path / "looped").mkdir()
    (tmp_path / "alone" / "looped").mkdir()
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}  # fmt: skip
    code = [sys.executable, "-m", "tests.training.two_processes", str(tmp_path)]
    both = [
        subprocess.Popen(code, env={**common, "RANK": str(r)}, stderr=subprocess.PIPE, text=True)
        for r in range(2)
    ]
    for process in both:
        errors = process.communicate(timeout=240)[1]
        assert process.returncode == 0, errors[-3000:]
    alone = two_processes.make(tmp_path, Ranks())
    two_processes.train(alone, 0, two_processes.STEPS)
    together = load_file(tmp_path / "two.safetensors")
    for name, value in module_tensors(alone.modules()).items():
        assert torch.allclose(together[name], value, atol=2e-5), name
    alone = two_processes.trainer_of(tmp_path / "alone", Ranks(), two_processes.STEPS * 8)
    assert alone.run() == "done"
    for name in ("transformer", "text"):  # sharded, saved, resumed and joined again
        mine, theirs = (
            load_file(root / "looped" / "final" / f"{name}.safetensors")
            for root in (tmp_path / "alone", tmp_path)
        )
        assert mine.keys() == theirs.keys()
        assert all(torch.allclose(mine[k], theirs[k], atol=2e-5) for k in mine)


def test_a_batch_that_does_not_divide_is_an_error():
    assert Ranks(1, 2).rows(8) == slice(4, 8)
    with pytest.raises(ValueError, match="does not divide"):
        Ranks(0, 3).rows(8)
