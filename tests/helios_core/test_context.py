"""A chunk that processes share. Run: `pytest tests/helios_core/test_context.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helios_core.context import Shares
from tests.helios_core import sharing_child
from tests.helios_core.test_model import close


@pytest.mark.parametrize("count", [2, 3])
def test_processes_that_share_make_what_one_makes(tmp_path: Path, count: int) -> None:
    code = [sys.executable, "-m", "tests.helios_core.sharing_child", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(
            [*code, str(rank), str(count)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(count)
    ]
    for child in children:
        errors = child.communicate(timeout=200)[1]
        assert child.returncode == 0, errors[-3000:]
    alone = sharing_child.results(sharing_child.models())
    assert len(alone) == 6
    for rank in range(count):
        together = load_file(tmp_path / f"{rank}.safetensors")
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            assert close(together[name], value, 2e-5), (rank, name)


def test_shares_are_parts_of_the_whole_and_refuse_what_does_not_divide() -> None:
    x, table = torch.arange(2 + 12.0).view(1, 14, 1), torch.arange(14.0).view(14, 1, 1)
    seen = []
    for rank in range(2):
        shares = Shares.__new__(Shares)
        shares.rank, shares.count, shares.group = rank, 2, None
        mine, places, head = shares.own(x, table, 2, 3)
        assert head == 1 and torch.equal(mine[0, :, 0], places[:, 0, 0])
        seen += mine.flatten().tolist()
    assert sorted(seen) == list(range(14))
    shares.count = 4
    with pytest.raises(ValueError, match=r"6 tokens of a latent frame .* start 3"):
        shares.own(torch.zeros(1, 18, 1), torch.zeros(18, 1, 1), 0, 3)
