"""Noise levels and timesteps of every pyramid stage.

A flow runs from noise (sigma 1) to clean (sigma 0). A pyramid cuts it into stages of doubling
size, and inside a stage sigma is local: 0.999 at its start, 0 at its end. With one stage the
local and the global sigma are the same and the timestep is 1000 sigma.

    stages = pyramid_stages(3)
    steps = stage_steps(stages[0], 2, drop_last=True, shift="linear", tokens=540)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

TRAIN_STEPS = 1000
"""Timesteps that the models were trained with."""
FIRST_SIGMA = 1 - 1 / TRAIN_STEPS
"""Where every stage begins: pure noise is never asked about."""
SHIFT_POINTS = ((256, 0.5), (4096, 1.15))
"""(noisy tokens, mu): the dynamic shift is linear between and beyond."""

Shift = Literal["none", "linear", "exponential"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One level of the pyramid, coarse to fine."""

    index: int
    start: float
    """Share of noise at the stage's first point, after the jump's noise."""
    end: float
    """Share of noise at the stage's last point."""
    start_before: float
    """Share of noise at the first point before the jump."""
    t_max: float
    """Timestep at local sigma 1."""
    t_min: float
    """Timestep at local sigma 0."""
    gamma: float
    """Correlation of the jump's block noise."""

    @property
    def jump(self) -> tuple[float, float]:
        """(alpha, beta): x <- alpha * upsampled x + beta * block noise."""
        signal = 1 - self.start_before
        alpha = 1 / (math.sqrt(1 + 1 / self.gamma) * (1 - signal) + signal)
        return alpha, alpha * (1 - signal) / math.sqrt(self.gamma)


class Steps(NamedTuple):
    """What a solver walks along: n timesteps and n + 1 local sigmas, the last of them 0."""

    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]


def pyramid_stages(count: int, gamma: float = 1 / 3) -> tuple[Stage, ...]:
    """Stages of equal share of the training range."""
    if count < 1:
        raise ValueError(f"{count} pyramid stages: give at least 1")
    if not 0 < gamma <= 1 / 3 + 1e-9:
        raise ValueError(f"gamma = {gamma}: give a number above 0 and up to 1/3")
    before = [_sigma(int(i / count * TRAIN_STEPS)) for i in range(count)]
    ends = [*before[1:], 0.0]
    starts = [before[0]] + [_corrected(sigma, gamma) for sigma in before[1:]]
    lengths = [start - end for start, end in zip(starts, ends, strict=True)]
    bounds = [sum(lengths[:i]) / sum(lengths) for i in range(count)] + [1 - 1e-16]
    times = [TRAIN_STEPS * _sigma(min(int(b * TRAIN_STEPS), TRAIN_STEPS - 1)) for b in bounds]
    return tuple(
        Stage(
            index=i,
            start=starts[i],
            end=ends[i],
            start_before=before[i],
            t_max=times[i],
            t_min=times[i + 1] + (times[i] - times[i + 1]) / TRAIN_STEPS,
            gamma=gamma,
        )
        for i in range(count)
    )


def shift_amount(tokens: int) -> float:
    """The mu of the dynamic shift for a number of noisy tokens."""
    (x0, y0), (x1, y1) = SHIFT_POINTS
    return y0 + (tokens - x0) * (y1 - y0) / (x1 - x0)


def shifted(sigma: float, shift: Shift, tokens: int) -> float:
    """Sigma after the dynamic shift, which spends more steps on noise when there is much."""
    if shift == "none" or sigma in (0.0, 1.0):
        return sigma
    mu = shift_amount(tokens)
    weight = mu if shift == "linear" else math.exp(mu)
    return weight / (weight + 1 / sigma - 1)


def stage_steps(stage: Stage, count: int, *, drop_last: bool, shift: Shift, tokens: int) -> Steps:
    """Steps of one stage of a pyramid of several.

    `drop_last` (few-step solvers) leaves out the point next to the end, so that the last step
    spans the rest.
    """
    last = FIRST_SIGMA / TRAIN_STEPS
    points = linspace(FIRST_SIGMA, last, count + 1)[:-1] if drop_last else None
    sigmas = points or linspace(FIRST_SIGMA, last, count)
    if shift == "none":
        top = linspace(stage.t_max, stage.t_min, count + 1 if drop_last else count)
        return Steps(tuple(top[:count]), (*sigmas, 0.0))
    local = [shifted(sigma, shift, tokens) for sigma in sigmas]
    timesteps = [stage.t_min + sigma * (stage.t_max - stage.t_min) for sigma in local]
    return Steps(tuple(timesteps), (*local, 0.0))


def flow_steps(count: int, *, shift: Shift, tokens: int) -> Steps:
    """Steps of a model without a pyramid."""
    sigmas = [shifted(s, shift, tokens) for s in linspace(FIRST_SIGMA, 0.0, count + 1)[:-1]]
    return listed_steps(sigmas)


def listed_steps(sigmas: Sequence[float]) -> Steps:
    """Steps along given noise levels, as few-step packs name them: (1, 0.75, 0.4)."""
    return Steps(tuple(TRAIN_STEPS * sigma for sigma in sigmas), (*sigmas, 0.0))


def linspace(first: float, last: float, count: int) -> list[float]:
    """`count` evenly spaced numbers; one number is the first."""
    if count == 1:
        return [first]
    step = (last - first) / (count - 1)
    return [first + i * step for i in range(count - 1)] + [last]


def _sigma(step: int) -> float:
    """Global share of noise at a training step counted from pure noise."""
    return FIRST_SIGMA * (1 - step / TRAIN_STEPS)


def _corrected(sigma: float, gamma: float) -> float:
    """Share of noise once the jump has added its block noise."""
    signal = 1 - sigma
    return 1 - signal / (math.sqrt(1 + 1 / gamma) * (1 - signal) + signal)
