"""Counts the matrix products, convolutions and attentions of a piece of work, and its floor.

A product takes at least as long as its operations, and at least as long as reading its inputs and
writing its output once; the floor of a piece of work is the sum of the longer of the two over its
products. Element-wise work, launches and Python are in no floor: they are what can be saved. The
work runs while it is counted. Not here: counts by arithmetic, without running (helios_core.costs).

    work = count_products(lambda: model(noisy, time, text, history))
    seconds = work.floor(flop_per_s=5e10, bytes_per_s=3e9)

Dimensions: N rows, D in, M out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from helios_core.world import WorldModel
from helios_core.world_api import World


def _packed(x: Tensor, weight: Tensor, *args: Any, out_val: Any) -> int:
    """[..., D] by packed weights [M, D]."""
    return 2 * x.numel() * weight.shape[0]


def _int8(x: Tensor, weight: Tensor, *args: Any, out_val: Any) -> int:
    """[N, D] by [D, M]."""
    return 2 * x.numel() * weight.shape[1]


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward(
    out: Tensor, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> int:
    return sdpa_backward_flop_count(out.shape, query.shape, key.shape, value.shape)


OURS: dict[Any, Callable[..., int]] = {
    torch.ops.aten._int_mm: _int8,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""Products that torch's own table of formulas leaves out."""
if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    OURS[torch.ops.mkldnn._linear_pointwise] = _packed


@dataclass(kw_only=True)
class Products:
    """What was multiplied."""

    each: list[tuple[int, int]] = field(default_factory=list)
    """Operations, and bytes of inputs and output, of every product."""

    @property
    def flops(self) -> int:
        return sum(flops for flops, _ in self.each)

    @property
    def bytes(self) -> int:
        return sum(moved for _, moved in self.each)

    def floor(self, *, flop_per_s: float, bytes_per_s: float) -> float:
        """Seconds that no order of the work undercuts on a machine of these rates."""
        return sum(max(f / flop_per_s, b / bytes_per_s) for f, b in self.each)


class _Counting(TorchDispatchMode):
    """Keeps every product that passes, also those inside composite operations."""

    def __init__(self, kept: Products) -> None:
        super().__init__()
        self.kept = kept

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        formula = OURS.get(func._overloadpacket) or flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                out = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if out is NotImplemented else out
        out = func(*args, **kwargs)
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
        moved = sum(t.numel() * t.element_size() for t in tensors)
        self.kept.each.append((int(formula(*args, **kwargs, out_val=out)), moved))
        return out


def count_products(work: Callable[[], Any]) -> Products:
    """Run `work` once and count. What replays CUDA graphs shows nothing: give it plain calls.
    What was compiled runs as it was written, the only way in which it shows its products."""
    kept = Products()
    with torch.compiler.set_stance("force_eager"), _Counting(kept):
        work()
    return kept


def chunk_products(world: World, count: int = 1) -> Products | None:
    """Of a later chunk of so many worlds in one pass, decoded; None for a world without a model."""
    if not isinstance(world, WorldModel):
        return None
    plain = WorldModel(replace(world.parts, graphs=False), world.info)
    spec, frames = world.info.spec, world.info.chunk_frames
    actions = [spec.zeros(frames) if spec.size else None] * count
    prompt = world.info.first_preset.prompt
    states = [plain.start(seed=i, prompt=prompt) for i in range(count)]

    def chunk() -> None:
        nonlocal states
        states, latents = plain.generate_batch(states, actions, [None] * count)
        plain.decode_batch(states, latents)

    # The prompt is encoded once, and a first chunk has less behind it for the codec to read.
    for _ in range(1 + -(-world.parts.codec.context // world.parts.chunk_latents)):
        chunk()
    return count_products(chunk)
