"""Where random numbers come from, and the block-correlated noise of a stage jump.

Noise is drawn on the CPU in fp32, per world, from (seed, chunk, name), so that it does not depend
on the device, on the batch, or on what was drawn before.

Dimensions: B worlds, C channels, T latent frames, h w latent rows and columns, n = ph * pw
latents of a block.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

JUMP_BLOCK = (2, 2)
"""Rows and columns of a block; a jump doubles both."""


class NoiseSource(Protocol):
    """Random numbers by name; the first dimension of a shape is the worlds."""

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor: ...

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor: ...


@dataclass(frozen=True)
class SeededNoise:
    """Noise of one or several worlds, each from its own (seed, chunk)."""

    worlds: Sequence[tuple[int, int]]

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self._each(torch.randn, name, shape)

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self._each(torch.rand, name, shape)

    def _each(self, draw, name: str, shape: tuple[int, ...]) -> Tensor:
        if shape[0] != len(self.worlds):
            raise ValueError(f"noise for {shape[0]} worlds asked of a source of {len(self.worlds)}")
        parts = [
            draw((1, *shape[1:]), generator=_generator(seed, chunk, name))
            for seed, chunk in self.worlds
        ]
        return torch.cat(parts)


def _generator(seed: int, chunk: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{chunk}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def block_factor(size: int, gamma: float) -> Tensor:
    """Lower triangular L with L L^T = (1 + gamma) I - gamma 11^T, [size,size] fp32.

    In closed form, so that it also exists where the covariance is singular (gamma = 1/(size-1):
    the noise of a block then sums to zero), where a numeric factorisation fails.
    """
    if not 0 <= gamma * (size - 1) <= 1 + 1e-9:
        raise ValueError(f"gamma = {gamma}: give 0 to {1 / (size - 1):.4f} for blocks of {size}")
    factor = torch.zeros(size, size, dtype=torch.float64)
    explained = 0.0
    for j in range(size):
        diagonal = math.sqrt(max(0.0, 1.0 - explained))
        factor[j, j] = diagonal
        below = (-gamma - explained) / diagonal if diagonal > 1e-6 else 0.0
        factor[j + 1 :, j] = below
        explained += below * below
    return factor.float()


def block_noise(
    noise: NoiseSource, name: str, shape: tuple[int, int, int, int, int], gamma: float
) -> Tensor:
    """Noise [B,C,T,h,w] of variance 1, correlated by -gamma inside each 2x2 block."""
    size = math.prod(JUMP_BLOCK)
    white = noise.normal(name, (shape[0], math.prod(shape[1:]) // size, size))
    return in_blocks(white, shape, gamma)


def in_blocks(white: Tensor, shape: tuple[int, int, int, int, int], gamma: float) -> Tensor:
    """Noise [B,blocks,n] as latents [B,C,T,h,w], correlated by -gamma inside each block."""
    (ph, pw), (b, c, t, h, w) = JUMP_BLOCK, shape
    mixed = white @ block_factor(ph * pw, gamma).T.to(white.device)
    grid = mixed.view(b, c, t, h // ph, w // pw, ph, pw)
    return grid.permute(0, 1, 2, 3, 5, 4, 6).reshape(shape)
