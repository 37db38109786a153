"""Sampling the next chunk while training, in few steps or along the whole path.

For evaluation and for the bank of own predictions. Playing samples through helios_core.world.

Legend: B worlds, C channels, T latents per chunk, K history latents, h w rows and columns.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from training.losses.flow import clean_from_velocity, mix
from training.stages.world import Conditions, TrainWorld

FEW_STEPS = (1.0, 0.75, 0.4)
"""Noise levels of three-step sampling."""


@torch.no_grad()
def sample_chunk(
    world: TrainWorld, given: Conditions, noise: Tensor, sigmas: Sequence[float] = FEW_STEPS
) -> Tensor:
    """Clean latents from noise [B, C, T, h, w]: predict, re-noise with the same noise, repeat."""
    clean = noise
    for sigma in sigmas:
        level = torch.full((len(noise),), sigma, device=noise.device)
        noisy = mix(clean, noise, level)
        clean = clean_from_velocity(noisy, world(noisy, level, given), level)
    return clean


@torch.no_grad()
def euler_chunk(world: TrainWorld, given: Conditions, noise: Tensor, steps: int) -> Tensor:
    """Clean latents by `steps` equal Euler steps along the velocity."""
    x = noise
    levels = torch.linspace(1, 0, steps + 1, device=noise.device).tolist()
    for now, then in itertools.pairwise(levels):
        level = torch.full((len(noise),), now, device=noise.device)
        x = x + (then - now) * world(x, level, given)
    return x
