"""Sizes of the pyramid: going down for the start, up at every jump, and which sizes fit.

Dimensions: B batch, C channels, T latent frames, h w latent rows and columns.
"""

import torch.nn.functional as F
from torch import Tensor

from helios_core.sampling.schedule import Stage


def stage_sizes(rows: int, columns: int, stages: int) -> list[tuple[int, int]]:
    """Latent rows and columns of each stage, coarse to fine."""
    return [(rows >> s, columns >> s) for s in reversed(range(stages))]


def check_pyramid(
    rows: int, columns: int, *, stages: int, patch: tuple[int, int, int], spatial: int = 1
) -> None:
    """Refuse a latent size that cannot be halved for every stage and still be patched.

    `spatial` is the codec's pixels per latent; the message then speaks of pixels.
    """
    units = [p * 2 ** (stages - 1) for p in patch[1:]]
    sizes = list(zip((rows, columns), units, strict=True))
    if all(size >= unit and size % unit == 0 for size, unit in sizes):
        return
    options = [_nearest(size, unit) for size, unit in sizes]
    named = sorted({(r, c) for r in options[0] for c in options[1]})
    listed = ", ".join(f"{r * spatial}x{c * spatial}" for r, c in named)
    raise ValueError(
        f"{rows * spatial}x{columns * spatial} does not fit a pyramid of {stages} stages "
        f"(multiples of {units[0] * spatial}x{units[1] * spatial}); nearest: {listed}"
    )


def shrink(x: Tensor) -> Tensor:
    """Half the size, noise kept at variance 1: bilinear, times 2."""
    return resize(x, x.shape[3] // 2, x.shape[4] // 2, "bilinear") * 2


def grow(x: Tensor) -> Tensor:
    """Twice the size by repetition."""
    return resize(x, x.shape[3] * 2, x.shape[4] * 2, "nearest")


def jump(x: Tensor, noise: Tensor, stage: Stage) -> Tensor:
    """From the end of the stage before to the start of `stage`: repeat, rescale, and add block
    noise of the larger size that hides the blocks."""
    alpha, beta = stage.jump
    return alpha * grow(x) + beta * noise


def resize(x: Tensor, rows: int, columns: int, mode: str) -> Tensor:
    """Frame by frame, [B,C,T,h,w]."""
    frames = x.transpose(1, 2)
    sized = F.interpolate(frames.flatten(0, 1), size=(rows, columns), mode=mode)
    return sized.unflatten(0, frames.shape[:2]).transpose(1, 2)


def _nearest(size: int, unit: int) -> set[int]:
    below = max(unit, size // unit * unit)
    return {below} if size == below else {below, max(unit, -(-size // unit) * unit)}
