"""GELU by the tanh approximation in Triton, forward and backward, elementwise in fp32."""
# Triton's annotations do not know its own launches:
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportReturnType=false

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 2048


@triton.jit
def _half_angle(x):
    """Sigmoid of 2 sqrt(2/pi) (x + 0.044715 x^3): gelu-tanh is x times it."""
    return tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit
def _forward(x, out, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < count, other=0.0).to(tl.float32)
    tl.store(out + at, (value * _half_angle(value)).to(out.dtype.element_ty), mask=at < count)


@triton.jit
def _backward(d_out, x, d_x, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < count, other=0.0).to(tl.float32)
    grad = tl.load(d_out + at, mask=at < count, other=0.0).to(tl.float32)
    share = _half_angle(value)
    slope = 1.5957691216057308 * (1.0 + 0.134145 * value * value)
    grad *= share + value * share * (1.0 - share) * slope
    tl.store(d_x + at, grad.to(d_x.dtype.element_ty), mask=at < count)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        out = torch.empty_like(x)
        _forward[(triton.cdiv(x.numel(), BLOCK),)](x, out, x.numel(), BLOCK=BLOCK)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        d_x = torch.empty_like(x)
        grid = (triton.cdiv(x.numel(), BLOCK),)
        _backward[grid](d_out.contiguous(), x, d_x, x.numel(), BLOCK=BLOCK)
        return d_x


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU of a tensor of any shape."""
    return _Gelu.apply(x.contiguous())
