"""One transformer block, the output layer and the patchers.

Modulation comes as a few rows (`kernels.norm.Rows`), never as one row per token. Parameter names
are those of the released checkpoints.

Dimensions: B batch, N tokens (first `rows.head` of them history), D width, R modulation rows,
C latent channels, T h w latent frames, rows and columns.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helios_core.attention import ActionMeeting, CrossAttention, KeyValue, SelfAttention
from kernels.gelu import gelu_tanh
from kernels.norm import (
    Rows,
    gated_residual,
    gated_residual_layer_norm,
    norm_modulate,
    residual_norm_modulate,
)


class Shared(NamedTuple):
    """What every block of a forward is given alike."""

    modulation: Tensor
    """[B,R,6,D]"""
    rows: Rows
    table: Tensor
    """[N,P,2] rotary table"""
    text_mask: Tensor | None
    """[B,1,1,L] True where a text token counts"""
    meeting: ActionMeeting | None
    """How noisy tokens meet action tokens"""


class LayerMemory(NamedTuple):
    """Keys and values that one block attends to beside its own tokens'."""

    text: KeyValue
    past: KeyValue | None
    """Cached history, when its tokens are not among the N"""
    actions: KeyValue | None


def matmul_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which the next matrix product runs: autocast's, or the tensor's own."""
    kind = x.device.type
    if kind == "meta":  # shapes only; autocast does not know the device
        return x.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class AffineNorm(nn.Module):
    """Layer norm with weight and bias, computed in fp32, right after a gated residual."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def after(
        self, x: Tensor, y: Tensor, gate: Tensor, rows: Rows, first: int
    ) -> tuple[Tensor, Tensor]:
        """x + gate * y, and the norm of its tokens from `first` on."""
        dtype = matmul_dtype(x)
        given = (rows, self.weight, self.bias, self.eps)
        return gated_residual_layer_norm(x, y, gate, *given, first=first, dtype=dtype)


class PlainCast(nn.Module):
    """Stands where a model has no norm before its cross-attention."""

    def after(
        self, x: Tensor, y: Tensor, gate: Tensor, rows: Rows, first: int
    ) -> tuple[Tensor, Tensor]:
        """x + gate * y, and its tokens from `first` on."""
        x = gated_residual(x, y, gate, rows)
        return x, x[:, first:]


class Projection(nn.Module):
    """The first half of the feed-forward layer."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, inner)

    def forward(self, x: Tensor) -> Tensor:
        return gelu_tanh(self.proj(x))


class FeedForward(nn.Module):
    """Widen, activate, narrow. Index 1 of `net` is a dropout in the checkpoints' layout."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Projection(dim, inner), nn.Identity(), nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Block(nn.Module):
    """Self-attention, cross-attention of the noisy tokens, feed-forward."""

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        heads: int,
        eps: float,
        *,
        cross_attn_norm: bool,
        guidance_cross_attn: bool,
        amplify: str,
        restrict: bool,
        actions: bool,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.guidance_cross_attn = guidance_cross_attn
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)
        self.attn1 = SelfAttention(dim, heads, eps, amplify, restrict)
        self.attn2 = CrossAttention(dim, heads, eps, actions)
        self.norm2 = AffineNorm(dim, eps) if cross_attn_norm else PlainCast()
        self.ffn = FeedForward(dim, ffn_dim)

    def forward(
        self, x: Tensor, shared: Shared, memory: LayerMemory, keep_history: bool = True
    ) -> Tensor:
        """[B,N,D] to [B,N,D], or to the noisy tokens only when the history is needed no more."""
        shift, scale, gate, *ffn_rows = self._modulation(shared.modulation)
        rows = shared.rows
        normed = norm_modulate(x, scale, shift, rows, self.eps, matmul_dtype(x))
        attended = self.attn1(normed, shared.table, rows.head, memory.past, keep_history)
        if rows.head and not keep_history:
            x, rows = x[:, rows.head :], Rows(0, rows.span)
            gate, *ffn_rows = (row[:, 1:] for row in (gate, *ffn_rows))
        first = rows.head if self.guidance_cross_attn else 0
        x, new = self.norm2.after(x, attended, gate, rows, first)
        met = self.attn2(new, memory.text, shared.text_mask, memory.actions, shared.meeting)
        shift, scale, gate = ffn_rows
        x, normed = residual_norm_modulate(
            x, met, scale, shift, rows, self.eps, first=first, dtype=matmul_dtype(x)
        )
        return gated_residual(x, self.ffn(normed), gate, rows)

    def history_step(
        self, x: Tensor, modulation: Tensor, table: Tensor, last: bool
    ) -> tuple[Tensor, KeyValue]:
        """One layer over history alone (restricted attention): new tokens, keys and values."""
        rows = Rows(x.shape[1], 0)
        shift, scale, gate, *ffn_rows = self._modulation(modulation)
        normed = norm_modulate(x, scale, shift, rows, self.eps, matmul_dtype(x))
        if last:
            return x, self.attn1.remembered(normed, table)
        attended, past = self.attn1.over_history(normed, table)
        x = gated_residual(x, attended, gate, rows)
        return self._feed_forward(x, ffn_rows, rows), past

    def _modulation(self, modulation: Tensor) -> tuple[Tensor, ...]:
        return (self.scale_shift_table.float() + modulation.float()).unbind(2)

    def _feed_forward(self, x: Tensor, ffn_rows: list[Tensor], rows: Rows) -> Tensor:
        shift, scale, gate = ffn_rows
        normed = norm_modulate(x, scale, shift, rows, self.eps, matmul_dtype(x))
        return gated_residual(x, self.ffn(normed), gate, rows)


class OutputNorm(nn.Module):
    """The last norm, modulated by the time embedding rows [B,R,2,D]."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.eps = eps

    def forward(self, x: Tensor, modulation: Tensor, rows: Rows) -> Tensor:
        shift, scale = (self.scale_shift_table.float() + modulation.float()).unbind(2)
        return norm_modulate(x, scale, shift, rows, self.eps, matmul_dtype(x))


class Patcher(nn.Module):
    """A convolution whose stride is its kernel, computed as one matrix product.

    Sizes that the kernel does not divide are filled by repeating the last frame, row or column.
    """

    def __init__(self, channels: int, dim: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(dim, channels, *kernel))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.xavier_uniform_(self.weight.flatten(1))

    def forward(self, latents: Tensor) -> Tensor:
        """[B,C,T,h,w] to tokens [B,N,D]."""
        x = self._padded(latents)
        (kt, kh, kw), (b, c, t, h, w) = self.kernel, x.shape
        x = x.view(b, c, t // kt, kt, h // kh, kh, w // kw, kw).permute(0, 2, 4, 6, 1, 3, 5, 7)
        return F.linear(x.flatten(4).flatten(1, 3), self.weight.flatten(1), self.bias)

    def _padded(self, x: Tensor) -> Tensor:
        missing = [-size % k for size, k in zip(x.shape[2:], self.kernel, strict=True)]
        if not any(missing):
            return x.contiguous()
        frames, rows, columns = missing
        return F.pad(x, (0, columns, 0, rows, 0, frames), mode="replicate").contiguous()
