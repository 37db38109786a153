"""Convolutions at the latents' own size, for small models: what moves by less than a token.

A token stands for a whole patch, and a small transformer is slow to learn how a picture shifts
inside and between patches. `Forecast` makes a first guess of the next latents from the newest two
and the actions; what the transformer predicts is then a change to that guess. `Local` reads noisy
latents and guess in front of the tokens and refines the result behind them, told time, actions and
the mean of the text. Neither sees words, anchor or older frames: that is the transformer's work.

Without normalisation, so that nothing depends on a picture's mean; every last layer starts at zero.

Dimensions: B batch, T latent frames of a chunk, C latent channels, h w latent rows and columns,
E width of what convolutions are told, K width of convolutions, G = B*T frames as one batch.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST = 10.0
"""Size that a guess stops at, in standard deviations of latents. One in ten thousand true values
is above 7; without a limit, nothing keeps what a world makes of its own mistakes from growing."""


class LocalBlock(nn.Module):
    """x + conv(silu(conv(silu(x)) * (1 + scale) + shift)), scale and shift from what it is told."""

    def __init__(self, width: int, told: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.tell = nn.Linear(told, 2 * width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """[G,K,h,w] and [G,E] to [G,K,h,w]."""
        scale, shift = self.tell(told)[:, :, None, None].chunk(2, 1)
        made = self.conv1(F.silu(x)) * (1 + scale) + shift
        return x + self.conv2(F.silu(made))


def blocks(width: int, told: int, count: int) -> nn.ModuleList:
    """So many local blocks in a row."""
    return nn.ModuleList(LocalBlock(width, told) for _ in range(count))


def through(x: Tensor, enter: nn.Conv2d, layers: nn.ModuleList, told: Tensor) -> Tensor:
    """Into the width of the blocks and through them: [G,.,h,w] to [G,K,h,w]."""
    x = enter(x.contiguous(memory_format=torch.channels_last))
    for layer in layers:
        x = layer(x, told)
    return x


class Forecast(nn.Module):
    """The next latents as they look from the newest two and the actions."""

    def __init__(self, channels: int, told: int, width: int, count: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(2 * channels, width, 3, padding=1)
        self.layers = blocks(width, told, count)
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        channels_last(self)

    def forward(self, latest: Tensor, told: Tensor) -> Tensor:
        """latest [B,C,2,h,w] and actions told [B,T,E] to [B,C,T,h,w], one frame after the other.

        Where a session begins (no newest latent) there is nothing to go by: zeros.
        """
        older, newest = (frame.float().clamp(-LARGEST, LARGEST) for frame in latest.unbind(2))
        known = newest.abs().amax((1, 2, 3), keepdim=True) > 0
        made = []
        for now in told.unbind(1):
            guess = (newest + self._change(older, newest, now)) * known
            older, newest = newest, guess.clamp(-LARGEST, LARGEST)
            made.append(newest)
        return torch.stack(made, 2)

    def _change(self, older: Tensor, newest: Tensor, told: Tensor) -> Tensor:
        both = torch.cat([newest, older], 1).to(told.dtype)
        return self.leave(F.silu(through(both, self.enter, self.layers, told))).float()


class Near(NamedTuple):
    """What was read in front of the tokens."""

    seen: Tensor
    """[G,K,h,w]"""
    told: Tensor
    """[G,E]"""


class Local(nn.Module):
    """Convolutions in front of the tokens and behind them."""

    TOLD = 64

    def __init__(self, channels: int, dim: int, width: int, count: int) -> None:
        super().__init__()
        self.tell = nn.Linear(2 * dim, self.TOLD)
        self.enter = nn.Conv2d(2 * channels, width, 3, padding=1)
        self.before = blocks(width, self.TOLD, count)
        self.after = blocks(width, self.TOLD, count)
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        channels_last(self)

    def read(self, noisy: Tensor, guess: Tensor, rows: Tensor) -> Near:
        """Noisy latents and guess [B,C,T,h,w], and the output's modulation rows [B,1 or T,2,D]."""
        rows = rows.flatten(2).expand(-1, noisy.shape[2], -1).flatten(0, 1)
        told = F.silu(self.tell(rows.to(self.tell.weight.dtype)))
        both = apart(torch.cat([noisy, guess.to(noisy.dtype)], 1)).to(told.dtype)
        return Near(through(both, self.enter, self.before, told), told)

    def write(self, near: Near, far: Tensor | None, frames: int) -> Tensor:
        """What was read and the features of the tokens [B,K,T,h,w] to latents [B,C,T,h,w]."""
        x = near.seen if far is None else near.seen + apart(far).to(near.seen.dtype)
        for layer in self.after:
            x = layer(x, near.told)
        return together(self.leave(F.silu(x)), frames)


def channels_last(module: nn.Module) -> nn.Module:
    """Convolution weights in the layout that their inputs have: a tenth faster on a CPU."""
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def apart(x: Tensor) -> Tensor:
    """[B,K,T,h,w] to [G,K,h,w]."""
    return x.transpose(1, 2).flatten(0, 1)


def together(x: Tensor, frames: int) -> Tensor:
    """[G,K,h,w] to [B,K,T,h,w]."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2)
