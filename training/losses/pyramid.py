"""Pyramid flow: where each stage of the pyramid begins and ends, and the straight line between.

A stage's start is what its jump makes of the clean latents one size down; its end is clean up to
the noise that the next jump expects. Sigma is local: 1 at the start, 0 at the end.

Legend: B batch, C channels, T latents, h w rows and columns of the stage.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from helios_core.sampling.pyramid import grow, resize, shrink
from helios_core.sampling.schedule import Stage


class Line(NamedTuple):
    """Start and end point of one stage, each [B, C, T, h, w]."""

    start: Tensor
    end: Tensor

    def at(self, sigma: Tensor) -> Tensor:
        """The point at local noise level sigma [B]."""
        level = sigma.view(-1, 1, 1, 1, 1)
        return level * self.start + (1 - level) * self.end

    @property
    def velocity(self) -> Tensor:
        return self.start - self.end


def smaller(clean: Tensor, times: int) -> Tensor:
    """Clean latents at half the size, several times: averaged, not rescaled."""
    for _ in range(times):
        clean = resize(clean, clean.shape[3] // 2, clean.shape[4] // 2, "bilinear")
    return clean


def stage_line(clean: Tensor, noise: Tensor, stages: tuple[Stage, ...], index: int) -> Line:
    """Start and end of stage `index` for full-size clean latents and noise."""
    down = len(stages) - 1 - index
    here = smaller(clean, down)
    for _ in range(down):
        noise = shrink(noise)
    stage = stages[index]
    end = stage.end * noise + (1 - stage.end) * here
    if index == 0:
        return Line(noise, end)
    below = grow(smaller(clean, down + 1))
    return Line(stage.start * noise + (1 - stage.start) * below, end)


def stage_time(stage: Stage, sigma: Tensor) -> Tensor:
    """Timesteps [B] in 0..1000 that the model is asked at."""
    return stage.t_min + sigma * (stage.t_max - stage.t_min)


def split_batch(batch: int, ratios: tuple[int, ...], draw: Tensor) -> list[Tensor]:
    """Row indices of each stage: shares by `ratios`, in an order drawn per step [batch]."""
    order = torch.argsort(draw)
    shares = torch.tensor(ratios, dtype=torch.float64)
    ends = (shares.cumsum(0) / shares.sum() * batch).round().long().tolist()
    return [order[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
