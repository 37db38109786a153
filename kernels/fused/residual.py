"""One pass of Triton for residual, gate, layer norm and modulation, forward and backward.

    sum    = x + gate[row] * y            (y may be missing, cover later tokens only, or be ungated)
    normed = norm(sum) * factor[row] + shift[row]         (may be missing, or cover later tokens)

Plain and affine layer norm, norm + modulate, gated residual, and gated residual + norm + modulate
are all this, with parts left out. `kernels.norm` chooses between it and the reference. One program
per token, fp32 inside; gradients by row are summed in a fixed order, so that they repeat exactly.

Dimensions: B batch, N tokens, M = N - first_added, K = N - first_normed, D width, R rows, S splits.
"""
# Triton's annotations do not know its own launches:
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportReturnType=false
# ruff: noqa: SIM102 -- the outer `if` of a kernel is decided when it is compiled

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.fused.launch import split_count, width_launch

COLUMNS = 128
"""Columns per program of the sums over tokens."""
TOKENS = 16
"""Tokens per step of those sums."""


class Plan(NamedTuple):
    """What varies between uses, beside the tensors."""

    head: int
    span: int
    eps: float = 1e-6
    add_one: bool = True
    """The factor is 1 + what is given."""
    first_added: int = 0
    first_normed: int = 0
    out_dtype: torch.dtype | None = None


@triton.jit
def _row_of(token, head, span):
    """The modulation row of a token (see kernels.norm.Rows)."""
    after = (token - head) // span + (head > 0)
    return tl.where(token < head, 0, after)


@triton.jit
def _forward(
    x, y, gate, factor, shift, total, normed, mean_out, rstd_out,
    n_tokens, width, head, span, first_added, first_normed, eps,
    x_batch, x_token, y_batch, y_token, gate_batch, gate_row,
    factor_batch, factor_row, shift_batch, shift_row,
    HAS_Y: tl.constexpr, HAS_GATE: tl.constexpr, HAS_NORM: tl.constexpr,
    ADD_ONE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    batch, token = program // n_tokens, program % n_tokens
    row = _row_of(token, head, span)
    cols = tl.arange(0, BLOCK)
    keep = cols < width
    value = tl.load(x + batch * x_batch + token * x_token + cols, mask=keep, other=0.0)
    value = value.to(tl.float32)
    if HAS_Y:
        if token >= first_added:
            place = batch * y_batch + (token - first_added) * y_token
            added = tl.load(y + place + cols, mask=keep, other=0.0).to(tl.float32)
            if HAS_GATE:
                by = tl.load(
                    gate + batch * gate_batch + row * gate_row + cols, mask=keep, other=0.0
                )
                added = added * by.to(tl.float32)
            value = value + added
        rounded = value.to(total.dtype.element_ty)
        tl.store(total + program * width + cols, rounded, mask=keep)
        value = rounded.to(tl.float32)
    if HAS_NORM:
        if token >= first_normed:
            mean = tl.sum(value, 0) / width
            centred = tl.where(keep, value - mean, 0.0)
            rstd = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
            tl.store(mean_out + program, mean)
            tl.store(rstd_out + program, rstd)
            place = batch * factor_batch + row * factor_row
            scale = tl.load(factor + place + cols, mask=keep, other=0.0).to(tl.float32)
            if ADD_ONE:
                scale = scale + 1.0
            place = batch * shift_batch + row * shift_row
            offset = tl.load(shift + place + cols, mask=keep, other=0.0).to(tl.float32)
            out = (centred * rstd * scale + offset).to(normed.dtype.element_ty)
            place = (batch * (n_tokens - first_normed) + token - first_normed) * width
            tl.store(normed + place + cols, out, mask=keep)


@triton.jit
def _backward_tokens(
    d_total, d_normed, total, gate, factor, mean_in, rstd_in, d_x, d_y,
    n_tokens, width, head, span, first_added, first_normed,
    total_batch, total_token, gate_batch, gate_row, factor_batch, factor_row,
    HAS_TOTAL: tl.constexpr, HAS_Y: tl.constexpr, HAS_GATE: tl.constexpr,
    HAS_NORM: tl.constexpr, ADD_ONE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    batch, token = program // n_tokens, program % n_tokens
    row = _row_of(token, head, span)
    cols = tl.arange(0, BLOCK)
    keep = cols < width
    grad = tl.zeros((BLOCK,), tl.float32)
    if HAS_TOTAL:
        grad += tl.load(d_total + program * width + cols, mask=keep, other=0.0).to(tl.float32)
    if HAS_NORM:
        if token >= first_normed:
            place = (batch * (n_tokens - first_normed) + token - first_normed) * width
            out = tl.load(d_normed + place + cols, mask=keep, other=0.0).to(tl.float32)
            place = batch * factor_batch + row * factor_row
            scale = tl.load(factor + place + cols, mask=keep, other=0.0).to(tl.float32)
            if ADD_ONE:
                scale = scale + 1.0
            out = tl.where(keep, out * scale, 0.0)
            rstd = tl.load(rstd_in + program)
            place = batch * total_batch + token * total_token
            hat = tl.load(total + place + cols, mask=keep, other=0.0).to(tl.float32)
            hat = tl.where(keep, (hat - tl.load(mean_in + program)) * rstd, 0.0)
            grad += (out - tl.sum(out, 0) / width - hat * (tl.sum(out * hat, 0) / width)) * rstd
    tl.store(d_x + program * width + cols, grad.to(d_x.dtype.element_ty), mask=keep)
    if HAS_Y:
        if token >= first_added:
            if HAS_GATE:
                by = tl.load(
                    gate + batch * gate_batch + row * gate_row + cols, mask=keep, other=0.0
                )
                grad = grad * by.to(tl.float32)
            place = (batch * (n_tokens - first_added) + token - first_added) * width
            tl.store(d_y + place + cols, grad.to(d_y.dtype.element_ty), mask=keep)


@triton.jit
def _backward_rows(
    d_sum, d_normed, total, y, mean_in, rstd_in, d_gate, d_factor, d_shift,
    n_tokens, width, head, span, rows, splits, first_added, first_normed,
    total_batch, total_token, y_batch, y_token,
    HAS_GATE: tl.constexpr, HAS_NORM: tl.constexpr,
    TOKENS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    split, group = program % splits, program // splits
    row, batch = group % rows, group // rows
    cols = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    has_head = tl.where(head > 0, 1, 0)  # a head of 1 is known when compiled: no tensor to cast
    begin = tl.where(row < has_head, 0, head + (row - has_head) * span)
    end = tl.where(row < has_head, head, begin + span)
    each = tl.cdiv(end - begin, splits)
    first = begin + split * each
    last = tl.minimum(tl.minimum(first + each, end), n_tokens)
    gate_sum = tl.zeros((COLUMNS,), tl.float32)
    factor_sum = tl.zeros((COLUMNS,), tl.float32)
    shift_sum = tl.zeros((COLUMNS,), tl.float32)
    for start in range(first, last, TOKENS):
        token = start + tl.arange(0, TOKENS)
        inside = (token < last)[:, None] & (cols < width)[None, :]
        if HAS_GATE:
            here = inside & (token >= first_added)[:, None]
            place = (batch * n_tokens + token)[:, None] * width + cols[None, :]
            grad = tl.load(d_sum + place, mask=here, other=0.0).to(tl.float32)
            place = batch * y_batch + (token - first_added)[:, None] * y_token + cols[None, :]
            added = tl.load(y + place, mask=here, other=0.0).to(tl.float32)
            gate_sum += tl.sum(grad * added, 0)
        if HAS_NORM:
            here = inside & (token >= first_normed)[:, None]
            place = batch * (n_tokens - first_normed) + token - first_normed
            place = place[:, None] * width + cols[None, :]
            grad = tl.load(d_normed + place, mask=here, other=0.0).to(tl.float32)
            place = batch * total_batch + token[:, None] * total_token + cols[None, :]
            hat = tl.load(total + place, mask=here, other=0.0).to(tl.float32)
            known = (token < last) & (token >= first_normed)
            mean = tl.load(mean_in + batch * n_tokens + token, mask=known, other=0.0)
            rstd = tl.load(rstd_in + batch * n_tokens + token, mask=known, other=0.0)
            factor_sum += tl.sum(grad * (hat - mean[:, None]) * rstd[:, None], 0)
            shift_sum += tl.sum(grad, 0)
    place = program * width + cols
    if HAS_GATE:
        tl.store(d_gate + place, gate_sum, mask=cols < width)
    if HAS_NORM:
        tl.store(d_factor + place, factor_sum, mask=cols < width)
        tl.store(d_shift + place, shift_sum, mask=cols < width)


class _Residual(torch.autograd.Function):
    """The forward and its gradients; a missing tensor is None."""

    @staticmethod
    def forward(ctx, x, y, gate, factor, shift, plan: Plan):
        total, normed, mean, rstd = _run_forward(x, y, gate, factor, shift, plan)
        ctx.plan = plan
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(total, y, gate, factor, shift, mean, rstd)
        return (total if y is not None else None), normed

    @staticmethod
    @once_differentiable
    def backward(ctx, d_total, d_normed):
        return *_run_backward(ctx.saved_tensors, ctx.plan, d_total, d_normed), None


def residual(
    x: Tensor,
    y: Tensor | None,
    gate: Tensor | None,
    factor: Tensor | None,
    shift: Tensor | None,
    plan: Plan,
) -> tuple[Tensor, Tensor | None]:
    """(sum [B,N,D], normed [B,K,D] or None) of x [B,N,D], y [B,M,D] and rows [B,R,D]."""
    assert plan.span > 0 or plan.head >= x.shape[1]
    gate, factor, shift = (
        part if part is None else part.expand(x.shape[0], -1, -1) for part in (gate, factor, shift)
    )
    x, y, gate, factor, shift = (_last_dense(part) for part in (x, y, gate, factor, shift))
    total, normed = _Residual.apply(x, y, gate, factor, shift, plan)
    return (x if total is None else total), normed


def _last_dense(x: Tensor | None) -> Tensor | None:
    return x if x is None or x.stride(-1) == 1 else x.contiguous()


def _run_forward(x, y, gate, factor, shift, plan: Plan):
    batch, tokens, width = x.shape
    block, warps = width_launch(width)
    total = x if y is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)
    normed = mean = rstd = None
    if factor is not None:
        shape = (batch, tokens - plan.first_normed, width)
        normed = x.new_empty(shape, dtype=plan.out_dtype or x.dtype)
        mean, rstd = x.new_empty((2, batch * tokens), dtype=torch.float32)
    _forward[(batch * tokens,)](
        x, y, gate, factor, shift, total, normed, mean, rstd,
        tokens, width, plan.head, max(plan.span, 1), plan.first_added, plan.first_normed, plan.eps,
        *_two(x), *_two(y), *_two(gate), *_two(factor), *_two(shift),
        HAS_Y=y is not None, HAS_GATE=gate is not None, HAS_NORM=factor is not None,
        ADD_ONE=plan.add_one, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return total, normed, mean, rstd


def _run_backward(saved, plan: Plan, d_total, d_normed):
    total, y, gate, factor, _, mean, rstd = saved
    batch, tokens, width = total.shape
    block, warps = width_launch(width)
    d_total = None if d_total is None else d_total.contiguous()
    d_normed = None if d_normed is None else d_normed.contiguous()
    normed = d_normed is not None
    # With a gate its gradient multiplies this by y and sums, so it is kept in fp32.
    kind = torch.float32 if gate is not None else total.dtype
    d_sum = torch.empty(total.shape, dtype=kind, device=total.device)
    d_y = None if y is None else torch.empty(y.shape, dtype=y.dtype, device=y.device)
    _backward_tokens[(batch * tokens,)](
        d_total, d_normed, total, gate, factor, mean, rstd, d_sum, d_y,
        tokens, width, plan.head, max(plan.span, 1), plan.first_added, plan.first_normed,
        *_two(total), *_two(gate), *_two(factor),
        HAS_TOTAL=d_total is not None, HAS_Y=y is not None, HAS_GATE=gate is not None,
        HAS_NORM=normed, ADD_ONE=plan.add_one, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    d_rows = _row_gradients(saved, plan, d_sum, d_normed)
    return d_sum.to(total.dtype), d_y, *d_rows


def _row_gradients(saved, plan: Plan, d_sum, d_normed):
    """Gradients of gate, factor and shift: sums over the tokens of each row."""
    total, y, gate, factor, shift, mean, rstd = saved
    normed = d_normed is not None
    if gate is None and not normed:
        return None, None, None
    batch, tokens, width = total.shape
    given = gate if gate is not None else factor
    rows, splits = given.shape[1], split_count(tokens, TOKENS)
    shape = (batch, rows, splits, width)
    sums = total.new_empty((3, *shape), dtype=torch.float32)
    _backward_rows[(batch * rows * splits, triton.cdiv(width, COLUMNS))](
        d_sum, d_normed, total, y, mean, rstd, sums[0], sums[1], sums[2],
        tokens, width, plan.head, max(plan.span, 1), rows, splits,
        plan.first_added, plan.first_normed, *_two(total), *_two(y),
        HAS_GATE=gate is not None, HAS_NORM=normed, TOKENS=TOKENS, COLUMNS=COLUMNS,
    )  # fmt: skip
    d_gate = None if gate is None else sums[0].sum(2).to(gate.dtype)
    if not normed:
        return d_gate, None, None
    return d_gate, sums[1].sum(2).to(factor.dtype), sums[2].sum(2).to(shift.dtype)


def _two(x: Tensor | None) -> tuple[int, int]:
    return (0, 0) if x is None else (x.stride(0), x.stride(1))
