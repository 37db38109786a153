"""Cameras and the rays they cast: one column of the picture is one walk across the ground.

The lens looks level; pitch shifts the picture up and down, so that columns stay vertical planes
and a whole column is resolved by one march from front to back. Images are kept column-major here,
[N, W, H], because a column is what everything works on.

N cameras, W columns, H rows, D depths.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

HALF_HEIGHT = 0.51
"""Tangent of half the vertical field of view (54 degrees)."""
NEAREST, FARTHEST, DEPTHS = 0.7, 950.0, 84
FINE_UNTIL = 150.0
"""Metres over which the small bumps of the ground fade out of the march."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """N cameras."""

    x: Tensor
    """float64 [N], metres east."""
    z: Tensor
    """float64 [N], metres north."""
    eye: Tensor
    """Metres above the water, [N]."""
    yaw: Tensor
    """Radians clockwise from north, [N]."""
    pitch: Tensor
    """Radians upwards, [N]."""

    def rows(self, part: slice) -> "Camera":
        """Some of the cameras."""
        return Camera(**{k: v[part] for k, v in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class View:
    """The rays of N cameras."""

    focal: float
    """Pixels per unit of tangent."""
    forward: Tensor
    """[2, N] east and north parts of the viewing direction."""
    right: Tensor
    tangent: Tensor
    """[W] sideways per metre ahead."""
    edge: float
    """The tangent of the picture's right edge."""
    ray_x: Tensor
    """[N, W] metres east per metre ahead."""
    ray_z: Tensor
    slope: Tensor
    """[N, H] metres up per metre ahead, falling from the top row to the bottom row."""
    horizon: Tensor
    """[N] row coordinate of the horizon."""

    @property
    def pixel(self) -> float:
        """Angle of one pixel in radians."""
        return 1.0 / self.focal


def view(camera: Camera, height: int, width: int) -> View:
    """Rays through every column and row of a picture."""
    device = camera.yaw.device
    focal = height / (2 * HALF_HEIGHT)
    tangent = (torch.arange(width, device=device) + 0.5 - width / 2) / focal
    s, c = camera.yaw.sin(), camera.yaw.cos()
    horizon = height / 2 + focal * camera.pitch.tan()
    rows = torch.arange(height, device=device) + 0.5
    return View(
        focal=focal,
        forward=torch.stack([s, c]),
        right=torch.stack([c, -s]),
        tangent=tangent,
        edge=width / (2 * focal),
        ray_x=s[:, None] + tangent * c[:, None],
        ray_z=c[:, None] - tangent * s[:, None],
        slope=(horizon[:, None] - rows) / focal,
        horizon=horizon,
    )


def depths(device: torch.device) -> Tensor:
    """[D] metres ahead, in constant ratio."""
    growth = (FARTHEST / NEAREST) ** (1 / (DEPTHS - 1))
    return NEAREST * growth ** torch.arange(DEPTHS, device=device, dtype=torch.float32)


def detail(distance: Tensor) -> Tensor:
    """How much of the small bumps is kept at a distance."""
    return torch.exp(-((distance / FINE_UNTIL) ** 2))


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Where every pixel's ray ends: [N, W, H]."""

    ahead: Tensor
    """Metres ahead; FARTHEST where there is only sky."""
    ground: Tensor
    """True where the ground (or water) is met."""
    cover: Tensor
    """0..1: share of the pixel that the ground covers; soft along the skyline only."""


def resolve(surface: Tensor, eye: Tensor, slope: Tensor, pixel: float) -> Hits:
    """Meets rows of slope [N, H] with surfaces [N, W, D] sampled at `depths`."""
    z = depths(surface.device)
    n, w, d = surface.shape
    rising = torch.cummax((surface - eye[:, None, None]) / z, dim=2).values
    wanted = slope[:, None, :].expand(n, w, slope.shape[1])
    top = rising[..., -1:]
    cover = ((top - wanted) / pixel + 0.5).clamp(0, 1)
    ground = cover > 0
    # A pixel that the skyline crosses shows the ground of the skyline itself.
    wanted = torch.minimum(wanted, top).contiguous()
    index = torch.searchsorted(rising, wanted)
    i = index.clamp(1, d - 1)
    h0, h1 = torch.gather(surface, 2, i - 1), torch.gather(surface, 2, i)
    z0, z1 = z[i - 1], z[i]
    k = (h1 - h0) / (z1 - z0)
    gap = wanted - k
    gap = torch.where(gap.abs() < 1e-6, 1e-6, gap)
    ahead = (h0 - eye[:, None, None] - k * z0) / gap
    ahead = torch.minimum(torch.maximum(ahead, torch.where(index == 0, 0.25, z0)), z1)
    return Hits(ahead=torch.where(ground, ahead, FARTHEST), ground=ground, cover=cover)
