"""Rain and snow between the eye and the world: soft streaks and flakes on two shells around it.

The shells are fixed to directions, so that they stay put when the head turns, and fall with the
clock. Flakes are never smaller than about a pixel, so they do not flicker.

N cameras, W columns, H rows.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from training.worlds.wilds import noise
from training.worlds.wilds.camera import View
from training.worlds.wilds.terrain import spread
from training.worlds.wilds.weather import RAIN, SNOW, WIND, Air

SIZE = 256


@dataclass(frozen=True, kw_only=True)
class Shell:
    """One layer of drops or flakes."""

    around: int
    """Tiles in a full turn: more is farther away."""
    drops: int
    """Per tile."""
    radius: float
    """Radians, of a flake or the width of a streak."""
    long: float
    """Length of a streak relative to its width."""
    fall: float
    """Tiles per second."""
    drift: float
    """Tiles per second sideways in full wind."""
    strength: float


RAINS = (
    Shell(around=5, drops=70, radius=0.0050, long=11, fall=1.9, drift=0.10, strength=0.26),
    Shell(around=9, drops=110, radius=0.0042, long=9, fall=2.3, drift=0.14, strength=0.20),
)
SNOWS = (
    Shell(around=4, drops=34, radius=0.0120, long=1.0, fall=0.30, drift=0.10, strength=0.60),
    Shell(around=8, drops=80, radius=0.0075, long=1.0, fall=0.38, drift=0.12, strength=0.42),
)


@lru_cache(maxsize=32)
def _tile(shell: Shell, pixel: float, device: str) -> Tensor:
    """[1, SIZE + 1, SIZE + 1] density of one shell, soft for a pixel of that angle."""
    rng = np.random.default_rng(shell.around * 100 + shell.drops)
    plane = np.zeros((SIZE, SIZE))
    at = rng.integers(0, SIZE, (shell.drops, 2))
    plane[at[:, 0], at[:, 1]] = rng.uniform(0.5, 1.0, shell.drops)
    per_radian = SIZE * shell.around / (2 * np.pi)
    sx = max(shell.radius, 0.62 * pixel) * per_radian
    sy = max(shell.radius * shell.long, 0.62 * pixel) * per_radian
    f = np.fft.fftfreq(SIZE)
    blur = np.exp(-2 * np.pi**2 * ((sy * f[:, None]) ** 2 + (sx * f[None, :]) ** 2))
    soft = np.fft.ifft2(np.fft.fft2(plane) * blur).real * 2 * np.pi * sx * sy
    # What a pixel cannot hold sharply it shows fainter.
    faint = min(1.0, (shell.radius / (0.62 * pixel)) ** (1 if shell.long > 1 else 2) * 1.5)
    soft = np.pad(np.clip(soft, 0, 1) * faint, ((0, 1), (0, 1)), mode="wrap")
    return torch.from_numpy(soft.astype(np.float32))[None].to(device)


def _density(shells: tuple[Shell, ...], view: View, yaw: Tensor, time: Tensor, wind: Tensor):
    """[N, W, H] 0..1: how much of each pixel the shells cover."""
    turn = (yaw[:, None] + torch.atan(view.tangent)) / (2 * torch.pi)
    clear = None
    for k, shell in enumerate(shells):
        across = turn * shell.around + (shell.drift * time * wind)[:, None] + 0.31 * k
        up = view.slope * (shell.around / (2 * torch.pi)) + (shell.fall * time)[:, None]
        u, v = torch.broadcast_tensors(across[..., None], -up[:, None, :])
        tile = _tile(shell, view.pixel, str(yaw.device))
        # Rows of the tile run downwards; time moves the pattern down the picture.
        open_ = 1 - shell.strength * noise.sample(tile, u, -v)[0]
        clear = open_ if clear is None else clear * open_
    assert clear is not None
    return 1 - clear


def fall(picture: Tensor, view: View, air: Air, yaw: Tensor, clock: Tensor, steady: bool) -> Tensor:
    """The picture [3, N, W, H] behind the rain and snow of each world."""
    time = (clock % 600.0).float()
    wind = air.weather[:, WIND]
    bright = air.ambient * 0.95 + 0.25 * air.light
    for column, shells, whiteness in ((RAIN, RAINS, 0.10), (SNOW, SNOWS, 0.34)):
        amount = air.weather[:, column]
        if steady or bool((amount > 0.02).any()):
            cover = _density(shells, view, yaw, time, wind) * spread(amount, 2)
            colour = spread(bright * (1 + whiteness) + whiteness * air.day, 2)
            picture = picture + cover * (colour - picture)
    return picture
