"""Counted products and floors. Run: `pytest tests/helios_core/test_products.py`."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.cli.bench_model import (
    SIZES,
    TEXT_TOKENS,
    config_of,
    random_history,
    random_model,
    random_text,
)
from helios_core.costs import Way, chunk_costs
from helios_core.eightbit import Linear8
from helios_core.null_world import NullWorld
from helios_core.packed import PackedLinear, can_pack
from helios_core.packs import load_world
from helios_core.products import Products, chunk_products, count_products
from helios_core.world import WorldModel
from tests.helios_core.counting import flops

N, D, M = 5, 64, 32
PRODUCT = 2 * N * D * M


@pytest.mark.parametrize("way", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_linear(way) -> None:
    linear, x = nn.Linear(D, M), torch.randn(N, D)
    with way():
        work = count_products(lambda: linear(x).relu().sum())
    assert work.each == [(PRODUCT, 4 * (N * D + D * M + M + N * M))]


def test_its_gradients() -> None:
    linear, x = nn.Linear(D, M, bias=False), torch.randn(N, D, requires_grad=True)
    work = count_products(lambda: linear(x).square().mean().backward())
    assert work.flops == 3 * PRODUCT and len(work.each) == 3


def test_a_convolution_and_its_gradients() -> None:
    conv, x = nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.randn(2, 3, 6, 10)
    wanted = 2 * (2 * 8 * 6 * 10) * (3 * 3 * 3)
    with torch.no_grad():
        forward = count_products(lambda: conv(x))
    assert forward.each == [(wanted, 4 * (x.numel() + conv.weight.numel() + 2 * 8 * 6 * 10))]
    x.requires_grad_()
    assert count_products(lambda: conv(x).sum().backward()).flops == 3 * wanted


def test_attention_and_its_gradients() -> None:
    """Two products of queries with keys and values; backward makes one of them again, and four."""
    q, k, v = (torch.randn(1, 2, n, 16, requires_grad=True) for n in (7, 9, 9))
    wanted = 2 * (2 * 2 * 7 * 9 * 16)
    with torch.no_grad():
        forward = count_products(lambda: F.scaled_dot_product_attention(q, k, v))
    assert forward.flops == wanted
    both = count_products(lambda: F.scaled_dot_product_attention(q, k, v).sum().backward())
    assert both.flops == wanted + 5 * wanted // 2


@pytest.mark.skipif(
    not can_pack(torch.zeros(1, 1, dtype=torch.bfloat16)), reason="no bf16 in oneDNN here"
)
@pytest.mark.parametrize("gelu", [False, True])
def test_a_packed_linear(gelu: bool) -> None:
    packed = PackedLinear(nn.Linear(D, M).to(torch.bfloat16), gelu=gelu)
    x = torch.randn(1, N, D, dtype=torch.bfloat16)
    with torch.inference_mode():
        work = count_products(lambda: packed(x))
    assert work.each == [(PRODUCT, 2 * (N * D + D * M + M + N * M))]


def test_an_8_bit_linear() -> None:
    linear, x = Linear8(nn.Linear(D, M), torch.int8), torch.randn(N, D)
    with torch.inference_mode():
        assert count_products(lambda: linear(x)).flops == PRODUCT
    q, w = (torch.ones(n, D, dtype=torch.int8) for n in (N, M))
    product = count_products(lambda: torch._int_mm(q, w.T))
    assert product.each == [(PRODUCT, N * D + D * M + 4 * N * M)]


def test_the_floor_takes_the_longer_of_each_product() -> None:
    work = Products(each=[(100, 10), (10, 100)])
    assert (work.flops, work.bytes) == (110, 110)
    assert work.floor(flop_per_s=10, bytes_per_s=20) == 100 / 10 + 100 / 20


def test_a_chunk() -> None:
    """As many operations as torch's own counter finds in a later chunk, and no fewer in a batch."""
    world = load_world("random")
    assert isinstance(world, WorldModel)
    state = world.start(seed=0)
    for _ in range(3):
        state, _ = world.advance(state, world.info.spec.zeros(world.info.chunk_frames))
    zeros = world.info.spec.zeros(world.info.chunk_frames)
    torchs = flops(lambda: world.advance(state, zeros))
    one, two = chunk_products(world), chunk_products(world, 2)
    assert one is not None and two is not None
    # torch's table has no formula for a CPU's attention, so it finds a little less.
    assert torchs <= one.flops < 1.1 * torchs
    assert two.flops > 1.8 * one.flops and len(two.each) < 1.2 * len(one.each)
    replayed = WorldModel(replace(world.parts, graphs=True), world.info)
    assert chunk_products(replayed) == one
    assert chunk_products(NullWorld()) is None


@torch.no_grad()
def test_counting_and_arithmetic_agree() -> None:
    """Costs leave out embeddings and the last layer, which are little beside wide blocks."""
    config = replace(config_of("tiny", restrict_history=True), layers=6)
    size, model = SIZES["tiny"], random_model(config, "cpu", torch.float32)
    text = model.text_cache(random_text(config, "tiny", "cpu", torch.float32))
    past = model.history_cache(random_history(config, size, "cpu", torch.float32))
    noisy = torch.randn(1, config.in_channels, size.frames, size.rows, size.columns)
    counted = count_products(lambda: model(noisy, torch.full((1,), 700.0), text, past))
    way = Way(cache_text=True, cache_history=True)
    wanted = chunk_costs(config, size, steps=(1,), text_tokens=TEXT_TOKENS["tiny"], way=way)
    assert wanted.stages[0].flops.total < counted.flops < 1.1 * wanted.stages[0].flops.total
