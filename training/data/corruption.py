"""Corruption of history and anchor: what keeps a world from drifting when it plays on itself.

The model sees histories as bad as the ones that it will make: noise per frame, blur, exposure and
saturation, each with its own probability; strengths differ from frame to frame, the anchor's too.
Absent frames (all zero) stay absent. Works in latent space, so that it costs nothing beside a
training step.

Legend: B batch, T history latents (anchor first), C channels, h w rows and columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.trainer.draw import Draw


@dataclass(frozen=True, kw_only=True)
class CorruptionConfig:
    """Probabilities are per sample, strengths per frame."""

    clean: float = 0.1
    """Share of samples left as they are."""
    noise: float = 1.0 / 3.0
    """Largest noise level: x becomes (1 - s) x + s e with s uniform in [0, noise]."""
    exposure: float = 0.2
    """Share whose frames are scaled."""
    exposure_range: tuple[float, float] = (0.8, 1.2)
    saturation: float = 0.2
    """Share whose deviation from the mean over channels is scaled."""
    saturation_range: tuple[float, float] = (0.5, 1.5)
    blur: float = 0.2
    """Share that is resampled through a smaller grid."""
    blur_range: tuple[float, float] = (0.5, 1.0)
    """Size of the smaller grid as a share of the grid."""


def corrupt(frames: Tensor, config: CorruptionConfig, draw: Draw) -> Tensor:
    """Corrupt [B, C, T, h, w]; each sample is left clean with probability `clean`."""
    batch = frames.shape[0]
    present = frames.abs().amax((1, 3, 4), keepdim=True) > 0  # [B, 1, T, 1, 1]
    out = _saturate(frames, config, draw)
    out = _expose(out, config, draw)
    out = _blur(out, config, draw)
    out = _add_noise(out, config, draw)
    keep = draw.chance(config.clean, batch, 1, 1, 1, 1)
    return torch.where(keep, frames, out) * present


def _level(draw: Draw, batch: int, frames: int, span: tuple[float, float]) -> Tensor:
    low, high = span
    return low + (high - low) * draw.uniform(batch, 1, frames, 1, 1)


def _saturate(x: Tensor, config: CorruptionConfig, draw: Draw) -> Tensor:
    batch, _, frames = x.shape[:3]
    chosen = draw.chance(config.saturation, batch, 1, 1, 1, 1)
    factor = _level(draw, batch, frames, config.saturation_range)
    mean = x.mean(1, keepdim=True)
    return torch.where(chosen, mean + (x - mean) * factor, x)


def _expose(x: Tensor, config: CorruptionConfig, draw: Draw) -> Tensor:
    batch, _, frames = x.shape[:3]
    chosen = draw.chance(config.exposure, batch, 1, 1, 1, 1)
    return torch.where(chosen, x * _level(draw, batch, frames, config.exposure_range), x)


def _blur(x: Tensor, config: CorruptionConfig, draw: Draw) -> Tensor:
    """One grid size per batch: resampling is a single call, and sizes vary over steps."""
    batch, channels, frames, rows, cols = x.shape
    low, high = config.blur_range
    chosen = draw.chance(config.blur, batch, 1, 1, 1, 1)
    share = low + (high - low) * float(draw.host_uniform(1))
    size = (max(1, round(rows * share)), max(1, round(cols * share)))
    flat = x.transpose(1, 2).reshape(batch * frames, channels, rows, cols)
    small = functional.interpolate(flat, size=size, mode="bilinear", antialias=True)
    back = functional.interpolate(small, size=(rows, cols), mode="bilinear")
    return torch.where(chosen, back.view(batch, frames, channels, rows, cols).transpose(1, 2), x)


def _add_noise(x: Tensor, config: CorruptionConfig, draw: Draw) -> Tensor:
    batch, _, frames = x.shape[:3]
    level = config.noise * draw.uniform(batch, 1, frames, 1, 1)
    return (1 - level) * x + level * draw.normal(*x.shape)
