"""Rotation of query and key pairs by position.

Plain-torch definition: a faster version equals it in value and gradient. The table is fp32 and
may hold averaged cosines and sines (compressed history), so a rotation need not keep the length.

Dimensions: B batch, N tokens, H heads, P = head width / 2 pairs.
"""

import torch
from torch import Tensor


def apply_rotary(x: Tensor, table: Tensor) -> Tensor:
    """Rotate neighbouring channel pairs of x [B,N,H,2P] by table [N,P,2] (cosine, sine)."""
    if torch.compiler.is_compiling():  # complex numbers keep the compiler from fusing
        return _rotate_pairs(x, table)
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    turned = pairs * torch.view_as_complex(table).unsqueeze(-2)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def _rotate_pairs(x: Tensor, table: Tensor) -> Tensor:
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = table.unsqueeze(-3).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)
