"""Rows to 8 bits in one Triton pass, after the norm and modulation before them. No gradient.

    scale[token] = max |value| / limit          q = round(value / scale)        fp8 e4m3 or int8

Dimensions: N rows (batch and tokens), D width.
"""
# Triton's annotations do not know its own launches:
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportReturnType=false

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.fused.launch import width_launch
from kernels.fused.residual import _row_of


@triton.jit
def _quantise(
    x, factor, shift, out, scales, n_tokens, width, head, span, eps, limit, smallest,
    x_batch, x_token, factor_batch, factor_row, shift_batch, shift_row,
    HAS_NORM: tl.constexpr, WHOLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    batch, token = program // n_tokens, program % n_tokens
    cols = tl.arange(0, BLOCK)
    keep = cols < width
    at = x + batch * x_batch + token * x_token + cols
    value = tl.load(at, mask=keep, other=0.0).to(tl.float32)
    if HAS_NORM:
        row = _row_of(token, head, span)
        mean = tl.sum(value, 0) / width
        value = tl.where(keep, value - mean, 0.0)
        value *= 1.0 / tl.sqrt(tl.sum(value * value, 0) / width + eps)
        place = batch * factor_batch + row * factor_row
        by = tl.load(factor + place + cols, mask=keep, other=0.0).to(tl.float32)
        place = batch * shift_batch + row * shift_row
        value = value * (1.0 + by) + tl.load(shift + place + cols, mask=keep, other=0.0).to(
            tl.float32
        )
    scale = tl.maximum(tl.max(tl.abs(value), 0) / limit, smallest)
    value = tl.minimum(tl.maximum(value / scale, -limit), limit)
    if WHOLE:
        value = tl.floor(value + 0.5)
    tl.store(scales + program, scale)
    tl.store(out + program * width + cols, value.to(out.dtype.element_ty), mask=keep)


def quantise_rows(
    x: Tensor,
    rows: tuple[Tensor, Tensor, int, int, float] | None,
    dtype: torch.dtype,
    limit: float,
    smallest: float,
) -> tuple[Tensor, Tensor]:
    """x [B,N,D] to 8 bits and scales [B,N,1]; `rows` = scale, shift, head, span, eps of a norm."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    batch, tokens, width = x.shape
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    scales = x.new_empty((batch, tokens, 1), dtype=torch.float32)
    factor, shift, head, span, eps = rows or (x, x, 0, tokens, 0.0)
    block, warps = width_launch(width)
    _quantise[(batch * tokens,)](
        x, factor, shift, out, scales, tokens, width, head, max(span, 1), eps, limit, smallest,
        x.stride(0), x.stride(1), factor.stride(0), factor.stride(1),
        shift.stride(0), shift.stride(1), HAS_NORM=rows is not None,
        WHOLE=dtype == torch.int8, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out, scales
