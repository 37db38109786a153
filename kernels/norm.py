"""Normalisations of the transformer and the additions that follow them.

Each function is its plain-torch definition, and goes to one Triton pass (kernels.fused.residual)
where `kernels.backend` says so; value and gradient are the same. Nothing else of the project is
imported. Run: `pytest tests/kernels`.

Dimensions: B batch, N tokens, D model width, R modulation rows, T latent frames.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.backend import uses_triton


class Rows(NamedTuple):
    """Which modulation row belongs to which token; never a tensor of one row per token.

    The first `head` tokens (history) take row 0. The tokens after them take one row per `span`
    tokens: a single row when `span` is all of them, one per latent frame when `span` is the
    number of tokens of a latent frame.
    """

    head: int
    span: int

    def count(self, tokens: int) -> int:
        """How many rows a sequence of `tokens` needs."""
        return (self.head > 0) + (tokens - self.head) // max(self.span, 1)

    def index(self, tokens: int, device: torch.device | str = "cpu") -> Tensor:
        """The same map written out, [N] int64: for kernels and tests."""
        after = torch.arange(tokens - self.head, device=device) // max(self.span, 1)
        return torch.cat([after.new_zeros(self.head), after + (self.head > 0)])


def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-6,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Layer norm over the last dimension, computed in fp32 and returned as `dtype` (or x's)."""
    if weight is not None and bias is not None and uses_triton(x):
        return _fused_layer_norm(x, weight, bias, eps, dtype)
    weight = None if weight is None else weight.float()
    bias = None if bias is None else bias.float()
    return _affine(x, weight, bias, eps, dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """Root-mean-square norm over the last dimension, computed in fp32, returned as x's dtype."""
    return F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps).to(x.dtype)


def norm_modulate(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    rows: Rows,
    eps: float,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Layer norm of x [B,N,D], then `* (1 + scale) + shift` by row [B,R,D], in fp32."""
    if uses_triton(x):
        from kernels.fused.residual import Plan, residual

        plan = Plan(rows.head, rows.span, eps, out_dtype=dtype)
        return residual(x, None, None, scale, shift, plan)[1]  # type: ignore[return-value]
    factor, added = 1 + scale.float(), shift.float()
    if factor.shape[:2] == (1, 1):  # one row for one world is the layer norm's own affine
        return _affine(x, factor[0, 0], added[0, 0], eps, dtype)
    normed = F.layer_norm(x.float(), x.shape[-1:], None, None, eps)
    return _multiply_add(normed, factor, added, rows).to(dtype or x.dtype)


def gated_residual(x: Tensor, y: Tensor, gate: Tensor, rows: Rows) -> Tensor:
    """x + y * gate with x, y [B,N,D] and gate by row [B,R,D], in fp32, returned as x's dtype."""
    if uses_triton(x):
        from kernels.fused.residual import Plan, residual

        return residual(x, y, gate, None, None, Plan(rows.head, rows.span))[0]
    return _multiply_add(y.float(), gate.float(), x.float(), rows).to(x.dtype)


def gated_residual_layer_norm(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    rows: Rows,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    *,
    first: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """`gated_residual`, and the affine layer norm of its tokens from `first` on."""
    if uses_triton(x):
        from kernels.fused.residual import Plan, residual

        plan = Plan(rows.head, rows.span, eps, False, first_normed=first, out_dtype=dtype)
        return residual(x, y, gate, *_as_rows(weight, bias, gate), plan)  # type: ignore
    x = gated_residual(x, y, gate, rows)
    return x, layer_norm(x[:, first:], weight, bias, eps, dtype)


def residual_norm_modulate(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    shift: Tensor,
    rows: Rows,
    eps: float,
    *,
    first: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """x with y [B,N-first,D] added to its tokens from `first` on, and `norm_modulate` of it."""
    if uses_triton(x):
        from kernels.fused.residual import Plan, residual

        plan = Plan(rows.head, rows.span, eps, first_added=first, out_dtype=dtype)
        return residual(x, y, None, scale, shift, plan)  # type: ignore[return-value]
    new = x[:, first:] + y.to(x.dtype)
    x = torch.cat([x[:, :first], new], dim=1) if first else new
    return x, norm_modulate(x, scale, shift, rows, eps, dtype)


def _affine(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, dtype: torch.dtype | None
) -> Tensor:
    """torch's layer norm in fp32, rounded once."""
    if x.device.type != "cpu" or dtype not in (None, x.dtype):
        x, dtype = x.float(), dtype or x.dtype  # a CPU computes in fp32 and rounds by itself
    out = F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    return out if dtype is None else out.to(dtype)


def _fused_layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype) -> Tensor:
    from kernels.fused.residual import Plan, residual

    three = x.reshape(-1, *x.shape[-2:]) if x.ndim > 1 else x.view(1, 1, -1)
    plan = Plan(0, three.shape[1], eps, add_one=False, out_dtype=dtype)
    rows = _as_rows(weight, bias, three[:, :1])
    return residual(three, None, None, *rows, plan)[1].view(x.shape)  # type: ignore[union-attr]


def _as_rows(weight: Tensor, bias: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias [D] seen as modulation rows, as many as `like` [B,R,D] has, or one."""
    shape = (like.shape[0], like.shape[1], weight.shape[0])
    return weight.expand(shape), bias.expand(shape)


def _multiply_add(x: Tensor, factor: Tensor, added: Tensor, rows: Rows) -> Tensor:
    """x [B,N,D] * factor + added, the factor by row [B,R,D], added by row or by token."""
    if factor.shape[1] == 1:
        return torch.addcmul(added, x, factor)
    by_token = added.shape[1] == x.shape[1]
    adds = _split(added, rows) if by_token else _row_views(added, rows)
    pieces = zip(_split(x, rows), _row_views(factor, rows), adds, strict=True)
    parts = [torch.addcmul(add, part, mul).flatten(1, 2) for part, mul, add in pieces]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _split(x: Tensor, rows: Rows) -> list[Tensor]:
    """Views [B,1,head,D] and [B,R',span,D] of x [B,N,D]; an empty part is left out."""
    tokens = x.shape[1]
    parts = []
    if rows.head:
        parts.append(x[:, : rows.head].unsqueeze(1))
    if tokens > rows.head:
        parts.append(x[:, rows.head :].unflatten(1, (-1, rows.span)))
    return parts


def _row_views(row_tensor: Tensor, rows: Rows) -> list[Tensor]:
    """Views [B,1,1,D] and [B,R',1,D] of a row tensor [B,R,D], to go with `_split`."""
    views = row_tensor.unsqueeze(2)
    if not rows.head:
        return [views]
    return [views[:, :1]] if views.shape[1] == 1 else [views[:, :1], views[:, 1:]]
