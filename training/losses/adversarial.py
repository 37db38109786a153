"""Adversarial losses on logits of several heads, and the heads themselves.

Legend: B batch, N noisy tokens, D width, T latents, r c token rows and columns.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class Head(nn.Module):
    """Reads the tokens of one block as a small video and says how real they are: [B] logits."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        groups = max(1, width // 8)  # never a channel alone: its mean would be lost
        self.enter = nn.Conv3d(dim, width, 1)
        self.mix = nn.Conv3d(width, width, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for _ in range(2))
        self.leave = nn.Linear(width, 1)

    def forward(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        x = tokens.float().transpose(1, 2).unflatten(2, grid)  # [B, D, T, r, c]
        x = torch.nn.functional.silu(self.norms[0](self.enter(x)))
        x = x + torch.nn.functional.silu(self.norms[1](self.mix(x)))
        return self.leave(x.mean((2, 3, 4)))[:, 0]


def generator_loss(fake: list[Tensor]) -> Tensor:
    """The student wants its samples taken for real."""
    return torch.stack([softplus(-logit).mean() for logit in fake]).mean()


def critic_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """The heads want to tell them apart."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([softplus(-r).mean() + softplus(f).mean() for r, f in pairs]).mean()


def pair_loss(above: Tensor, below: Tensor) -> Tensor:
    """Each logit of the first wants to lie above its pair in the second: a game that has a draw,
    and in which one that cannot win still has a slope."""
    return softplus(below - above).mean()


def smoothness(real: list[Tensor], shaken: list[Tensor]) -> Tensor:
    """Approximate R1: how much logits change when the real input is shaken a little."""
    pairs = zip(real, shaken, strict=True)
    return torch.stack([(r - s).square().mean() for r, s in pairs]).mean()
