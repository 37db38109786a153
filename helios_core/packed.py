"""Linear layers with weights laid out once for the processor's matrix product, on a CPU.

oneDNN multiplies blocked weights; given plain ones it rearranges them at every call, which at a few
dozen tokens takes longer than the product. `pack` rearranges them when a world is loaded and lets
the activation of the feed-forward layer be part of its product. For inference: a packed model has
no gradients and its weights can no longer be read. Elsewhere than on a CPU nothing is changed.

    pack(model)

Dimensions: D in, M out.
"""

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helios_core.attention import SelfAttention
from helios_core.blocks import Projection
from helios_core.transformer import HeliosTransformer
from kernels.rotary import apply_rotary

FASTER_IN = (torch.bfloat16,)
"""Dtypes in which blocked weights were measured faster; MKL's fp32 product takes plain ones."""
READ = "frame"
"""The action encoder asks this linear for its dtype."""


class PackedLinear(nn.Module):
    """A linear layer whose weights only oneDNN can read."""

    def __init__(self, linear: nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = linear.bias
        self.after = ("gelu", [], "tanh") if gelu else ("none", [], "")

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., M] in x's dtype."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.after)


class PackedProjections(nn.Module):
    """Query, key and value of self-attention: one product, both norms and rotations in one go."""

    norms: Tensor

    def __init__(self, attention: SelfAttention) -> None:
        super().__init__()
        parts = (attention.to_q, attention.to_k, attention.to_v)
        whole = nn.Linear(1, 1, device="meta")
        whole.weight = nn.Parameter(torch.cat([p.weight for p in parts]), requires_grad=False)
        whole.bias = nn.Parameter(torch.cat([p.bias for p in parts]), requires_grad=False)
        self.linear = PackedLinear(whole)
        norms = torch.stack([attention.norm_q.weight, attention.norm_k.weight])
        self.register_buffer("norms", norms.float(), persistent=False)
        self.heads, self.eps = attention.heads, attention.norm_q.eps

    def forward(
        self, x: Tensor, table: Tensor, growth: Tensor | None, history: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B,N,D] to query, key and value [B,N,H,W], as `kernels.heads` makes them."""
        whole = self.linear(x)
        dim = x.shape[-1]
        both = whole[..., : 2 * dim].unflatten(-1, (2, dim))
        normed = F.rms_norm(both.float(), (dim,), None, self.eps) * self.norms
        turned = apply_rotary(normed.view(*x.shape[:2], 2 * self.heads, -1), table)
        if growth is not None and history:
            turned[:, :history, self.heads :] *= growth[:, None]
        query, key = turned.to(x.dtype).split(self.heads, dim=2)
        return query, key, whole[..., 2 * dim :].unflatten(-1, (self.heads, -1))


def can_pack(weight: Tensor) -> bool:
    """Whether this machine and torch multiply blocked weights, and faster."""
    if weight.device.type != "cpu" or weight.dtype not in FASTER_IN:
        return False
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def plain(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether this is a linear layer, not one of 8 bits, that is worth packing."""
    return isinstance(module, nn.Linear) and can_pack(module.weight)


@torch.no_grad()
def pack(model: nn.Module) -> None:
    """Replace the linears of the blocks and of their conditioning, in place."""
    assert isinstance(model, HeliosTransformer)
    for block in model.layers:
        join(block.attn1)
    for part in (model.blocks, model.condition_embedder, model.actions):
        for parent in [] if part is None else list(part.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, Projection) and plain(child.proj):
                    setattr(parent, name, PackedLinear(child.proj, gelu=True))
                elif name != READ and plain(child):
                    setattr(parent, name, PackedLinear(child))


def join(attention: SelfAttention) -> None:
    """One packed product for the three of a self-attention, which are dropped."""
    if plain(attention.to_q):
        attention.joined = PackedProjections(attention)
        for name in ("to_q", "to_k", "to_v", "norm_q", "norm_k"):
            setattr(attention, name, nn.Identity())
