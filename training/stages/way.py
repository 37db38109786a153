"""The way from noise to clean latents that a student shares with its teacher, stage by stage.

The student goes it in few steps, as play will, the teacher in many, from the same noise. The same
stages say what a sample looks like on its way back to noise, where teacher and critic score it: in
a pyramid, coarse stages take the place of high noise levels. A model without a pyramid has one
stage. Not here: losses, and sampling of finished worlds (training.rollout).

Legend: B windows, C channels, T target latents, h w rows and columns of a stage.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from helios_core.sampling.euler import euler
from helios_core.sampling.noise import JUMP_BLOCK, in_blocks
from helios_core.sampling.plan import SamplerPlan, few_steps
from helios_core.sampling.pyramid import jump, shrink, stage_sizes
from helios_core.sampling.schedule import Steps, pyramid_stages
from training.losses.flow import clean_from_velocity
from training.losses.pyramid import Line, stage_line, stage_time
from training.rollout import even_levels, velocity_of
from training.stages.world import Conditions, Given, TrainWorld
from training.trainer.draw import Draw

Noises = tuple[Tensor, ...]
"""Noise of the first stage's start, then of the jump to each later stage, each at its size."""


class Leg(NamedTuple):
    """One stage of the teacher's way: its two ends, each [B, C, T, h, w]."""

    start: Tensor
    end: Tensor


class Point(NamedTuple):
    """Where a sample is scored: on its line between a stage's noisy start and its end."""

    line: Line
    sigma: Tensor
    """[B]: 1 at the stage's start, 0 at its end."""
    level: Tensor
    """[B]: what the model is asked at, timestep / 1000."""

    @property
    def noisy(self) -> Tensor:
        return self.line.at(self.sigma)

    def end(self, velocity: Tensor) -> Tensor:
        """The stage's end that a velocity points to."""
        return clean_from_velocity(self.noisy, velocity, self.sigma)


class Way:
    """The stages of one student's plan, and how many steps its teacher takes in each."""

    def __init__(self, plan: SamplerPlan, teacher_steps: int) -> None:
        self.stages = pyramid_stages(plan.stages, plan.gamma)
        many = few_steps(*even_levels(teacher_steps), solver="euler")
        if plan.stages > 1:
            many = SamplerPlan(
                solver="euler", steps=(teacher_steps,) * plan.stages, shift="none", gamma=plan.gamma
            )
        self.few, self.many = _steps(plan), _steps(many)

    def noises(self, shape: Sequence[int], draw: Draw) -> Noises:
        """Fresh noise for latents of full size [B, C, T, h, w]."""
        batch, channels, frames, rows, columns = shape
        start = draw.normal(*shape)
        for _ in self.stages[1:]:
            start = shrink(start)
        sizes = stage_sizes(rows, columns, len(self.stages))[1:]
        block = JUMP_BLOCK[0] * JUMP_BLOCK[1]
        jumps = []
        for stage, (h, w) in zip(self.stages[1:], sizes, strict=True):
            white = draw.normal(batch, channels * frames * h * w // block, block)
            jumps.append(in_blocks(white, (batch, channels, frames, h, w), stage.gamma))
        return (start, *jumps)

    def stops(self, draw: Draw) -> list[int]:
        """A step of each stage, the one that is differentiated."""
        return [int(draw.integers(0, len(steps.timesteps), 1)) for steps in self.few]

    def finishes(self, stops: Sequence[int]) -> bool:
        """Whether a sample that stops at these steps is what play would show."""
        return all(s == len(f.timesteps) - 1 for s, f in zip(stops, self.few, strict=True))

    # -- going it ------------------------------------------------------------------------------
    def sample(
        self,
        world: TrainWorld,
        given: Given,
        noises: Noises,
        stops: Sequence[int],
        *,
        differentiate: bool,
    ) -> Tensor:
        """The student's sample; gradients reach every stage through the jumps."""
        end = None
        for index, stop in enumerate(stops):
            start = self._start(index, noises, end)
            end = self.guess(world, given, index, start, stop, differentiate=differentiate)
        assert end is not None
        return end

    def guess(
        self,
        world: TrainWorld,
        given: Given,
        index: int,
        start: Tensor,
        stop: int,
        *,
        differentiate: bool,
    ) -> Tensor:
        """The student's guess of a stage's end at step `stop`, reached by its own earlier steps."""
        steps = self.few[index]
        end = start
        for step, timestep in enumerate(steps.timesteps[: stop + 1]):
            sigma = steps.sigmas[step]
            level = start.new_full((len(start),), timestep / 1000)
            with torch.set_grad_enabled(differentiate and step == stop):
                noisy = (1 - sigma) * end.detach() + sigma * start if step else start
                end = noisy - sigma * world(noisy, level, given)
        return end

    @torch.no_grad()
    def teach(self, world: TrainWorld, conditions: Conditions, noises: Noises) -> list[Leg]:
        """The teacher's way from the same noise."""
        legs: list[Leg] = []
        velocity = velocity_of(world, conditions, noises[0].shape[2])
        for index, steps in enumerate(self.many):
            start = self._start(index, noises, legs[-1].end if legs else None)
            legs.append(Leg(start, euler(start, steps, velocity)))
        return legs

    def _start(self, index: int, noises: Noises, before: Tensor | None) -> Tensor:
        return noises[0] if before is None else jump(before, noises[index], self.stages[index])

    # -- scoring -------------------------------------------------------------------------------
    def at(self, index: int, clean: Tensor, noise: Tensor, sigma: Tensor) -> Point:
        """A sample of full size on its way through stage `index`, with noise of full size."""
        line = stage_line(clean, noise, self.stages, index)
        if len(self.stages) == 1:  # is asked at its noise level itself
            return Point(line, sigma, sigma)
        return Point(line, sigma, stage_time(self.stages[index], sigma) / 1000)

    def scored(
        self, like: Tensor, sigmas: tuple[float, float], draw: Draw
    ) -> Callable[[Tensor], Point]:
        """The points of samples of one shape: at one stage, noise levels and noise drawn now."""
        low, high = sigmas
        index = int(draw.integers(0, len(self.stages), 1))
        sigma = low + (high - low) * draw.uniform(len(like))
        noise = draw.normal(*like.shape)
        return lambda x: self.at(index, x, noise, sigma)


def _steps(plan: SamplerPlan) -> tuple[Steps, ...]:
    """Steps of each stage of a plan without shift, a pyramid's at whole timesteps as at play."""
    steps = tuple(plan.stage_steps(k, tokens=0, first_chunk=False) for k in range(plan.stages))
    if plan.stages == 1:
        return steps
    return tuple(Steps(tuple(float(int(t)) for t in s.timesteps), s.sigmas) for s in steps)


def student_plan(sigmas: Sequence[float], steps: Sequence[int]) -> SamplerPlan:
    """How a student samples: in `steps` of each stage of a pyramid or, without, along `sigmas`."""
    if not steps:
        return few_steps(*sigmas)
    if len(steps) == 1:
        raise ValueError(
            f"steps = {list(steps)}: give one number for each stage of the teacher's pyramid, or "
            "leave it out and give sigmas"
        )
    return SamplerPlan(solver="dmd", steps=tuple(steps), shift="none")
