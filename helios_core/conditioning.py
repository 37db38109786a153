"""Time, text and actions, turned into what the blocks take.

Actions arrive per latent frame as the window of pixel-frame actions that it covers. They reach
the model by two paths that both start closed, so that an untrained model's output is that of the
model without actions, bit for bit: tokens for the cross-attention (a zero gate in every block),
and an addition to the modulation of their latent frame (a zero projection). A null (dropped)
action has an embedding of its own; it is not the zero action, which is standing still.

Dimensions: B batch, T latent frames, F pixel frames, W window, A channels, E embedding width,
D model width, L text tokens.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helios_core.actions import ActionSpec
from kernels.gelu import gelu_tanh

DEGREES_PER_UNIT = 6.0
"""Turning by so many degrees within one pixel frame is encoded as 1."""


@dataclass(frozen=True, kw_only=True)
class ActionConditioning:
    """How a model takes actions."""

    channels: int
    """Channels of the action spec."""
    window: int
    """Pixel frames that one latent frame covers."""
    width: int = 128
    """Width of the action embedding."""
    cross_attention: bool = True
    """Action tokens beside the text tokens."""
    modulation: bool = True
    """An addition to the modulation of each latent frame."""

    def __post_init__(self) -> None:
        if min(self.channels, self.window, self.width) < 1:
            raise ValueError(
                "actions: channels, window and width must be at least 1; "
                "leave `actions` out for a model that plays by text"
            )
        if not (self.cross_attention or self.modulation):
            raise ValueError("actions: switch on cross_attention or modulation")


def encode_actions(
    spec: ActionSpec, fps: int, values: np.ndarray, *, window: int, single_first: bool = False
) -> Tensor:
    """Values [F,A] in the spec's units as model input [T,W,A].

    Axes in units per second become degrees per pixel frame, others lie in [-1, 1]. With
    `single_first` (windowed layout) the first latent frame covers one pixel frame, which fills
    its window.
    """
    scale = [DEGREES_PER_UNIT * fps if c.unit.endswith("/s") else c.scale for c in spec.channels]
    encoded = torch.from_numpy(spec.validate(values) / np.asarray(scale, np.float32))
    if single_first and len(encoded):
        encoded = torch.cat([encoded[:1].expand(window - 1, -1), encoded])
    if len(encoded) == 0 or len(encoded) % window:
        raise ValueError(
            f"{len(values)} action frames do not fill latent frames of {window}: "
            f"give {'1 + ' if single_first else ''}a multiple of {window}"
        )
    return encoded.unflatten(0, (-1, window))


class TwoLayer(nn.Module):
    """Linear, activation, linear, under the names of the released checkpoints."""

    def __init__(self, inputs: int, dim: int, activation) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, dim)
        self.linear_2 = nn.Linear(dim, dim)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(self.activation(self.linear_1(x)))


def sinusoids(timestep: Tensor, dim: int) -> Tensor:
    """Cosines then sines of timestep [B] at dim/2 frequencies, [B,dim] fp32."""
    half = dim // 2
    exponent = -math.log(10000) * torch.arange(half, dtype=torch.float32, device=timestep.device)
    angles = timestep.float()[:, None] * torch.exp(exponent / half)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeTextEmbedding(nn.Module):
    """Time to modulation rows, text hidden states to model width."""

    def __init__(self, dim: int, freq_dim: int, text_dim: int, *, pooled: bool = False) -> None:
        super().__init__()
        self.freq_dim = freq_dim
        self.time_embedder = TwoLayer(freq_dim, dim, F.silu)
        self.time_proj = nn.Linear(dim, dim * 6)
        self.text_embedder = TwoLayer(text_dim, dim, gelu_tanh)
        self.pooled_embedder = TwoLayer(dim, dim, F.silu) if pooled else None

    def pooled(self, tokens: Tensor, mask: Tensor | None) -> Tensor | None:
        """Text tokens [B,L,D] to an addition to the time embedding [B,D]; mask [B,L]."""
        if self.pooled_embedder is None:
            return None
        weight = tokens.new_ones(tokens.shape[:2]) if mask is None else mask.to(tokens.dtype)
        mean = (tokens * weight[..., None]).sum(1) / weight.sum(1, keepdim=True).clamp(min=1)
        return self.pooled_embedder(mean)

    def time(
        self, timestep: Tensor, dtype: torch.dtype, pooled: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """[B] to the embedding [B,D] and the block modulation [B,6,D]."""
        weight = self.time_embedder.linear_1.weight
        embedded = self.time_embedder(sinusoids(timestep, self.freq_dim).to(weight.dtype)).to(dtype)
        if pooled is not None:
            embedded = embedded + pooled.to(dtype)
        return embedded, self.time_proj(F.silu(embedded)).unflatten(-1, (6, -1))

    def text(self, hidden: Tensor) -> Tensor:
        """[B,L,text_dim] to [B,L,D]."""
        return self.text_embedder(hidden)


class ActionEncoder(nn.Module):
    """Windows of actions to tokens and to modulation additions."""

    def __init__(self, config: ActionConditioning, dim: int) -> None:
        super().__init__()
        self.config = config
        self.frame = nn.Linear(config.channels, config.width)
        self.place = nn.Parameter(torch.randn(config.window, config.width) * 0.02)
        self.null = nn.Parameter(torch.zeros(config.width))
        self.to_tokens = nn.Linear(config.width, dim) if config.cross_attention else None
        self.mix = self.to_modulation = None
        if config.modulation:
            self.mix = nn.Linear(config.window * config.width, config.width)
            self.to_modulation = nn.Linear(config.width, 8 * dim)
            nn.init.zeros_(self.to_modulation.weight)
            nn.init.zeros_(self.to_modulation.bias)

    def embed(self, actions: Tensor | None, mask: Tensor | None, batch: int, frames: int) -> Tensor:
        """[B,T,W,A] (None = null everywhere) to [B,T,W,E]; mask [B] False = null."""
        shape = (batch, frames, self.config.window, -1)
        null = self.null.expand(*shape)
        if actions is not None:
            known = self.frame(actions.to(self.frame.weight.dtype))
            null = null.to(known.dtype)
            null = known if mask is None else torch.where(mask[:, None, None, None], known, null)
        return F.silu(null + self.place.to(null.dtype))

    def mixed(self, embedded: Tensor) -> Tensor | None:
        """[B,T,W,E] to one vector per latent frame [B,T,E]."""
        return None if self.mix is None else F.silu(self.mix(embedded.flatten(2)))

    def modulation(self, mixed: Tensor | None) -> Tensor | None:
        """[B,T,E] to additions [B,T,8,D]: six for the blocks, two for the output norm."""
        if mixed is None or self.to_modulation is None:
            return None
        return self.to_modulation(mixed).unflatten(-1, (8, -1))

    def tokens(self, embedded: Tensor) -> Tensor | None:
        """[B,T,W,E] to action tokens [B,T*W,D], one per pixel frame."""
        return None if self.to_tokens is None else self.to_tokens(embedded.flatten(1, 2))
