"""The plainest solver: straight steps along the velocity."""

from collections.abc import Callable

from torch import Tensor

from helios_core.sampling.schedule import Steps

Velocity = Callable[[Tensor, float, int], Tensor]
"""velocity(x, timestep, step index) = noise - clean, as the model sees it."""


def euler(x: Tensor, steps: Steps, velocity: Velocity) -> Tensor:
    """Follow the velocity from the first sigma to 0."""
    for i, timestep in enumerate(steps.timesteps):
        x = x + (steps.sigmas[i + 1] - steps.sigmas[i]) * velocity(x, timestep, i)
    return x
