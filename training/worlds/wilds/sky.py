"""Sky, clouds, stars, aurora and the haze that everything fades into: colour by direction.

Pure functions of the air (weather.Air), the direction and the clock. Directions below the horizon
are answered as their mirror image above it, which is what still water shows.

N cameras, H rows, W columns; colours [3, N, H, W].
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from training.worlds.wilds import noise
from training.worlds.wilds.terrain import Land, spread
from training.worlds.wilds.weather import AURORA, COVER, DIM, HAZE, STORM, WIND, Air

STARS = 512
STAR_TILE = 1.3
"""Tile length on the flattened sky dome, whose radius is 1."""


@dataclass(frozen=True, kw_only=True)
class Rays:
    """Unit directions of every pixel. `x`, `z` [N, H, W] horizontal, `y` upward part."""

    x: Tensor
    y: Tensor
    z: Tensor


@lru_cache(maxsize=8)
def star_tile(device: str, softness: int) -> Tensor:
    """[1, STARS + 1, STARS + 1]: soft points whose radius is `softness` half texels."""
    rng = np.random.default_rng(7)
    sky = np.zeros((STARS, STARS))
    at = rng.integers(0, STARS, (420, 2))
    sky[at[:, 0], at[:, 1]] = rng.uniform(0.3, 1.0, 420) ** 3
    f = np.fft.fftfreq(STARS)
    sigma = 0.5 * softness
    blur = np.exp(-2 * (np.pi * sigma) ** 2 * (f[:, None] ** 2 + f[None, :] ** 2))
    sky = np.fft.ifft2(np.fft.fft2(sky) * blur).real * 2 * np.pi * sigma**2
    sky = np.pad(np.clip(sky, 0, 1), ((0, 1), (0, 1)), mode="wrap")
    return torch.from_numpy(sky.astype(np.float32))[None].to(device)


def _dot(rays: Rays, y: Tensor, direction: Tensor) -> Tensor:
    dx, dy, dz = (spread(d, 2) for d in direction)
    return rays.x * dx + y * dy + rays.z * dz


def _rgb(values: Tensor) -> Tensor:
    return spread(values, 2)


def haze(air: Air, x: Tensor, z: Tensor) -> Tensor:
    """[3, N, ...] colour of the air at the horizon towards horizontal unit directions."""
    towards = x * spread(air.lamp[0], x.dim() - 1) + z * spread(air.lamp[2], x.dim() - 1)
    flat = (air.lamp[0] ** 2 + air.lamp[2] ** 2).sqrt().clamp(min=0.2)
    q = (towards / spread(flat, x.dim() - 1)).clamp(min=0)
    colour = spread(air.horizon, x.dim() - 1)
    return colour + spread(air.glow, x.dim() - 1) * (0.42 * q**5)


def fog_share(air: Air, distance: Tensor, height: Tensor, eye: Tensor) -> Tensor:
    """0..1: how much of a thing at that distance and height is lost in the air."""
    dims = distance.dim() - 1
    low = torch.exp(-(0.5 * (height + spread(eye, dims))).clamp(min=0) / 5.0)
    thick = spread(air.density, dims) * (1 + spread(air.mist, dims) * 5.0 * low)
    return 1 - torch.exp(-((distance * thick) ** 1.25))


def sky(air: Air, rays: Rays, pixel: float, steady: bool) -> Tensor:
    """Gradient, sun, moon and stars; `pixel` is the angle of one in radians."""
    up = rays.y.abs()
    low = torch.exp(-up * 3.4)
    base = _rgb(air.zenith) + low * (_rgb(air.horizon) - _rgb(air.zenith))
    lamp = _dot(rays, up, air.lamp).clamp(min=0)
    wide = 0.42 * lamp**5 * low + 0.30 * lamp**28
    out = base + _rgb(air.glow) * wide
    open_sky = 1 - 0.95 * air.weather[:, DIM]
    edge = max(pixel * 0.9, 0.006)
    disc = torch.sigmoid((_dot(rays, up, air.sun) - 0.9988) * (0.05 / edge) * 60)
    shine = spread(open_sky * (air.sun[1] > -0.08), 2)
    out = out + disc * shine * _rgb(air.light * 0.9 + 0.25)
    if steady or bool((air.night > 0.01).any()):
        out = out + _night(air, rays, up, pixel, open_sky)
    return out


def _night(air: Air, rays: Rays, up: Tensor, pixel: float, open_sky: Tensor) -> Tensor:
    moon = _dot(rays, up, air.moon)
    edge = max(pixel * 0.9, 0.006)
    disc = torch.sigmoid((moon - 0.9986) * (0.05 / edge) * 60)
    halo = moon.clamp(min=0) ** 40 * 0.16
    seen = spread(air.night * open_sky, 2)
    tint = noise.constant(str(up.device), 0.92, 0.94, 1.0).view(3, 1, 1, 1)
    scale = 1 / (STAR_TILE * (1 + up))
    softness = max(2, round(pixel * STARS / STAR_TILE * 0.75))
    stars = noise.sample(star_tile(str(up.device), softness), rays.x * scale, rays.z * scale)[0]
    stars = stars * (up * 4).clamp(max=1) * (1 - disc)
    return seen * tint * ((0.86 * disc + halo) + 0.9 * stars)


def cloud_field(air: Air, clock: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Density 0..1 of the clouds over horizontal places (metres / 900) at a time."""
    drift = spread((clock * 0.0042).float() * (0.6 + air.weather[:, WIND]), u.dim() - 1)
    tile = noise.tile(str(u.device))
    n = noise.sample(tile[noise.CLOUD :], u + drift, v + 0.4 * drift)[0]
    cover = spread(air.weather[:, COVER], u.dim() - 1)
    q = ((n + 1.28 * cover - 0.62) / 0.62).clamp(0, 1)
    return q * q * (3 - 2 * q)


def clouds(air: Air, rays: Rays, density: Tensor, base: Tensor) -> Tensor:
    """The sky colours with clouds of that density laid over them."""
    up = rays.y.abs()
    lamp = _dot(rays, up, air.lamp).clamp(min=0)
    thick = density * density
    lit = _rgb(air.clouds) * (1.0 - 0.34 * thick) + _rgb(air.glow) * (0.55 * lamp**6) * (1 - thick)
    veil = (up * 9 - 0.25).clamp(0, 1) * density * (0.86 + 0.12 * spread(air.weather[:, DIM], 2))
    return base + veil * (lit - base)


def aurora(air: Air, rays: Rays, clock: Tensor) -> Tensor:
    """Green curtains with violet hems, to be added to the sky."""
    up = rays.y.abs()
    tile = noise.tile(str(up.device))
    t = spread((clock * 0.006).float(), 2)
    scale = 0.42 / (0.35 + up)
    u, v = rays.x * scale, rays.z * scale
    warp, fine = noise.sample(tile[:2], u * 0.35 + t, v * 0.35 - 0.6 * t)
    curtain = torch.exp(-(((warp + 0.05) * 5.5) ** 2)) * (0.55 + 0.45 * fine)
    curtain = curtain.clamp(min=0) * (up * 5).clamp(max=1) * (1.15 - up)
    strength = spread(air.weather[:, AURORA] * air.night, 2)
    high = (up * 1.7).clamp(max=1)
    rgb = torch.stack([0.10 + 0.42 * high, 0.78 - 0.42 * high, 0.40 + 0.30 * high])
    return rgb * (strength * curtain * 1.05)


def bolt(air: Air, rays: Rays, clock: Tensor, seeds: Tensor, pixel: float) -> Tensor:
    """A jagged line of lightning, [N, H, W], while a flash lasts."""
    turn = torch.floor(clock / 3.0)
    h = noise.hash_cells(turn.long(), torch.ones_like(seeds), seeds, 78)
    azimuth = noise.unit(h, 1) * (2 * torch.pi)
    ax, az = spread(azimuth.sin(), 2), spread(azimuth.cos(), 2)
    across, along = rays.x * az - rays.z * ax, rays.x * ax + rays.z * az
    tile = noise.tile(str(rays.x.device))
    seed_row = spread(noise.unit(h, 2), 2).expand_as(rays.y)
    jag = noise.sample(tile[:1], rays.y * 0.9, seed_row)[0] * 0.13
    width = 0.004 + 0.8 * pixel
    line = torch.exp(-(((across - jag) / width) ** 2)) * (along > 0) * (rays.y > 0)
    return line * spread(air.flash * (air.weather[:, STORM] > 0.2), 2)


def ranges(land: Land, air: Air, rays: Rays, above: Tensor, haze: Tensor) -> Tensor:
    """Two ranges of blue mountains beyond everything that can be reached, laid over the sky."""
    flat = (rays.x**2 + rays.z**2).rsqrt()[..., :1]
    x, z = rays.x[..., :1] * flat, rays.z[..., :1] * flat
    tile = noise.tile(land.device)
    up = rays.y.abs()
    tall = land.mix("skyline", torch.zeros_like(up[:, :1, :1]))
    for k, (size, tone, reach) in enumerate(((1.0, 0.22, 0.21), (0.62, 0.45, 0.15))):
        u0, v0 = (spread(land.origin[i].float() + 0.37 * k, 2) for i in (0, 1))
        fbm, ridged = noise.sample(tile[:2], u0 + x * reach, v0 + z * reach)
        crest = tall * size * (0.075 + 0.035 * fbm + 0.075 * ridged)
        solid = ((crest - up) / 0.010).clamp(0, 1)
        body = haze[..., None] + tone * (_rgb(air.zenith) * 0.8 - haze[..., None])
        fade = (up / (crest.clamp(min=0.02))).clamp(0, 1)
        above = above + solid * (0.35 + 0.65 * fade) * (body - above)
    return above


def veil(air: Air, rays: Rays) -> Tensor:
    """[N, W, H] share of the sky lost in the haze near the ground, all of it in fog."""
    depth = 13.0 * (1 + 0.5 * spread(air.weather[:, HAZE], 2))
    path = spread(air.density, 2) * depth / (rays.y.abs() + 0.04)
    return 1 - torch.exp(-(path**1.25))
