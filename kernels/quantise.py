"""Rows of numbers as 8 bits with one scale per row, alone or right after norm and modulation.

fp8 is e4m3, int8 is symmetric; halves round up. For inference: there is no gradient. The products
of such rows are in kernels.matmul8.

Dimensions: B batch, N tokens, D width, R modulation rows.
"""

import torch
from torch import Tensor

from kernels.backend import uses_triton
from kernels.norm import Rows, norm_modulate

FP8 = torch.float8_e4m3fn
LIMITS = {FP8: 448.0, torch.int8: 127.0}
SMALLEST = 1e-12
"""A row of zeros has this scale."""


def quantise_rows(x: Tensor, dtype: torch.dtype = FP8) -> tuple[Tensor, Tensor]:
    """x [..., D] to 8 bits and fp32 scales [..., 1]: q * scale is about x."""
    if uses_triton(x):
        from kernels.fused import quantise

        three = x.reshape(1, -1, x.shape[-1])
        q, scale = quantise.quantise_rows(three, None, dtype, LIMITS[dtype], SMALLEST)
        return q.view(x.shape), scale.view(*x.shape[:-1], 1)
    return _quantise(x.float(), dtype)


def norm_modulate_quantise(
    x: Tensor, scale: Tensor, shift: Tensor, rows: Rows, eps: float, dtype: torch.dtype = FP8
) -> tuple[Tensor, Tensor]:
    """`norm_modulate` of x [B,N,D] and `quantise_rows` of it, without rounding in between."""
    if uses_triton(x):
        from kernels.fused import quantise

        shape = (x.shape[0], -1, -1)
        given = (scale.expand(shape), shift.expand(shape), rows.head, rows.span, eps)
        return quantise.quantise_rows(x, given, dtype, LIMITS[dtype], SMALLEST)
    return _quantise(norm_modulate(x, scale, shift, rows, eps, torch.float32), dtype)


def _quantise(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    limit = LIMITS[dtype]
    scale = (x.abs().amax(-1, keepdim=True) / limit).clamp_min(SMALLEST)
    value = (x / scale).clamp(-limit, limit)
    return (torch.floor(value + 0.5) if dtype == torch.int8 else value).to(dtype), scale
