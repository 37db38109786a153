"""Packed weights against plain ones. Run: `pytest tests/helios_core/test_packed.py`."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from helios_core.eightbit import Linear8
from helios_core.packed import PackedLinear, can_pack, pack
from helios_core.packs import load_world
from helios_core.transformer import FP32_PARAMETERS, HeliosTransformer
from helios_core.world import WorldModel
from tests.helios_core.test_model import TINY, inputs_of, model_of

BF16 = torch.bfloat16
needs_bf16 = pytest.mark.skipif(
    not can_pack(torch.zeros(1, 1, dtype=BF16)), reason="oneDNN has no bf16 here"
)


def in_bf16(config=TINY) -> HeliosTransformer:
    model = model_of(config).requires_grad_(False)
    for name, weight in model.named_parameters():
        if not any(part in name for part in FP32_PARAMETERS):
            weight.data = weight.data.to(BF16)
    return model


def outputs(model: HeliosTransformer) -> list[torch.Tensor]:
    """With the history inside the forward, and cached."""
    given = inputs_of(TINY)
    dtype = model.proj_out.weight.dtype
    noisy, text, history = given["noisy"].to(dtype), given["text"].to(dtype), given["history"]
    history = history.to(dtype)
    rest = (given["timestep"], model.text_cache(text))
    past = model.history_cache(history)
    actions = given["actions"]
    return [model(noisy, *rest, past, actions), model(noisy, *rest, history, actions)]


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


@needs_bf16
@torch.no_grad()
@pytest.mark.parametrize("amplify", ["none", "per_head"])
def test_a_packed_model_is_as_near_to_fp32_as_a_plain_one(amplify: str) -> None:
    config = replace(TINY, amplify_history=amplify)
    plain = in_bf16(config)
    exact = copy.deepcopy(plain).float()
    packed = copy.deepcopy(plain)
    pack(packed)
    assert sum(isinstance(m, PackedLinear) for m in packed.blocks.modules()) == 8 * TINY.layers
    assert not any(isinstance(m, nn.Linear) for m in packed.blocks.modules())
    for ours, theirs, wanted in zip(outputs(packed), outputs(plain), outputs(exact), strict=True):
        assert error(ours, wanted) < 1.2 * error(theirs, wanted) < 0.05


@torch.no_grad()
def test_fp32_is_left_as_it_is() -> None:
    model = model_of(TINY)
    before = outputs(model)
    pack(model)
    assert not any(isinstance(m, PackedLinear) for m in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), before, strict=True))


def test_a_world_of_8_bit_products_says_so_and_is_not_packed() -> None:
    plain, eight = (load_world("random", dtype=BF16, eight_bits=kind) for kind in (None, "int8"))
    assert isinstance(eight, WorldModel)
    blocks = list(eight.parts.transformer.blocks.modules())
    assert any(isinstance(m, Linear8) for m in blocks)
    assert not any(isinstance(m, PackedLinear | nn.Linear) for m in blocks)
    assert eight.info.fingerprint == {**plain.info.fingerprint, "products": "int8"}
    first, second = (w.advance(w.start(seed=0), None)[1] for w in (plain, eight))
    assert 0 < abs(first.astype(int) - second).mean() < 4
