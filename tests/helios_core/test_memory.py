"""The model's view of its history: parts, anchor and positions.

Run: `pytest tests/helios_core/test_memory.py`.
"""

import pytest
import torch

from helios_core.memory import frame_indices, make_history
from helios_core.rope import axis_table, rotary_table

SIZES = (4, 2, 1)


def numbered(first: int, count: int) -> torch.Tensor:
    """Latent frames [1,2,count,2,2] that hold their own number."""
    return torch.arange(first, first + count).float().view(1, 1, -1, 1, 1).expand(1, 2, -1, 2, 2)


def numbers(frames: torch.Tensor) -> list[int]:
    return frames[0, 0, :, 0, 0].int().tolist()


def test_indices_of_the_released_models() -> None:
    indices = frame_indices((16, 2, 1), 9)
    assert indices.short == (0, 19)
    assert indices.long == tuple(range(1, 17))
    assert indices.mid == (17, 18)
    assert indices.noisy == tuple(range(20, 29))
    assert frame_indices((16, 2, 1), 9, anchor=False).short == (18,)


def test_history_parts_are_oldest_first() -> None:
    history = make_history(numbered(1, 7), numbered(99, 1), SIZES)
    assert history.long is not None
    assert history.mid is not None
    assert numbers(history.long) == [1, 2, 3, 4]
    assert numbers(history.mid) == [5, 6]
    assert numbers(history.short) == [99, 7]
    assert numbers(make_history(numbered(1, 7), None, SIZES).short) == [0, 7]
    assert numbers(make_history(numbered(1, 7), None, SIZES, use_anchor=False).short) == [7]


def test_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zeros in front"):
        make_history(numbered(1, 6), None, SIZES)


def test_pooled_positions_average_what_they_cover() -> None:
    """An average over a block of frames, rows and columns, the last ones repeated."""
    dims, frames = (4, 4, 4), (3.0, 4.0, 5.0)
    full = rotary_table(frames, 5, 3, dims=dims, theta=100.0).view(3, 5, 3, 6, 2)
    pooled = rotary_table(frames, 5, 3, dims=dims, theta=100.0, pool=2).view(2, 3, 2, 6, 2)
    padded = full[[0, 1, 2, 2]][:, [0, 1, 2, 3, 4, 4]][:, :, [0, 1, 2, 2]]
    blocks = padded.view(2, 2, 3, 2, 2, 2, 6, 2).mean(dim=(1, 3, 5))
    assert torch.allclose(pooled, blocks, atol=1e-6)


def test_positions_turn_by_their_own_axis() -> None:
    table = axis_table(torch.tensor([0.0, 2.0]), 4, 100.0)
    assert torch.allclose(table[0], torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    angles = torch.tensor([2.0, 0.2])
    assert torch.allclose(table[1], torch.stack((angles.cos(), angles.sin()), -1))
