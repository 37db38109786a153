"""The ground as a picture: its colour, its grain, the light on it, water and lava.

Pure functions of what the rays met (terrain.Ground) and of the air. Not here: the sky, the mirror
image in water, things that stand on the ground.

N cameras, W columns, H rows; colours [3, N, W, H].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.worlds.wilds import camera, noise
from training.worlds.wilds.camera import View
from training.worlds.wilds.terrain import MICRO, Ground, Land, Place, spread
from training.worlds.wilds.weather import DIM, Air


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What every pixel's ray met, near enough or not; each [N, W, H]."""

    g: Ground
    dx: Tensor
    """Metres east of the camera."""
    dz: Tensor
    ahead: Tensor
    grain: Tensor
    """How much of the fine texture a pixel can hold, 1 near to 0 far."""
    micro: Tensor
    """The fine texture, and its slopes."""
    micro_u: Tensor
    micro_v: Tensor


@dataclass(frozen=True, kw_only=True)
class Coat:
    """The lit ground before the air takes its share."""

    colour: Tensor
    water: Tensor
    """0..1 where water or lava covers the ground."""
    lava: Tensor
    """0..1 how much of that is lava."""


def ramp(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    q = ((x - low) / (high - low)).clamp(0, 1)
    return q * q * (3 - 2 * q)


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """From a (t = 0) to b (t = 1)."""
    return a + t * (b - a)


def albedo(land: Land, g: Ground, grain: Tensor, ahead: Tensor, snowpack: Tensor) -> Tensor:
    """[3, N, W, H] colour of the ground under white light."""
    steep = (g.slope_x**2 + g.slope_z**2).sqrt()
    rgb = lerp(
        land.mix("low", g.blend), land.mix("high", g.blend), (0.5 + 0.7 * g.small).clamp(0, 1)
    )
    rgb = lerp(rgb, land.mix("patch", g.blend), ramp(g.broad + 0.25 * g.ridged, 0.12, 0.5))
    wooded = (land.mix("tree_density", g.blend) * 1.3).clamp(max=0.85) * ramp(ahead, 70, 190)
    rgb = lerp(rgb, land.mix("canopy", g.blend), wooded * ramp(g.height, 0.5, 2.5))
    top = land.mix("peak_at", g.blend)
    rgb = lerp(rgb, land.mix("peak", g.blend), ramp(g.height + 5 * g.small, top - 4, top + 4))
    rgb = lerp(rgb, land.mix("rock", g.blend), ramp(steep + 0.12 * g.small, 0.50, 0.85))
    rgb = lerp(rgb, land.mix("shore", g.blend), 1 - ramp(g.height + 0.35 * g.small, 0.25, 1.1))
    lying = spread(snowpack, 2) * (1 - ramp(steep, 0.5, 1.0)) * ramp(g.height, 0.05, 0.5)
    rgb = lerp(rgb, _tint(rgb, 0.90, 0.93, 0.98), 0.92 * lying)
    return rgb * (1 + 0.20 * land.mix("grain", g.blend) * (1 - 0.6 * lying) * grain)


def _footprint(view: View, ahead: Tensor, eye: Tensor) -> Tensor:
    """Metres of ground that one pixel covers, the geometric mean of across and along."""
    return ahead / view.focal * (ahead / eye[:, None, None].clamp(min=0.6)).sqrt()


def _tint(like: Tensor, *rgb: float) -> Tensor:
    return noise.constant(str(like.device), *rgb).view(3, 1, 1, 1)


def surface(land: Land, place: Place, view: View, ahead: Tensor, eye: Tensor) -> Surface:
    """Looks up the ground and its texture at `ahead` metres along every ray."""
    dx, dz = view.ray_x[..., None] * ahead, view.ray_z[..., None] * ahead
    tile = noise.planes(land.device, noise.FBM, noise.FBM_U, noise.FBM_V)
    u0, v0 = (spread(t, 2) for t in place.micro)
    micro, mu, mv = noise.sample(tile, u0 + dx / MICRO, v0 + dz / MICRO)
    return Surface(
        g=land.ground(place, dx, dz, camera.detail(ahead)),
        dx=dx,
        dz=dz,
        ahead=ahead,
        grain=torch.exp(-((_footprint(view, ahead, eye) / 0.55) ** 2)),
        micro=micro,
        micro_u=mu,
        micro_v=mv,
    )


def light(land: Land, s: Surface, air: Air, cloud: Tensor, flames: Tensor) -> Tensor:
    """[3, N, W, H] light that falls on the ground: sun or moon, sky, the nearest fire."""
    bump = s.grain * 0.012 * land.mix("grain", s.g.blend)
    sx, sz = s.g.slope_x + bump * s.micro_u, s.g.slope_z + bump * s.micro_v
    lx, ly, lz = (spread(t, 2) for t in air.lamp)
    norm = (1 + sx * sx + sz * sz).rsqrt()
    facing = ((ly - sx * lx - sz * lz) * norm).clamp(min=0)
    shade = 1 - 0.55 * cloud * (1 - spread(air.weather[:, DIM], 2))
    hollow = (0.94 + 0.14 * s.g.small).clamp(0.7, 1.1)
    skylit = (0.72 + 0.28 * norm) * hollow
    direct = spread(air.light, 2) * (facing * shade) + spread(air.ambient, 2) * skylit
    d2 = (s.dx - spread(flames[0], 2)) ** 2 + (s.dz - spread(flames[1], 2)) ** 2
    warm = _tint(d2, 1.0, 0.50, 0.18)
    return direct + warm * (spread(flames[2], 2) * torch.exp(-d2 / 55) * 0.95)


def _embers(s: Surface, lava: Tensor, snowpack: Tensor, beat: Tensor) -> Tensor:
    """[N, W, H] glow of the cracks in volcanic ground."""
    vein = torch.exp(-(((s.g.small + 0.07 * s.micro) / 0.055) ** 2)) * ramp(s.g.broad, -0.25, 0.2)
    vein = vein * lava
    return vein * (1 - spread(snowpack, 2)) * (0.75 + 0.25 * torch.sin(s.g.small * 9 + beat))


def _liquid(land: Land, s: Surface, air: Air, base: Tensor, lava: Tensor) -> Tensor:
    """[3, N, W, H] colour of deep water, or of lava under its crust."""
    colour = land.mix("water", s.g.blend)
    wet = colour * (spread(air.ambient, 2) * 0.8 + spread(air.light, 2) * 0.35)
    skin = s.micro * s.grain + s.g.ridged * camera.detail(s.ahead * 2) * 0.6
    crust = lerp(colour, base * 0.5, ramp(skin, -0.1, 0.5))
    return lerp(wet, crust + 0.15 * colour, lava)


def coat(
    land: Land, s: Surface, air: Air, lit: Tensor, snowpack: Tensor, beat: Tensor, met: Tensor
) -> Coat:
    """The ground of `met` pixels under light `lit`, with what covers it."""
    base = albedo(land, s.g, s.micro * s.grain, s.ahead, snowpack)
    lava = land.mix("lava", s.g.blend)
    water = ramp(-s.g.height, 0.0, 0.10) * met
    deep = 1 - torch.exp(s.g.height.clamp(max=0) * 0.8)
    seabed = (1 - 0.92 * deep) * (1 - lava)
    glow = _tint(base, 1.0, 0.34, 0.06) * (0.85 * _embers(s, lava, snowpack, beat))
    wet = _liquid(land, s, air, base, lava)
    colour = lerp(base * lit + glow, wet, water * (1 - seabed))
    return Coat(colour=colour, water=water, lava=lava)
