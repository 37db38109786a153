"""Two ways of leaning on a prompt: the plain rule, and CFG-Zero* with its optimised scale.

Dimensions: B batch; velocities are [B,C,T,h,w].
"""

from torch import Tensor


def guided(with_text: Tensor, without: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance."""
    return without + scale * (with_text - without)


def guided_zero_star(with_text: Tensor, without: Tensor, scale: float) -> Tensor:
    """Guidance after the unguided velocity was scaled to fit the guided one best."""
    return guided(with_text, without * fitted_scale(with_text, without), scale)


def fitted_scale(with_text: Tensor, without: Tensor) -> Tensor:
    """Least-squares factor per sample, [B,1,1,1,1]."""
    a, b = with_text.float().flatten(1), without.float().flatten(1)
    factor = (a * b).sum(1) / (b.square().sum(1) + 1e-8)
    return factor.view(-1, *[1] * (with_text.ndim - 1)).to(with_text.dtype)
