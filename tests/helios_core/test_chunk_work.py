"""How much work a chunk of the shipped pack's shape is: a regression here is felt in play.

Counted, never timed, so that it says the same on every machine. A bound may be lowered whenever
the work is; raising one wants a reason. Run: `pytest tests/helios_core/test_chunk_work.py`.
"""

import statistics
import time
from dataclasses import dataclass, replace

import pytest
import torch

from helios_core.actions import WALK_SPEC
from helios_core.codecs.tiny import TinyCodecConfig
from helios_core.conditioning import ActionConditioning
from helios_core.config import small
from helios_core.memory import make_history
from helios_core.packed import can_pack, pack
from helios_core.packs import load_world
from helios_core.packs.build import assemble
from helios_core.packs.builtin import random_manifest, random_modules
from helios_core.packs.manifest import ModuleSpec
from helios_core.plain import to_plain
from helios_core.products import count_products
from helios_core.sampling.plan import few_steps
from helios_core.world import WorldModel
from tests.helios_core.counting import Counted, flops

CPU = torch.device("cpu")
BF16 = torch.bfloat16


@dataclass(frozen=True)
class Bound:
    """The most that a whole chunk may take, its decode included."""

    launches: int
    """Operations, each of which makes or changes numbers."""
    allocations: int
    """New tensors that they make."""
    megabytes: float
    """Read and written by them."""
    megaflops: float
    """Of the matrix products, convolutions and attentions."""


PLAIN = Bound(980, 980, 191, 1980)
PACKED = Bound(1230, 1230, 124, 1990)
"""In bf16, where every rounding is an operation."""
PACK, PACK_PACKED = Bound(594, 594, 120, 2080), Bound(662, 662, 80, 2095)
"""The packs that ship: one step, convolutions beside the blocks. Leading over from the chunk before
(helios_core.codecs.joined) is 177 of the operations, most of them tiny, and 540 megaflops."""


def shipped(dtype: torch.dtype = torch.float32, *, packed: bool = True) -> WorldModel:
    """Random weights in the shape of training/recipes/wilds-flow.yaml, packed where that helps."""
    transformer = small(
        channels=24,
        width=256,
        layers=7,
        ffn_dim=768,
        text_dim=32,
        restrict_history=True,
        prediction="x0",
        carry=True,
        actions=ActionConditioning(channels=WALK_SPEC.size, window=4),
    )
    manifest = random_manifest(
        sampler=few_steps(1.0, 0.75, 0.4).to_dict(),
        transformer=ModuleSpec(kind="helios", config=to_plain(transformer)),
        codec=ModuleSpec(kind="tiny_codec", config=to_plain(TinyCodecConfig(channels=24))),
    )
    modules = random_modules(manifest, dtype=dtype)
    if packed:
        pack(modules["transformer"])
    return assemble(manifest, {}, modules, device=CPU, dtype=dtype)


def played(world: WorldModel, chunks: int):
    state = world.start(seed=0, prompt="a meadow at noon")
    for _ in range(chunks):
        state, _ = world.advance(state, world.info.spec.zeros(4))
    return state


def count(world: WorldModel, state) -> Counted:
    with Counted() as counted:
        world.advance(state, world.info.spec.zeros(4))
    return counted


def within(world: WorldModel, bound: Bound) -> Counted:
    """What a chunk of the world takes, which is no more than allowed."""
    state = played(world, 2)
    counted = count(world, state)
    with torch.no_grad():
        spent = count_products(lambda: world.advance(state, world.info.spec.zeros(4)))
    assert counted.launches <= bound.launches
    assert counted.counts.allocations <= bound.allocations
    assert counted.counts.bytes <= bound.megabytes * 1e6
    assert spent.flops <= bound.megaflops * 1e6
    return counted


def test_work_of_a_chunk() -> None:
    within(shipped(), PLAIN)


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("name", ["wilds-nano", "freedoom"])
def test_work_of_a_chunk_of_a_pack_that_ships(name: str, dtype: torch.dtype) -> None:
    if dtype == BF16 and not can_pack(torch.zeros(1, 1, dtype=BF16)):
        pytest.skip("no bf16 in oneDNN here")
    world = load_world(name, dtype=dtype)
    assert isinstance(world, WorldModel)
    within(world, PACK if dtype == torch.float32 else PACK_PACKED)


@pytest.mark.skipif(not can_pack(torch.zeros(1, 1, dtype=BF16)), reason="no bf16 in oneDNN here")
def test_work_of_a_chunk_with_packed_weights() -> None:
    counted = within(shipped(BF16), PACKED)
    assert "aten.gelu.default" not in counted.counts.launches  # part of the product before it
    products = counted.counts.launches["mkldnn._linear_pointwise.default"]
    assert products > 5 * counted.counts.launches["aten.linear.default"]


@pytest.mark.full
@pytest.mark.skipif(not can_pack(torch.zeros(1, 1, dtype=BF16)), reason="no bf16 in oneDNN here")
def test_fused_products_take_fewer_launches_and_less_time_than_naive_ones() -> None:
    """Both make chunks in turns, so that the machine's moods hit both alike."""
    torch.set_num_threads(1)
    worlds = [shipped(BF16), shipped(BF16, packed=False)]
    states = [played(world, 2) for world in worlds]
    fused, naive = (count(w, s).launches for w, s in zip(worlds, states, strict=True))
    assert naive > 1.1 * fused
    times: list[list[float]] = [[], []]
    for _ in range(40):
        for world, state, taken in zip(worlds, states, times, strict=True):
            began = time.thread_time()
            world.advance(state, world.info.spec.zeros(4))
            taken.append(time.thread_time() - began)
    fused, naive = map(statistics.median, times)
    assert naive > 1.05 * fused, (naive, fused)


def test_a_later_chunk_is_no_more_work() -> None:
    world = shipped()
    early = played(world, 2)
    wanted = count(world, early).counts
    assert count(world, played(world, 12)).counts == wanted
    assert count(world, replace(early, chunk=1_000_000)).counts == wanted


def test_cached_history_saves_what_the_steps_would_repeat() -> None:
    """Three steps over 62 history and 24 noisy tokens: cached, 134 tokens pass; else 258."""
    world = shipped()
    model, steps = world.parts.transformer, 3
    kept = torch.randn(1, 24, model.config.kept_frames, 8, 12)
    history = make_history(kept, kept[:, :, :1], model.config.history_sizes)
    text = model.text_cache(torch.randn(1, 8, 32))
    noisy, time = torch.randn(1, 24, 1, 8, 12), torch.full((1,), 700.0)
    whole = steps * flops(lambda: model(noisy, time, text, history))
    past = model.history_cache(history)
    cached = flops(lambda: model.history_cache(history))
    cached += steps * flops(lambda: model(noisy, time, text, past))
    assert 1.6 < whole / cached < 2.0


@pytest.mark.full
def test_ten_thousand_chunks_later() -> None:
    world = assemble(
        random_manifest(), {}, random_modules(random_manifest()), device=CPU, dtype=torch.float32
    )
    state = played(world, 100)
    wanted, room = count(world, state).counts, len(world.save_state(state))
    for _ in range(9_900):
        state, _ = world.generate(state, world.info.spec.zeros(4))
    assert count(world, state).counts == wanted
    assert abs(len(world.save_state(state)) - room) < 16  # the chunk's number has more digits
