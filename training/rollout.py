"""Sampling chunks while training, with the samplers that play uses.

For evaluation, the bank of own predictions and the students' own runs. Playing itself goes through
helios_core.world.

Legend: B worlds, C channels, T latents per chunk, h w rows and columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from helios_core.sampling import chunk as sampling
from helios_core.sampling.dmd import dmd
from helios_core.sampling.euler import Velocity, euler
from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.schedule import listed_steps
from training.stages.world import Conditions, Given, TrainWorld
from training.trainer.draw import stream_seed

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
def euler_chunk(
    world: TrainWorld, given: Conditions | Given, noise: Tensor, sigmas: Sequence[float]
) -> Tensor:
    """Clean latents by Euler steps along the velocity, from one noise level to the next."""
    return euler(noise, listed_steps(tuple(sigmas)), velocity_of(world, given, noise.shape[2]))


def even_levels(steps: int) -> tuple[float, ...]:
    """So many noise levels, evenly down from 1."""
    return tuple(1 - i / steps for i in range(steps))


@torch.no_grad()
def pyramid_chunk(
    world: TrainWorld, conditions: Conditions, noise: Tensor, plan: SamplerPlan
) -> Tensor:
    """Clean latents through a pyramid of stages, as packs with one sample them."""
    given = world.given(conditions, noise.shape[2])
    asked = sampling.Conditions(text=given.text, history=given.history, actions=given.actions)
    batch, _, frames, rows, columns = noise.shape
    shape = (batch, noise.shape[1], frames, rows, columns)
    return sampling.sample_chunk(world.dit, plan, StartNoise(noise), shape, asked)


class StartNoise:
    """Given start noise; noise of jumps drawn by its name."""

    def __init__(self, start: Tensor) -> None:
        self.start = start

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name == "start":
            return self.start
        generator = torch.Generator().manual_seed(stream_seed(name))
        return torch.randn(*shape, generator=generator)

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(stream_seed(name))
        return torch.rand(*shape, generator=generator)
