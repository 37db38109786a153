"""Flow matching: the straight path from clean latents to noise and the velocity along it.

Legend: B batch, C channels, T latents, h w rows and columns; sigma in [0, 1], 1 = pure noise;
velocity = noise - clean, as the released model predicts it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.trainer.draw import Draw


@dataclass(frozen=True, kw_only=True)
class TimeConfig:
    """How noise levels are drawn: logit-normal, and a share at pure noise."""

    mean: float = 0.8
    spread: float = 1.0
    pure: float = 0.1
    """Share at sigma = 1, where few-step sampling starts."""
    low: float = 0.05
    """Smallest sigma; an x0 prediction is divided by it."""


def sample_sigma(batch: int, config: TimeConfig, draw: Draw) -> Tensor:
    """Noise levels [B] in [low, 1]."""
    sigma = torch.sigmoid(config.mean + config.spread * draw.normal(batch))
    sigma = torch.where(draw.chance(config.pure, batch), torch.ones_like(sigma), sigma)
    return sigma.clamp(min=config.low)


def spread(sigma: Tensor) -> Tensor:
    """[B] as [B, 1, 1, 1, 1]."""
    return sigma.view(-1, 1, 1, 1, 1)


def mix(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Latents at noise level sigma [B] on the straight path."""
    return (1 - spread(sigma)) * clean + spread(sigma) * noise


def clean_from_velocity(noisy: Tensor, velocity: Tensor, sigma: Tensor) -> Tensor:
    """The clean latents that a velocity points to."""
    return noisy - spread(sigma) * velocity


def flow_loss(velocity: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the velocity per item [B]."""
    return (velocity.float() - (noise - clean)).square().flatten(1).mean(1)
