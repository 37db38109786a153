"""Distribution matching: move samples where the real score is higher than the fake one.

Legend: x [B, C, T, h, w] clean samples of the student; real and fake are the clean latents that
teacher and critic predict from the same noised x.
"""

import torch
from torch import Tensor


def matching_gradient(x: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Direction in which x should not go: (fake - real) over the mean distance to the real."""
    x, real, fake = x.double(), real.double(), fake.double()
    scale = (x - real).abs().mean((1, 2, 3, 4), keepdim=True).clamp(min=1e-6)
    return torch.nan_to_num((fake - real) / scale)


def matching_loss(x: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """A loss whose gradient with respect to x is `matching_gradient` over the count of values."""
    goal = (x.double() - matching_gradient(x.detach(), real, fake)).detach()
    return 0.5 * (x.double() - goal).square().mean()
