"""Query or key in one Triton pass: norm over all heads, rotation, history growth, head layout.

    normed = x * rsqrt(mean(x^2) + eps) * weight             over all D channels
    turned = pairs of normed rotated by table[token]         (table may be missing)
    out    = turned * growth[head]                           for the first `head` tokens (history)

`kernels.rotary` and `kernels.norm` hold the reference. One program per token, fp32 inside;
gradients of weight and growth are summed in a fixed order.

Dimensions: B batch, N tokens, H heads, W head width, P = W / 2 pairs, D = H * W, S splits.
"""
# Triton's annotations do not know its own launches:
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportReturnType=false
# ruff: noqa: SIM102 -- the outer `if` of a kernel is decided when it is compiled

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.fused.launch import split_count, width_launch

PAIRS = 64
"""Pairs per program of the sums over tokens."""
TOKENS = 16


@triton.jit
def _forward(
    x, weight, table, growth, out, rstd_out, n_tokens, width, pairs, history, eps,
    x_batch, x_token, out_batch, out_token, out_head, growth_step,
    HAS_TABLE: tl.constexpr, HAS_GROWTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    batch, token = program // n_tokens, program % n_tokens
    pair = tl.arange(0, BLOCK // 2)
    keep = 2 * pair < width
    at = x + batch * x_batch + token * x_token + 2 * pair
    even = tl.load(at, mask=keep, other=0.0).to(tl.float32)
    odd = tl.load(at + 1, mask=keep, other=0.0).to(tl.float32)
    rstd = 1.0 / tl.sqrt(tl.sum(even * even + odd * odd, 0) / width + eps)
    tl.store(rstd_out + program, rstd)
    even *= rstd * tl.load(weight + 2 * pair, mask=keep, other=0.0).to(tl.float32)
    odd *= rstd * tl.load(weight + 2 * pair + 1, mask=keep, other=0.0).to(tl.float32)
    head, inner = pair // pairs, pair % pairs
    if HAS_TABLE:
        angle = table + (token * pairs + inner) * 2
        cos = tl.load(angle, mask=keep, other=0.0)
        sin = tl.load(angle + 1, mask=keep, other=0.0)
        even, odd = even * cos - odd * sin, even * sin + odd * cos
    if HAS_GROWTH:
        if token < history:
            by = tl.load(growth + head * growth_step, mask=keep, other=0.0).to(tl.float32)
            even *= by
            odd *= by
    to = out + batch * out_batch + token * out_token + head * out_head + 2 * inner
    tl.store(to, even.to(out.dtype.element_ty), mask=keep)
    tl.store(to + 1, odd.to(out.dtype.element_ty), mask=keep)


@triton.jit
def _backward_tokens(
    d_out, x, weight, table, growth, rstd_in, d_x, n_tokens, width, pairs, history,
    x_batch, x_token, out_batch, out_token, out_head, growth_step,
    HAS_TABLE: tl.constexpr, HAS_GROWTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    batch, token = program // n_tokens, program % n_tokens
    pair = tl.arange(0, BLOCK // 2)
    keep = 2 * pair < width
    head, inner = pair // pairs, pair % pairs
    at = d_out + batch * out_batch + token * out_token + head * out_head + 2 * inner
    even = tl.load(at, mask=keep, other=0.0).to(tl.float32)
    odd = tl.load(at + 1, mask=keep, other=0.0).to(tl.float32)
    if HAS_GROWTH:
        if token < history:
            by = tl.load(growth + head * growth_step, mask=keep, other=0.0).to(tl.float32)
            even *= by
            odd *= by
    if HAS_TABLE:
        angle = table + (token * pairs + inner) * 2
        cos = tl.load(angle, mask=keep, other=0.0)
        sin = tl.load(angle + 1, mask=keep, other=0.0)
        even, odd = even * cos + odd * sin, odd * cos - even * sin
    even *= tl.load(weight + 2 * pair, mask=keep, other=0.0).to(tl.float32)
    odd *= tl.load(weight + 2 * pair + 1, mask=keep, other=0.0).to(tl.float32)
    rstd = tl.load(rstd_in + program)
    at = x + batch * x_batch + token * x_token + 2 * pair
    x_even = tl.load(at, mask=keep, other=0.0).to(tl.float32) * rstd
    x_odd = tl.load(at + 1, mask=keep, other=0.0).to(tl.float32) * rstd
    common = tl.sum(even * x_even + odd * x_odd, 0) / width
    to = d_x + program * width + 2 * pair
    tl.store(to, ((even - x_even * common) * rstd).to(d_x.dtype.element_ty), mask=keep)
    tl.store(to + 1, ((odd - x_odd * common) * rstd).to(d_x.dtype.element_ty), mask=keep)


@triton.jit
def _backward_sums(
    d_out, x, weight, table, growth, rstd_in, d_even, d_odd, d_growth,
    n_tokens, tokens_all, width, pairs, history, each,
    x_batch, x_token, out_batch, out_token, out_head, growth_step,
    HAS_TABLE: tl.constexpr, HAS_GROWTH: tl.constexpr,
    TOKENS: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(0).to(tl.int64)
    pair = tl.program_id(1) * PAIRS + tl.arange(0, PAIRS)
    keep = 2 * pair < width
    head, inner = pair // pairs, pair % pairs
    w_even = tl.load(weight + 2 * pair, mask=keep, other=0.0).to(tl.float32)
    w_odd = tl.load(weight + 2 * pair + 1, mask=keep, other=0.0).to(tl.float32)
    even_sum = tl.zeros((PAIRS,), tl.float32)
    odd_sum = tl.zeros((PAIRS,), tl.float32)
    growth_sum = tl.zeros((PAIRS,), tl.float32)
    by = tl.full((PAIRS,), 1.0, tl.float32)
    if HAS_GROWTH:
        by = tl.load(growth + head * growth_step, mask=keep, other=0.0).to(tl.float32)
    first = split * each
    last = tl.minimum(first + each, tokens_all)
    for start in range(first, last, TOKENS):
        flat = start + tl.arange(0, TOKENS)
        batch, token = flat // n_tokens, flat % n_tokens
        here = (flat < last)[:, None] & keep[None, :]
        at = d_out + (batch * out_batch + token * out_token)[:, None]
        at += (head * out_head + 2 * inner)[None, :]
        even = tl.load(at, mask=here, other=0.0).to(tl.float32)
        odd = tl.load(at + 1, mask=here, other=0.0).to(tl.float32)
        if HAS_TABLE:
            angle = table + (token[:, None] * pairs + inner[None, :]) * 2
            cos = tl.load(angle, mask=here, other=0.0)
            sin = tl.load(angle + 1, mask=here, other=0.0)
            even, odd = even * cos + odd * sin, odd * cos - even * sin
        rstd = tl.load(rstd_in + flat, mask=flat < last, other=0.0)[:, None]
        at = x + (batch * x_batch + token * x_token)[:, None] + 2 * pair[None, :]
        x_even = tl.load(at, mask=here, other=0.0).to(tl.float32) * rstd
        x_odd = tl.load(at + 1, mask=here, other=0.0).to(tl.float32) * rstd
        if HAS_GROWTH:
            old = (token < history)[:, None]
            dot = even * x_even * w_even[None, :] + odd * x_odd * w_odd[None, :]
            growth_sum += tl.sum(tl.where(old, dot, 0.0), 0)
            even = tl.where(old, even * by[None, :], even)
            odd = tl.where(old, odd * by[None, :], odd)
        even_sum += tl.sum(even * x_even, 0)
        odd_sum += tl.sum(odd * x_odd, 0)
    place = split * (width // 2) + pair
    tl.store(d_even + place, even_sum, mask=keep)
    tl.store(d_odd + place, odd_sum, mask=keep)
    if HAS_GROWTH:
        tl.store(d_growth + place, growth_sum, mask=keep)


class _Heads(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, table, growth, heads: int, history: int, eps: float, first: bool):
        out = _empty_heads(x, heads, first)
        rstd = x.new_empty(x.shape[0] * x.shape[1], dtype=torch.float32)
        block, warps = width_launch(x.shape[2])
        _forward[(x.shape[0] * x.shape[1],)](
            x, weight, table, growth, out, rstd, *_sizes(x, heads), history, eps,
            *_strides(x, out, growth), HAS_TABLE=table is not None, HAS_GROWTH=growth is not None,
            BLOCK=block, num_warps=warps,
        )  # fmt: skip
        ctx.save_for_backward(x, weight, table, growth, rstd)
        ctx.heads, ctx.history = heads, history
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out):
        x, weight, table, growth, rstd = ctx.saved_tensors
        if d_out.stride(-1) != 1:
            d_out = d_out.contiguous()
        d_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block, warps = width_launch(x.shape[2])
        _backward_tokens[(x.shape[0] * x.shape[1],)](
            d_out, x, weight, table, growth, rstd, d_x, *_sizes(x, ctx.heads), ctx.history,
            *_strides(x, d_out, growth), HAS_TABLE=table is not None,
            HAS_GROWTH=growth is not None, BLOCK=block, num_warps=warps,
        )  # fmt: skip
        d_weight, d_growth = _sum_gradients(ctx, d_out)
        return d_x, d_weight, None, d_growth, None, None, None, None


def norm_heads(
    x: Tensor,
    weight: Tensor,
    table: Tensor | None,
    growth: Tensor | None,
    *,
    heads: int,
    history: int,
    eps: float,
    heads_first: bool = False,
) -> Tensor:
    """x [B,N,D] to [B,N,H,W]; `heads_first`: stored as [B,H,N,W] and seen transposed."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    table = None if table is None else table.float().contiguous()
    growth = growth if history else None
    return _Heads.apply(x, weight.contiguous(), table, growth, heads, history, eps, heads_first)


def _empty_heads(x: Tensor, heads: int, heads_first: bool) -> Tensor:
    batch, tokens, width = x.shape
    if heads_first:
        return x.new_empty(batch, heads, tokens, width // heads).transpose(1, 2)
    return x.new_empty(batch, tokens, heads, width // heads)


def _sizes(x: Tensor, heads: int) -> tuple[int, int, int]:
    return x.shape[1], x.shape[2], x.shape[2] // heads // 2


def _strides(x: Tensor, out: Tensor, growth: Tensor | None) -> tuple[int, ...]:
    step = 0 if growth is None or growth.numel() == 1 else growth.stride(0)
    return x.stride(0), x.stride(1), out.stride(0), out.stride(1), out.stride(2), step


def _sum_gradients(ctx, d_out: Tensor) -> tuple[Tensor, Tensor | None]:
    x, weight, table, growth, rstd = ctx.saved_tensors
    batch, tokens, width = x.shape
    flat = batch * tokens
    splits = split_count(flat, TOKENS)
    sums = x.new_empty((3, splits, width // 2), dtype=torch.float32)
    _backward_sums[(splits, triton.cdiv(width // 2, PAIRS))](
        d_out, x, weight, table, growth, rstd, sums[0], sums[1], sums[2],
        tokens, flat, *_sizes(x, ctx.heads)[1:], ctx.history, triton.cdiv(flat, splits),
        *_strides(x, d_out, growth), HAS_TABLE=table is not None, HAS_GROWTH=growth is not None,
        TOKENS=TOKENS, PAIRS=PAIRS,
    )  # fmt: skip
    d_weight = sums[:2].sum(1).T.reshape(width).to(weight.dtype)
    if growth is None:
        return d_weight, None
    by_head = sums[2].sum(0).view(ctx.heads, -1).sum(1)
    d_growth = by_head if growth.numel() > 1 else by_head.sum().view(growth.shape)
    return d_weight, d_growth.to(growth.dtype)
