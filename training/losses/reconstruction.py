"""What a codec is trained on: pixels near the truth, edges near the truth, latents that stay small.

Legend: B batch, F frames, H W pixels; videos are [B, 3, F, H, W] in [-1, 1].
"""

import torch
from torch import Tensor


def gradient_difference(made: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical pixel steps: keeps edges sharp."""
    error = made - truth
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return across + down


def reconstruction(
    made: Tensor, truth: Tensor, *, absolute: float, squared: float, gradient: float
) -> Tensor:
    """Weighted sum of mean absolute, mean squared and gradient errors."""
    error = made - truth
    loss = absolute * error.abs().mean() + squared * error.square().mean()
    return loss + gradient * gradient_difference(made, truth) if gradient else loss


def psnr(made: Tensor, truth: Tensor) -> Tensor:
    """PSNR in dB per batch item [B], for values in [-1, 1] (peak to peak 2)."""
    squared = (made.clamp(-1, 1) - truth).square().flatten(1).mean(1)
    return 10 * torch.log10(4 / squared.clamp(min=1e-10))
