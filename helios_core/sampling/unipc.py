"""The order-2 predictor-corrector solver of the many-step models (UniPC, B(h) = e^h - 1).

It works on the clean end that each velocity points to. Every step first corrects the point it
stands on with the newest guess, then predicts the next one; the first and last step are of
order 1. State lives in one call: nothing is carried from stage to stage.
"""

import math
from typing import NamedTuple

from torch import Tensor

from helios_core.sampling.euler import Velocity
from helios_core.sampling.schedule import Steps

SMALLEST_SIGMA = 1e-8
"""Sigma 0 has no logarithm; the last step goes here."""
ORDER = 2


class _Weights(NamedTuple):
    """Coefficients of a step from sigma `origin` to `target`."""

    keep: float
    """Of the sample at the origin."""
    h: float
    """Step in half log signal-to-noise."""
    alpha: float
    """Signal at the target."""


def unipc(x: Tensor, steps: Steps, velocity: Velocity) -> Tensor:
    """Follow the flow from the first sigma to 0."""
    if steps.sigmas[0] >= 1:
        raise ValueError("this solver cannot begin at pure noise: start below 1, such as at 0.999")
    sigmas, count = steps.sigmas, len(steps.timesteps)
    guesses: list[Tensor] = []
    origin, order = x, 0
    for i, timestep in enumerate(steps.timesteps):
        guess = x - sigmas[i] * velocity(x, timestep, i)
        if i > 0:
            x = _correct(origin, guesses, guess, sigmas[: i + 1], order)
        guesses = [*guesses[-1:], guess]
        order = min(ORDER, count - i, i + 1)
        origin = x
        x = _predict(x, guesses, sigmas[: i + 2], order)
    return x


def _predict(x: Tensor, guesses: list[Tensor], sigmas: tuple[float, ...], order: int) -> Tensor:
    """The sample at sigmas[-1] from the one at sigmas[-2]."""
    weights = _weights(sigmas[-2], sigmas[-1])
    newest, grown = guesses[-1], math.expm1(-weights.h)
    out = weights.keep * x - weights.alpha * grown * newest
    if order == 2:
        ratio = _ratio(sigmas[-3], sigmas[-2], weights.h)
        slope = (guesses[-2] - newest) / ratio
        out = out - weights.alpha * grown * 0.5 * slope
    return out


def _correct(
    origin: Tensor,
    guesses: list[Tensor],
    guess: Tensor,
    sigmas: tuple[float, ...],
    order: int,
) -> Tensor:
    """The sample at sigmas[-1] again, now that the guess there is known."""
    weights = _weights(sigmas[-2], sigmas[-1])
    newest, grown = guesses[-1], math.expm1(-weights.h)
    out = weights.keep * origin - weights.alpha * grown * newest
    change = guess - newest
    if order == 1:
        return out - weights.alpha * grown * 0.5 * change
    ratio = _ratio(sigmas[-3], sigmas[-2], weights.h)
    old, new = _corrector_shares(ratio, -weights.h, grown)
    slope = (guesses[-2] - newest) / ratio
    return out - weights.alpha * grown * (old * slope + new * change)


def _corrector_shares(ratio: float, step: float, grown: float) -> tuple[float, float]:
    """Solve the two order conditions for the shares of the old slope and the new change."""
    first = grown / step - 1
    second = first / step - 0.5
    b1, b2 = first / grown, 2 * second / grown
    old = (b2 - b1) / (ratio - 1)
    return old, b1 - old


def _ratio(older: float, origin: float, h: float) -> float:
    return (_log_snr(older) - _log_snr(origin)) / h


def _weights(origin: float, target: float) -> _Weights:
    keep = max(target, SMALLEST_SIGMA) / max(origin, SMALLEST_SIGMA)
    return _Weights(keep, _log_snr(target) - _log_snr(origin), 1 - target)


def _log_snr(sigma: float) -> float:
    return math.log(1 - sigma) - math.log(max(sigma, SMALLEST_SIGMA))
