"""Weather as a handful of slowly moving numbers, the sun's path, and what they do to the light.

A weather is a target for `COLUMNS`; the world's numbers drift towards it over seconds, so that
rain begins and fog lifts instead of switching. Not here: how any of it looks (sky, render).

N worlds; colours are [3, N].
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from training.worlds.wilds import noise
from training.worlds.wilds.terrain import Land

COLUMNS = ("cover", "dim", "haze", "rain", "snow", "storm", "aurora", "wind")
COVER, DIM, HAZE, RAIN, SNOW, STORM, AURORA, WIND = range(len(COLUMNS))

WEATHERS: dict[str, tuple[float, ...]] = {
    #          cover  dim  haze rain snow storm aurora wind
    "clear": (0.30, 0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3),
    "cloudy": (0.78, 0.35, 0.6, 0.0, 0.0, 0.0, 0.0, 0.5),
    "fog": (0.55, 0.55, 9.0, 0.0, 0.0, 0.0, 0.0, 0.1),
    "rain": (1.15, 0.72, 2.4, 1.0, 0.0, 0.0, 0.0, 0.7),
    "snow": (1.15, 0.50, 3.2, 0.0, 1.0, 0.0, 0.0, 0.4),
    "storm": (1.30, 0.95, 2.6, 1.0, 0.0, 1.0, 0.0, 1.0),
    "aurora": (0.12, 0.00, 0.0, 0.0, 0.0, 0.0, 1.0, 0.2),
}
NAMES: tuple[str, ...] = tuple(WEATHERS)
SETTLE = 0.8
"""Seconds in which a change of weather covers 63 % of its way: whoever types one wants to see it
within three."""
COVERING = 1.5
"""Seconds in which falling snow whitens the ground by 63 %."""


@lru_cache(maxsize=4)
def table(device: str) -> Tensor:
    """[weathers, columns]."""
    return torch.tensor([WEATHERS[name] for name in NAMES], device=device)


def sun_direction(hour: Tensor) -> Tensor:
    """[3, N] towards the sun: x east, y up, z north; up between six and eighteen."""
    a = (hour - 6.0) * (torch.pi / 12)
    v = torch.stack([a.cos(), a.sin() * 0.85, -a.sin() * 0.5 - 0.12])
    return v / v.norm(dim=0)


def moon_direction(hour: Tensor) -> Tensor:
    """[3, N] towards the moon, which is up from about nineteen to five."""
    a = (hour - 18.7) * (torch.pi / 10.6)
    v = torch.stack([a.cos(), a.sin() * 0.55, -a.sin() * 0.4 - 0.45])
    return v / v.norm(dim=0)


@dataclass(frozen=True, kw_only=True)
class Air:
    """The light and the air of one moment in N worlds. Colours [3, N], the rest [N]."""

    zenith: Tensor
    horizon: Tensor
    glow: Tensor
    """Colour that the sky takes around the sun or the moon."""
    light: Tensor
    """Direct light."""
    ambient: Tensor
    sun: Tensor
    moon: Tensor
    lamp: Tensor
    """[3, N] direction of the direct light: the sun's by day, the moon's by night."""
    day: Tensor
    night: Tensor
    density: Tensor
    """Optical depth of the air per metre."""
    mist: Tensor
    flash: Tensor
    clouds: Tensor
    """[3, N] colour of the lit side of clouds."""
    weather: Tensor
    """[N, columns]."""


def _ramp(x: Tensor, low: float, high: float) -> Tensor:
    q = ((x - low) / (high - low)).clamp(0, 1)
    return q * q * (3 - 2 * q)


def _rgb(device: torch.device, *values: float) -> Tensor:
    return noise.constant(str(device), *values)[:, None]


def flash(seeds: Tensor, clock: Tensor, storm: Tensor) -> Tensor:
    """Brightness of lightning: at most one double flash in each three seconds of a storm."""
    turn = torch.floor(clock / 3.0)
    h = noise.hash_cells(turn.long(), torch.zeros_like(seeds), seeds, 77)
    start = noise.unit(h, 1) * 2.2
    t = (clock - turn * 3.0 - start).float()
    first = torch.where(t >= 0, torch.exp(-t.clamp(min=0) * 7), torch.zeros_like(t))
    again = torch.where(t >= 0.25, torch.exp(-(t - 0.25).clamp(min=0) * 5), torch.zeros_like(t))
    happens = (noise.unit(h, 2) < 0.6).float()
    return happens * storm * (first + 0.7 * again).clamp(max=1.0)


@dataclass(frozen=True, kw_only=True)
class _Sun:
    """How far into day, dusk and night each world is; [N]."""

    sun: Tensor
    moon: Tensor
    day: Tensor
    night: Tensor
    dusk: Tensor
    moonlit: Tensor


def _sun(hour: Tensor) -> _Sun:
    sun, moon = sun_direction(hour), moon_direction(hour)
    night = _ramp(-sun[1], 0.02, 0.28)
    return _Sun(
        sun=sun,
        moon=moon,
        day=_ramp(sun[1], -0.06, 0.30),
        night=night,
        dusk=torch.exp(-(((sun[1] - 0.03) / 0.17) ** 2)),
        moonlit=night * _ramp(moon[1], -0.05, 0.2),
    )


def _sky_colours(land: Land, blend: Tensor, s: _Sun) -> tuple[Tensor, Tensor]:
    """Zenith and horizon of an open sky: the biome's by day, shared by all at dusk and night."""
    d = blend.device
    zenith_noon, horizon_noon = land.mix("zenith", blend), land.mix("horizon", blend)
    evening_z = 0.30 * zenith_noon + 0.70 * _rgb(d, 0.27, 0.26, 0.47)
    evening_h = 0.25 * horizon_noon + 0.75 * _rgb(d, 0.86, 0.60, 0.55)
    dark_z = 0.05 * zenith_noon + _rgb(d, 0.018, 0.032, 0.095)
    dark_h = 0.07 * horizon_noon + _rgb(d, 0.065, 0.095, 0.19)
    zenith = dark_z + s.day * (zenith_noon - dark_z)
    zenith = zenith + 0.85 * s.dusk * (evening_z - zenith_noon) * s.day
    horizon = dark_h + s.day * (horizon_noon - dark_h)
    horizon = horizon + 0.85 * s.dusk * (evening_h - horizon)
    return zenith + 0.55 * s.dusk * (evening_z - zenith), horizon


def _direct(s: _Sun) -> Tensor:
    """[3, N] light of the sun and the moon above the clouds."""
    d = s.day.device
    warm, white = _rgb(d, 1.05, 0.56, 0.27), _rgb(d, 0.72, 0.68, 0.60)
    sunlight = _ramp(s.sun[1], -0.05, 0.12) * (white + 0.9 * s.dusk * (warm - white))
    return sunlight + s.moonlit * _rgb(d, 0.36, 0.45, 0.62)


def _glow(s: _Sun, dim: Tensor) -> Tensor:
    """[3, N] what the sky takes on around the sun and the moon."""
    d = dim.device
    evening, noon = _rgb(d, 1.0, 0.46, 0.18), _rgb(d, 0.40, 0.37, 0.28)
    sun = (s.dusk * evening + s.day * (1 - s.dusk) * noon) * (1 - 0.92 * dim)
    return sun + s.moonlit * _rgb(d, 0.10, 0.13, 0.20) * (1 - 0.9 * dim)


def air(land: Land, hour: Tensor, weather: Tensor, clock: Tensor, blend: Tensor) -> Air:
    """The light at an hour (float32 [N]) in a weather [N, columns], in the air of the biome."""
    d, s, dim = hour.device, _sun(hour), weather[:, DIM]
    zenith, horizon = _sky_colours(land, blend, s)
    grey = (zenith * 0.35 + horizon * 0.5).mean(0, keepdim=True) * _rgb(d, 0.93, 1.0, 1.09)
    zenith = zenith + dim * (grey * (1.0 - 0.30 * dim) - zenith)
    horizon = horizon + dim * (grey * (1.25 - 0.32 * dim) - horizon)
    bolt = flash(land.seeds, clock, weather[:, STORM])
    sky_flash = bolt * _rgb(d, 0.34, 0.36, 0.46)
    direct = _direct(s)
    ambient = 0.43 * zenith.mean(0, keepdim=True) + 0.20 * zenith + 0.26 * horizon
    ambient = ambient * (1 + 0.45 * s.dusk)
    ambient = ambient + s.night * _rgb(d, 0.165, 0.215, 0.33) + 0.5 * sky_flash
    clouds = direct * 0.50 + ambient * 0.85 + 0.12 * s.day
    clouds = clouds + 0.75 * dim * (grey * 1.25 - clouds)
    is_sun = (s.sun[1] > -0.06).float()
    return Air(
        zenith=zenith + sky_flash,
        horizon=horizon + sky_flash,
        glow=_glow(s, dim),
        light=direct * (1 - 0.85 * dim),
        ambient=ambient,
        sun=s.sun,
        moon=s.moon,
        lamp=is_sun * s.sun + (1 - is_sun) * s.moon,
        day=s.day,
        night=s.night,
        density=land.mix("fog", blend) * (1 + weather[:, HAZE]) * (1 / 260.0),
        mist=land.mix("mist", blend) * (1 + 0.5 * s.dusk),
        flash=bolt,
        clouds=clouds * (1 - 0.45 * dim) + sky_flash,
        weather=weather,
    )
