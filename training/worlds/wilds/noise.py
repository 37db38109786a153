"""One tile of smooth noise that every hill, patch and cloud is cut from, and integer hashes.

All worlds share the tile; seeds differ by where, at what angle and at what scale they read it, and
two scales at incommensurate periods never repeat within a walk. The tile holds gradients beside
values, so that a normal costs one lookup. Drawn with numpy from a fixed seed: the same bits on
every machine.

    planes = sample(tile(device), u, v)      # u, v in tiles, any shape -> [C, *shape]
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 256
CELLS = 8
OCTAVES = 3
FBM, RIDGED, BROAD, FBM_U, FBM_V, RIDGED_U, RIDGED_V, CLOUD = range(8)
"""Planes of the tile; gradients are per tile length."""


def _gradient_noise(rng: np.random.Generator, cells: int, size: int = SIZE) -> np.ndarray:
    """Periodic gradient noise [size, size], roughly within [-1, 1]."""
    angle = rng.uniform(0, 2 * np.pi, (cells, cells))
    grad = np.stack([np.cos(angle), np.sin(angle)])
    at = np.arange(size) * cells / size
    i, f = np.floor(at).astype(int), at - np.floor(at)
    fade = f * f * f * (f * (f * 6 - 15) + 10)
    total = np.zeros((size, size))
    for dy in (0, 1):
        for dx in (0, 1):
            g = grad[:, (i + dy)[:, None] % cells, (i + dx)[None, :] % cells]
            ramp = g[0] * (f[None, :] - dx) + g[1] * (f[:, None] - dy)
            wy = (fade if dy else 1 - fade)[:, None]
            wx = (fade if dx else 1 - fade)[None, :]
            total += ramp * wy * wx
    return total * 1.5


def _fractal(rng: np.random.Generator, cells: int, octaves: int, *, ridged: bool) -> np.ndarray:
    total = np.zeros((SIZE, SIZE))
    for k in range(octaves):
        n = _gradient_noise(rng, cells * 2**k)
        if ridged:
            n = 0.75 - 1.9 * np.sqrt(n * n + 0.004)
        total += n * 0.5**k
    return total


def _gradients(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    du = (np.roll(plane, -1, 1) - np.roll(plane, 1, 1)) * (SIZE / 2)
    dv = (np.roll(plane, -1, 0) - np.roll(plane, 1, 0)) * (SIZE / 2)
    return du, dv


@lru_cache(maxsize=4)
def tile(device: str) -> Tensor:
    """[8, SIZE + 1, SIZE + 1]: the planes named above, with the first row and column repeated."""
    rng = np.random.default_rng(20240607)
    fbm = _fractal(rng, CELLS, OCTAVES, ridged=False)
    ridged = _fractal(rng, CELLS, OCTAVES, ridged=True)
    broad = _gradient_noise(rng, 3) + 0.18 * _gradient_noise(rng, 11)
    cloud = _fractal(rng, 5, 5, ridged=False)
    planes = np.stack([fbm, ridged, broad, *_gradients(fbm), *_gradients(ridged), cloud])
    planes = np.pad(planes, ((0, 0), (0, 1), (0, 1)), mode="wrap")
    return torch.from_numpy(planes.astype(np.float32)).to(device)


@lru_cache(maxsize=4)
def planes(device: str, *which: int) -> Tensor:
    """Some planes of the tile that do not lie side by side."""
    return tile(device)[list(which)]


@lru_cache(maxsize=256)
def constant(device: str, *values: float) -> Tensor:
    """Numbers on a device, sent there once."""
    return torch.tensor(values, device=device)


def sample(planes: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Periodic bilinear lookup: planes [C, S+1, S+1], u and v of any one shape -> [C, *shape]."""
    grid = torch.stack([u - torch.floor(u), v - torch.floor(v)], -1).mul_(2).sub_(1)
    flat = grid.reshape(1, 1, -1, 2)
    # Nothing lies outside; with zeros there, cuDNN's sampler is taken, which fails at such sizes.
    out = F.grid_sample(
        planes[None], flat, mode="bilinear", padding_mode="border", align_corners=True
    )
    return out.reshape(planes.shape[0], *u.shape)


def hash_cells(x: Tensor, z: Tensor, seed: Tensor, salt: int) -> Tensor:
    """Well-mixed 31-bit integers from int64 cell coordinates and seeds (broadcast together)."""
    mask = 0xFFFFFFFF
    h = (x * 0x27D4EB2D + z * 0x165667B1 + seed * 0x9E3779B1 + salt * 0x85EBCA6B) & mask
    for multiplier in (0x7FEB352D, 0x846CA68B):
        h = ((h ^ (h >> 16)) * multiplier) & mask
    return (h ^ (h >> 15)) & 0x7FFFFFFF


def unit(hashed: Tensor, lane: int) -> Tensor:
    """A float32 in [0, 1) from a hash; different lanes of one hash are independent enough."""
    mixed = ((hashed ^ (lane * 0x68E31DA4)) * 0x2C1B3C6D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 0x297A2D39) & 0xFFFFFFFF
    return (mixed >> 8).to(torch.float32) * (1.0 / (1 << 24))
