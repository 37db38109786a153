"""Self-attention over history and noisy tokens, and cross-attention to text and actions.

Parameter names are those of the released checkpoints. Not here: positions (rope), what surrounds
the attention (blocks).

Dimensions: B batch, N tokens (first `head` of them history), H heads, W head width, D = H*W,
L text tokens, A action tokens.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from kernels.attention import attention
from kernels.heads import norm_heads
from kernels.rotary import apply_rotary

MAX_AMPLIFICATION = 10.0
"""History keys grow by a learned factor between 1 and this."""


class KeyValue(NamedTuple):
    """Keys and values of one layer, each [B,N,H,W]."""

    key: Tensor
    value: Tensor


class ActionMeeting(NamedTuple):
    """How noisy queries meet action tokens, the same in every layer."""

    table: Tensor | None
    """[N,P,2]: turns the queries by their latent frame's time; None = one frame, nothing to tell
    apart."""
    mask: Tensor | None
    """[N,A] True where a noisy token may look; None = everywhere."""


class Exchange(Protocol):
    """Several processes with a share of the tokens each (helios_core.context)."""

    def own(self, x: Tensor, table: Tensor, head: int, frames: int) -> tuple[Tensor, Tensor, int]:
        """This process's tokens, their table, and how many are history."""
        ...

    def all_keys(self, own: KeyValue, head: int) -> tuple[KeyValue, int]:
        """Everybody's keys and values, history first, and how many are history."""
        ...

    def all_frames(self, x: Tensor, frames: int) -> Tensor:
        """Everybody's noisy tokens as the whole, frame by frame."""
        ...


FEW_TOKENS = 1024
"""Training on a CPU in bf16: up to so many keys, a score matrix is worth its memory."""


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention on [B,N,H,W] tensors; returns [B,N,D]."""
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    on_cpu = query.device.type == "cpu" and query.dtype == torch.bfloat16
    if on_cpu and key.shape[2] <= FEW_TOKENS and torch.is_grad_enabled():
        out = _attend_by_products(query, key, value, mask)
    else:
        out = attention(query, key, value, mask)
    return out.transpose(1, 2).flatten(2)


def _attend_by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """The same on [B,H,N,W]: torch's fused CPU backward is 3 to 5 times slower in bf16."""
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.matmul(scores.softmax(dim=-1), value)


class Norm(nn.Module):
    """Root-mean-square norm across all heads at once, then heads, rotation and growth."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(
        self,
        x: Tensor,
        heads: int,
        table: Tensor | None = None,
        growth: Tensor | None = None,
        history: int = 0,
    ) -> Tensor:
        """[B,N,D] to [B,N,H,W]; see kernels.heads."""
        return norm_heads(x, self.weight, heads, self.eps, table, growth, history)


class Attention(nn.Module):
    """The projections that both kinds share."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.norm_q = Norm(dim, eps)
        self.norm_k = Norm(dim, eps)

    def query(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        """[B,N,D] to [B,N,H,W], turned by table [N,P,2] where one is given."""
        return self.norm_q(self.to_q(x), self.heads, table)

    def key_value(
        self,
        x: Tensor,
        table: Tensor | None = None,
        growth: Tensor | None = None,
        history: int = 0,
    ) -> KeyValue:
        """Keys, turned and with those of history grown where asked, and values."""
        key = self.norm_k(self.to_k(x), self.heads, table, growth, history)
        return KeyValue(key, self.to_v(x).unflatten(-1, (self.heads, -1)))


class SelfAttention(Attention):
    """Attention among tokens with rotary positions.

    `amplify`: "none", "scalar" or "per_head" growth of the history keys.
    `restrict`: history queries see history only.
    """

    def __init__(self, dim: int, heads: int, eps: float, amplify: str, restrict: bool) -> None:
        super().__init__(dim, heads, eps)
        self.restrict = restrict
        self.joined: nn.Module | None = None  # stands for to_q, to_k, to_v and their norms
        self.shares: Exchange | None = None
        self.history_key_scale: nn.Parameter | None = None
        if amplify != "none":
            self.history_key_scale = nn.Parameter(torch.ones(heads if amplify == "per_head" else 1))

    def projected(
        self, x: Tensor, table: Tensor, head: int, first: int = 0
    ) -> tuple[Tensor, KeyValue]:
        """Queries of the tokens from `first` on, and keys and values of all."""
        growth = self._growth()
        if self.joined is not None:
            query, key, value = self.joined(x, table, growth, head)
            return query[:, first:], KeyValue(key, value)
        query = self.query(x[:, first:], table[first:])
        return query, self.key_value(x, table, growth, head)

    def remembered(self, x: Tensor, table: Tensor) -> KeyValue:
        """Keys and values of history [B,N,D] that asks nothing itself."""
        head = x.shape[1]
        if self.joined is not None:
            return self._met(self.projected(x, table, head)[1], head)[0]
        return self._met(self.key_value(x, table, self._growth(), head), head)[0]

    def over_history(self, x: Tensor, table: Tensor) -> tuple[Tensor, KeyValue]:
        """History attending to itself, and its keys and values."""
        head = x.shape[1]
        query, own = self.projected(x, table, head)
        own, _ = self._met(own, head)
        return self.to_out[0](attend(query, own.key, own.value)), own

    def forward(
        self, x: Tensor, table: Tensor, head: int, past: KeyValue | None, keep_history: bool
    ) -> Tensor:
        """Attend; the result covers only noisy tokens when `keep_history` is False."""
        query, own = self.projected(x, table, head, 0 if keep_history else head)
        (key, value), seen = self._met(own, head)
        if past is not None:
            key = torch.cat([past.key, key], dim=1)
            value = torch.cat([past.value, value], dim=1)
        if self.restrict and head and keep_history:
            old = attend(query[:, :head], key[:, :seen], value[:, :seen])
            new = attend(query[:, head:], key, value)
            out = torch.cat([old, new], dim=1)
        else:
            out = attend(query, key, value)
        return self.to_out[0](out)

    def _met(self, own: KeyValue, head: int) -> tuple[KeyValue, int]:
        """The keys and values to attend to, and how many of them are history."""
        return (own, head) if self.shares is None else self.shares.all_keys(own, head)

    def _growth(self) -> Tensor | None:
        """Factor of the history's keys, [H] or [1]."""
        if self.history_key_scale is None:
            return None
        return 1 + torch.sigmoid(self.history_key_scale) * (MAX_AMPLIFICATION - 1)


class CrossAttention(Attention):
    """Attention to text, and to actions through the same projections and a closed gate."""

    def __init__(self, dim: int, heads: int, eps: float, actions: bool) -> None:
        super().__init__(dim, heads, eps)
        self.action_gate = nn.Parameter(torch.zeros(dim)) if actions else None

    def action_key_value(self, tokens: Tensor, table: Tensor | None) -> KeyValue:
        """Keys (turned by their latent frame's time) and values of action tokens [B,A,D]."""
        return self.key_value(tokens, table)

    def forward(
        self,
        x: Tensor,
        text: KeyValue,
        text_mask: Tensor | None,
        actions: KeyValue | None,
        meeting: ActionMeeting | None,
    ) -> Tensor:
        query = self.query(x)
        out = attend(query, text.key, text.value, text_mask)
        if actions is not None and meeting is not None and self.action_gate is not None:
            turned = query if meeting.table is None else apply_rotary(query, meeting.table)
            moved = attend(turned, actions.key, actions.value, meeting.mask)
            out = out + moved * self.action_gate.to(moved.dtype)
        return self.to_out[0](out)
