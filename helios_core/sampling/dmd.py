"""The few-step solver of distilled models: guess the clean end, add noise again, repeat."""

from collections.abc import Callable

from torch import Tensor

from helios_core.sampling.euler import Velocity
from helios_core.sampling.schedule import Steps


def dmd(
    start: Tensor,
    steps: Steps,
    velocity: Velocity,
    renoise: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """From the start point of a stage to its clean end.

    Between steps the guess is mixed with the start point itself (as distilled), or with
    `renoise(step)` where fresh noise is wanted. The guess is made in float64.
    """
    x = start
    last = len(steps.timesteps) - 1
    for i, timestep in enumerate(steps.timesteps):
        moved = velocity(x, timestep, i).double()
        clean = (x.double() - steps.sigmas[i] * moved).to(start.dtype)
        if i == last:
            return clean
        sigma = steps.sigmas[i + 1]
        noise = start if renoise is None else renoise(i + 1)
        x = (1 - sigma) * clean + sigma * noise
    raise AssertionError("a schedule has at least one step")
