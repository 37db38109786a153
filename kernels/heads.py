"""What happens to a query or key between its projection and the attention.

Norm over all heads, rotation by position, growth of the history's keys, and the split into heads:
one Triton pass, or the plain-torch definitions of `kernels.norm` and `kernels.rotary` in turn.

Dimensions: B batch, N tokens (first `history` of them history), H heads, W head width, D = H * W,
P = W / 2 pairs.
"""

import torch
from torch import Tensor

from kernels.backend import uses_triton
from kernels.norm import rms_norm
from kernels.rotary import apply_rotary


def norm_heads(
    x: Tensor,
    weight: Tensor,
    heads: int,
    eps: float,
    table: Tensor | None = None,
    growth: Tensor | None = None,
    history: int = 0,
    *,
    heads_first: bool = False,
) -> Tensor:
    """Query or key [B,N,D] to [B,N,H,W], rotated by table [N,P,2], history times growth [H] or [1].

    `heads_first` stores it as [B,H,N,W] (and returns it transposed), as some attention wants.
    """
    if uses_triton(x):
        from kernels.fused import heads as fused

        return fused.norm_heads(
            x, weight, table, growth, heads=heads, history=history, eps=eps, heads_first=heads_first
        )
    out = rms_norm(x.float(), weight, eps).unflatten(-1, (heads, -1))
    if table is not None:
        out = apply_rotary(out, table)
    if growth is not None and history:
        louder = out[:, :history] * growth.view(1, 1, -1, 1)
        out = torch.cat([louder, out[:, history:]], dim=1)
    out = out.to(x.dtype)
    return out.transpose(1, 2).contiguous().transpose(1, 2) if heads_first else out
