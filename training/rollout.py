"""Sampling chunks while training, with the samplers that play uses.

For evaluation, the bank of own predictions and the students' own runs. Playing itself goes through
helios_core.world.

Legend: B worlds, C channels, T latents per chunk, h w rows and columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from helios_core.sampling.dmd import dmd
from helios_core.sampling.euler import Velocity, euler
from helios_core.sampling.schedule import listed_steps
from training.stages.world import Conditions, Given, TrainWorld

FEW_STEPS = (1.0, 0.75, 0.4)
"""Noise levels of three-step sampling."""


def velocity_of(world: TrainWorld, conditions: Conditions | Given, frames: int) -> Velocity:
    """The world as a solver sees it; what the steps share is computed once."""
    given = conditions
    if isinstance(conditions, Conditions):
        given = world.given(conditions, frames)

    def velocity(x: Tensor, timestep: float, step: int) -> Tensor:
        level = torch.full((len(x),), timestep / 1000, device=x.device)
        return world(x, level, given)

    return velocity


@torch.no_grad()
def sample_chunk(
    world: TrainWorld, given: Conditions | Given, noise: Tensor, sigmas: Sequence[float] = FEW_STEPS
) -> Tensor:
    """Clean latents from noise [B, C, T, h, w] in few steps, as packs sample them."""
    return dmd(noise, listed_steps(tuple(sigmas)), velocity_of(world, given, noise.shape[2]))


@torch.no_grad()
def euler_chunk(world: TrainWorld, given: Conditions | Given, noise: Tensor, steps: int) -> Tensor:
    """Clean latents by `steps` Euler steps along the velocity."""
    levels = [1 - i / steps for i in range(steps)]
    return euler(noise, listed_steps(levels), velocity_of(world, given, noise.shape[2]))
