"""Residency: the plan by sizes and memory; the executor on a fake device that keeps accounts.

The fake device fills buffers with NaN and copies as late as it may (when waited for) or as early
as it may (when asked to): weights used before they arrived, or overwritten while in use, show in
the result either way.
"""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helios_core.packs.build import assemble, share
from helios_core.packs.builtin import random_manifest, random_modules
from helios_core.program import tensors_of
from helios_core.residency.executor import Residency, linear
from helios_core.residency.flat import Flat
from helios_core.residency.plan import Sizes, plan_residency
from helios_core.residency.sizes import (
    TINY_BYTES_PER_PIXEL,
    bytes_of,
    sizes_of,
    transformer_work,
)

GIB = 2**30
BIG = Sizes(
    text_encoder=11 * GIB,
    text_encoder_work=GIB // 2,
    trunk=GIB // 2,
    blocks=(GIB * 7 // 10,) * 40,
    transformer_work=3 * GIB,
    codec=GIB // 4,
    codec_work=4 * GIB,
)
"""About the 14B in bf16 at 384x640."""


class FakeDevice:
    """Host memory that behaves as a device with a copy stream, at its latest or its earliest.

    Its clock ticks with every wait. A buffer is in use from the wait for its copy; a new copy into
    it has to come after an event that was marked since.
    """

    def __init__(self, late: bool) -> None:
        self.late = late
        self.held, self.peak = 0, 0
        self.copied: list[int] = []
        self.clock = 0
        self._used_at: dict[int, int] = {}
        self._queue: list[Copy] = []

    def pin(self, host):
        return host

    def allocate(self, size):
        self.held += size
        self.peak = max(self.peak, self.held)
        return torch.full((size,), 255, dtype=torch.uint8)

    def free(self, buffer):
        self.held -= buffer.numel()
        buffer.fill_(255)

    def copy(self, host, buffer, after):
        assert after >= self._used_at.get(buffer.data_ptr(), 0), "overwritten while in use"
        self.copied.append(host.numel())
        copy = Copy(host, buffer)
        self._queue.append(copy)
        if not self.late:
            self._run_up_to(copy)
        return copy

    def wait(self, event):
        self._run_up_to(event)
        self.clock += 1
        self._used_at[event.buffer.data_ptr()] = self.clock

    def mark(self):
        return self.clock

    def _run_up_to(self, copy):
        while copy in self._queue:
            job = self._queue.pop(0)
            job.buffer[: job.host.numel()].copy_(job.host)


@dataclass(eq=False)
class Copy:
    host: torch.Tensor
    buffer: torch.Tensor


# The plan ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "places"),
    [
        (80, ("stays", "stays", "stays")),
        (42, ("turns", "stays", "stays")),
        (33, ("turns", "turns", "stays")),
        (24, ("turns", "streams", "stays")),
        (14, ("turns", "streams", "stays")),
        (13, ("host", "streams", "stays")),
        (6.5, ("host", "streams", "stays")),
    ],
)
def test_the_plan_for_the_14b_by_memory(free, places):
    plan = plan_residency(BIG, free=int(free * GIB))
    assert (plan.text_encoder, plan.transformer, plan.codec) == places
    assert plan.peak <= free * GIB


def test_more_memory_streams_less():
    moved = [plan_residency(BIG, free=g * GIB).moved_per_pass for g in (8, 12, 20, 30, 60)]
    assert moved == sorted(moved, reverse=True) and moved[0] > 20 * GIB and moved[-1] == 0


def test_too_little_memory_is_refused_with_what_is_needed():
    with pytest.raises(ValueError, match=r"needs 6\.\d GiB .* 3\.0 GiB are free: close"):
        plan_residency(BIG, free=3 * GIB)
    with pytest.raises(ValueError, match="groups of 1"):
        plan_residency(BIG, free=GIB, group=0)


small = st.integers(0, 1000)


@settings(max_examples=200, deadline=None)
@given(
    small, small, small, st.lists(st.integers(1, 300), min_size=1, max_size=8), small, small, small,
    st.integers(0, 6000), st.integers(1, 3),
)  # fmt: skip
def test_any_plan_fits_and_more_memory_never_moves_more(te, tw, tr, bl, w, c, cw, free, group):
    sizes = Sizes(
        text_encoder=te,
        text_encoder_work=tw,
        trunk=tr,
        blocks=tuple(bl),
        transformer_work=w,
        codec=c,
        codec_work=cw,
    )
    try:
        plan = plan_residency(sizes, free=free, group=group)
    except ValueError:
        whole = te + sizes.transformer + c + max(tw, w, cw)
        assert free < whole
        return
    assert plan.peak <= free and 0 <= plan.staying_blocks <= len(bl)
    more = plan_residency(sizes, free=free + 500, group=group)
    assert more.moved_per_pass <= plan.moved_per_pass


# The executor -----------------------------------------------------------------------------------


def test_a_flat_keeps_values_layouts_and_shared_tensors():
    layer = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    strides = layer.weight.stride()
    flat = Flat([layer.weight, layer.bias, layer.weight])
    assert len(flat.parts) == 2 and flat.bytes % 64 == 0
    for buffer in (flat.host.clone(), flat.host):
        flat.point(buffer)
        assert layer.weight.stride() == strides
        assert all(torch.equal(layer.state_dict()[n], t) for n, t in before.items())
        assert layer.weight.data_ptr() == buffer.data_ptr()


def world_and_sizes(manifest):
    modules = random_modules(manifest)
    sizes = sizes_of(
        text_encoder=modules["text_encoder"],
        transformer=modules["transformer"],
        codec=modules["codec"],
        blocks=modules["transformer"].blocks,
        transformer_work=1000,
        texts=0,
        pixels=0,
        wan=False,
    )
    return modules, sizes


def played(manifest, modules, turn=None):
    cpu = torch.device("cpu")
    world = assemble(manifest, {}, modules, device=cpu, dtype=torch.float32, turn=turn)
    state = world.start(seed=1, prompt="a meadow")
    for i in range(3):
        prompt = "a stormy sea" if i == 1 else None
        prepared = world.prepare(state)
        state, frames = world.generate(state, None, prompt, crossfade=2, prepared=prepared)
        frames = world.decode(state, frames)
    return state.groups[-1], frames


def deep_manifest(layers: int = 5, **changes):
    manifest = random_manifest(**changes)
    config = {**manifest.transformer.config, "layers": layers}
    return replace(manifest, transformer=replace(manifest.transformer, config=config))


@pytest.mark.parametrize("late", [True, False], ids=["late copies", "early copies"])
@pytest.mark.parametrize("group", [1, 2, 5])
@pytest.mark.parametrize("kind", ["turns", "alone", "streams", "streams some", "host"])
def test_every_plan_plays_the_same_bits(kind, group, late):
    manifest = deep_manifest()
    latents, frames = played(manifest, random_modules(manifest))
    modules, sizes = world_and_sizes(manifest)
    everything = 10**9
    whole = plan_residency(sizes, free=everything)
    streams = replace(whole, text_encoder="turns", transformer="streams", group=group, alone=True)
    plan = {
        "turns": replace(whole, text_encoder="turns", codec="turns"),
        "alone": replace(
            whole, text_encoder="turns", transformer="turns", codec="turns", alone=True
        ),
        "streams": streams,
        "streams some": replace(streams, staying_blocks=2, codec="turns"),
        "host": replace(streams, text_encoder="host", staying_blocks=4, alone=False),
    }[kind]
    device = FakeDevice(late)
    residency = Residency(plan, modules, modules["transformer"].blocks, device)
    ours, shown = played(manifest, modules, residency.turn)
    assert torch.equal(ours, latents) and (shown == frames).all()


@pytest.mark.parametrize("sampler", [{}, {"guidance": 3.0}])
def test_turns_alone_survive_guidance(sampler):
    manifest = deep_manifest()
    manifest = replace(manifest, sampler={**manifest.sampler, **sampler})
    latents, _ = played(manifest, random_modules(manifest))
    modules, sizes = world_and_sizes(manifest)
    plan = replace(
        plan_residency(sizes, free=10**9),
        text_encoder="turns",
        transformer="turns",
        codec="turns",
        alone=True,
    )
    device = FakeDevice(late=True)
    residency = Residency(plan, modules, modules["transformer"].blocks, device)
    ours, _ = played(manifest, modules, residency.turn)
    assert torch.equal(ours, latents)


def test_the_device_holds_no_more_weights_than_planned():
    manifest = deep_manifest(layers=8)
    whole, _ = world_and_sizes(manifest)
    total = sum(bytes_of(module) for module in whole.values())
    work = transformer_work(whole["transformer"].config, 1, 8, 12)
    needed = []
    for free in (total + work + 2**23, total // 2 + work + 2**22, total // 3 + work + 2**22):
        modules = random_modules(manifest)
        device = FakeDevice(late=True)
        residency = share(manifest, modules, device, free)
        played(manifest, modules, residency.turn)
        assert device.peak <= residency.plan.peak <= free
        needed.append(device.peak)
    assert needed == sorted(needed, reverse=True) and needed[-1] < needed[0]


def test_every_part_that_works_has_its_room_in_every_plan():
    """From plenty of memory downwards, each time just too little for the plan before."""
    manifest = deep_manifest(layers=3)
    works = {"text_encoder": 1_100_000, "transformer": 200_000, "codec": 900_000}
    plans, free = [], 10**9
    while True:
        modules, sizes = world_and_sizes(manifest)
        sizes = replace(sizes, **{f"{name}_work": size for name, size in works.items()})
        try:
            plan = plan_residency(sizes, free=free)
        except ValueError:
            break
        device = FakeDevice(late=True)
        residency = Residency(plan, modules, modules["transformer"].blocks, device)
        for name in (*works, *works):
            with residency.turn(name):
                working = 0 if getattr(plan, name) == "host" else works[name]
                assert device.held + working <= plan.peak + 2**15, (plan, name)  # alignment
        plans.append((plan.text_encoder, plan.transformer, plan.codec, plan.alone))
        free = plan.peak - 1
    assert len(plans) >= 4


def test_the_plan_has_room_for_the_prompts_that_are_kept():
    manifest = deep_manifest()
    modules = random_modules(manifest, dtype=torch.bfloat16)
    weights = sum(bytes_of(module) for module in modules.values())
    work = manifest.height * manifest.width * 4 * TINY_BYTES_PER_PIXEL
    plan = share(manifest, modules, FakeDevice(late=True), 10**9).plan
    world = assemble(manifest, {}, modules, device=torch.device("cpu"), dtype=torch.bfloat16)
    state = world.start(seed=1, prompt="a meadow")
    for i in range(6):
        state, _ = world.generate(state, None, f"prompt {i}", crossfade=2)
    caches = (world._prompts._hidden, world._prompts._blends)
    kept = sum(x.nbytes for cache in caches for x in tensors_of(tuple(cache._items.values())))
    assert plan.everything_stays and 0 < kept <= plan.peak - weights - work < 4 * kept


def test_the_next_group_is_asked_for_before_this_one_computes():
    manifest = deep_manifest(layers=4)
    modules, sizes = world_and_sizes(manifest)
    plan = replace(plan_residency(sizes, free=10**9), transformer="streams", group=1)
    device = FakeDevice(late=True)
    blocks = modules["transformer"].blocks
    residency = Residency(plan, modules, blocks, device)
    settled, asked = len(device.copied), []
    for block in blocks:
        linear(block)[0].register_forward_hook(
            lambda *_: asked.append(len(device.copied) - settled)
        )
    x = torch.zeros(1, blocks[0].attn1.to_q.in_features)
    for _ in range(2):
        for block in blocks:
            linear(block)[0](x)
    # The first needs itself and fetches the second; from then on one group is ahead.
    assert asked == [2, 3, 4, 5, 6, 7, 8, 9]
    assert residency.plan.transformer == "streams"


def test_a_pass_that_breaks_off_does_not_spoil_the_next():
    manifest = deep_manifest(layers=5)
    latents, _ = played(manifest, random_modules(manifest))
    modules, sizes = world_and_sizes(manifest)
    plan = replace(plan_residency(sizes, free=10**9), transformer="streams", group=1)
    residency = Residency(plan, modules, modules["transformer"].blocks, FakeDevice(late=True))
    blocks = modules["transformer"].blocks
    for stop in (0, 2, 3, 1):
        linear(blocks[stop])[0](torch.zeros(1, linear(blocks[stop])[0].in_features))
    ours, _ = played(manifest, modules, residency.turn)
    assert torch.equal(ours, latents)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_streaming_on_a_gpu_plays_the_same_bits():
    from helios_core.residency.device import CudaDevice

    manifest = deep_manifest()
    cuda = torch.device("cuda")
    modules = random_modules(manifest)
    plan = replace(plan_residency(world_and_sizes(manifest)[1], free=10**9), text_encoder="turns")
    plan = replace(plan, transformer="streams", codec="turns", group=1)
    residency = Residency(plan, modules, modules["transformer"].blocks, CudaDevice(cuda))
    streamed = assemble(
        manifest, {}, modules, device=cuda, dtype=torch.float32, turn=residency.turn
    )
    plain = assemble(
        manifest, {}, random_modules(manifest, device=cuda), device=cuda, dtype=torch.float32
    )
    states = [world.start(seed=1, prompt="a meadow") for world in (streamed, plain)]
    for _ in range(3):
        states = [
            world.generate(state, None)[0]
            for world, state in zip((streamed, plain), states, strict=True)
        ]
    assert torch.equal(states[0].groups[-1], states[1].groups[-1])
