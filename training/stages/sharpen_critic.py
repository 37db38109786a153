"""The critic of `sharpen`: convolutions that say place by place how real a latent is.

Told what was typed (the mean of its states) and pressed, so that true latents under foreign words
can be refused. Small, because it plays against the world from the first step on. Not here: what it
is shown and how both learn (training.stages.sharpen).

Legend: B windows, C channels, h w rows and columns, E width of what the critic is told.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from helios_core.local import blocks, channels_last, through


class Shown(NamedTuple):
    """What the critic looks at."""

    three: Tensor
    """[B,C,3,h,w]"""
    told: Tensor
    """[B,E]"""


class Critic(nn.Module):
    """Three latents in a row to a logit per place, told text and actions."""

    TOLD = 64

    def __init__(self, channels: int, text: int, actions: int, width: int, count: int) -> None:
        super().__init__()
        self.tell = nn.Linear(text + actions, self.TOLD)
        self.enter = nn.Conv2d(3 * channels, width, 3, padding=1)
        self.layers = blocks(width, self.TOLD, count)
        self.leave = nn.Conv2d(width, 1, 3, padding=1)
        channels_last(self)

    def forward(self, three: Tensor, told: Tensor) -> Tensor:
        """[B,C,3,h,w] and [B,E] to [B,h,w]."""
        told = functional.silu(self.tell(told))
        x = through(three.flatten(1, 2), self.enter, self.layers, told)
        return self.leave(functional.silu(x))[:, 0].float()
