"""Attention by backend and packed. Run: `pytest tests/kernels/test_attention.py`."""

from pathlib import Path

import pytest
import torch

from kernels import attention as module
from kernels.attention import attention, forget, load_table, measure, packed_attention, save_table


@pytest.fixture(autouse=True)
def clean():
    forget()
    yield
    forget()


def test_a_measured_shape_takes_the_fastest(tmp_path: Path) -> None:
    q, k, v = (torch.randn(1, 2, n, 8) for n in (5, 7, 7))
    before = attention(q, k, v)
    clock = iter(range(10, 0, -1))
    times = measure(q, k, v, None, lambda call: next(clock))
    assert "math" in times and len(times) >= 2
    (shape, chosen), *rest = module._table.items()
    assert not rest and chosen == list(times)[-1]  # the last one timed was given the least time
    torch.testing.assert_close(attention(q, k, v), before)
    save_table(tmp_path / "table.json")
    forget()
    assert load_table(tmp_path / "table.json") == 1
    assert module._table == {shape: chosen}
    (tmp_path / "bad.json").write_text('[[1, "fast"]]')
    with pytest.raises(ValueError, match="measure it again"):
        load_table(tmp_path / "bad.json")


def test_packed_sequences_do_not_see_each_other() -> None:
    lengths, q = [3, 1, 5], torch.randn(3, 9, 2, 4, dtype=torch.float64)
    q.requires_grad_()
    out = packed_attention(*q, lengths)
    begin = 0
    for length in lengths:
        one = q[:, begin : begin + length]
        scores = torch.einsum("nhw,khw->hnk", one[0], one[1]) / 2
        alone = torch.einsum("hnk,khw->nhw", scores.softmax(-1), one[2])
        torch.testing.assert_close(out[begin : begin + length], alone)
        begin += length
    out[:3].sum().backward()
    assert q.grad is not None and not q.grad[:, 3:].any() and q.grad[2, :3].any()
    with pytest.raises(ValueError, match="10 tokens"):
        packed_attention(*q, [3, 7])


@pytest.mark.gpu
def test_packed_on_a_gpu_equals_one_by_one() -> None:
    q = torch.randn(3, 40, 2, 64, device="cuda", dtype=torch.bfloat16)
    found = packed_attention(*q, [7, 33]).float()
    wanted = packed_attention(*q.float(), [7, 33])
    assert (found - wanted).norm() / wanted.norm() < 1e-2
