"""Weights on disk: what a difference to a base may hold, checked before it is read."""

import re

import pytest
import torch
from safetensors.torch import save_file

from helios_core.packs.tensors import DeltaStore, FileStore, difference


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"w::steps": (2, 3)}, "to w has no scale"),
        ({"w::scale": (2, 1)}, "to w has no steps"),
        ({"w::steps": (2, 1), "w::scale": (2, 1)}, "to w has steps of shape [2, 1], not [2, 3]"),
        ({"w::steps": (2, 3), "w::scale": (9, 2, 1)}, "to w has scale of shape [9, 2, 1]"),
        ({"v::steps": (2, 3), "v::scale": (2, 1)}, "to v has no such tensor"),
    ],
)
def test_a_difference_that_fits_no_tensor_is_refused_before_it_is_read(tmp_path, sizes, message):
    save_file({"w": torch.ones(2, 3)}, tmp_path / "base.safetensors")
    parts = {name: torch.ones(shape, dtype=torch.int8) for name, shape in sizes.items()}
    save_file(parts, tmp_path / "delta.safetensors")
    base, delta = (FileStore([tmp_path / f"{name}.safetensors"]) for name in ("base", "delta"))
    with pytest.raises(ValueError, match=re.escape(message)):
        DeltaStore(base, delta)


def test_a_difference_of_any_memory_layout_is_stored_plainly():
    base = torch.randn(4, 3, 3, 3)
    tensor = (base + 0.1).to(memory_format=torch.channels_last)
    steps, scale = difference(tensor, base)
    assert steps.is_contiguous() and scale.is_contiguous()
    assert torch.allclose(base + steps.float() * scale, tensor, atol=1e-3)
