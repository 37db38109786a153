"""Where and when a walk begins: on dry, gentle ground of the first biome, near a landmark if any.

Pure functions of the seed, vectorised over worlds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from training.worlds.wilds import biomes, noise, objects, physics, weather
from training.worlds.wilds.physics import Body
from training.worlds.wilds.terrain import Land, Place

if TYPE_CHECKING:
    from training.worlds.wilds.world import State, WildsConfig

TRIES = 40
USUAL = {"clear": 34, "cloudy": 14, "fog": 11, "rain": 13, "snow": 9, "storm": 9, "aurora": 10}
"""Weights of the weather a world starts in."""
DRY = ("desert", "canyon", "volcanic land")
COLD = ("snow mountains", "tundra")


def _choices(names: tuple[str, ...], known: tuple[str, ...], what: str, count: int) -> Tensor:
    if len(names) != count:
        raise ValueError(f"{len(names)} {what}s for {count} worlds; give one for each world")
    for name in names:
        if name not in known:
            raise ValueError(f"no {what} {name!r}; there are {', '.join(known)}")
    return torch.tensor([known.index(name) for name in names])


def _first_weather(land: Land, hour: Tensor, draw: Tensor) -> Tensor:
    """A weather that suits the biome and the hour, drawn by a number in [0, 1)."""
    names = biomes.NAMES
    weights = torch.tensor([float(USUAL[n]) for n in weather.NAMES], device=hour.device)
    table = weights.repeat(len(names), 1)
    snow, rain, storm = (weather.NAMES.index(n) for n in ("snow", "rain", "storm"))
    for name in DRY:
        table[names.index(name), snow] = 1.0
        table[names.index(name), rain] *= 0.5
    for name in COLD:
        table[names.index(name), snow] = 26.0
        table[names.index(name), [rain, storm]] = 3.0
    chosen = table[land.first].clone()
    dark = (hour < 4.6) | (hour > 19.6)
    aurora = weather.NAMES.index("aurora")
    chosen[:, aurora] = torch.where(dark, 2.0, 0.0) * chosen[:, aurora]
    share = chosen.cumsum(1) / chosen.sum(1, keepdim=True)
    return (draw[:, None] >= share).sum(1).clamp(max=len(weather.NAMES) - 1)


def _spot(land: Land) -> tuple[Tensor, Tensor, Tensor]:
    """The best of TRIES places of each world: x, z (float64) and the yaw towards a landmark."""
    n = len(land.seeds)
    best = torch.full((n,), torch.inf, device=land.seeds.device)
    x, z = (torch.zeros(n, dtype=torch.float64, device=best.device) for _ in range(2))
    yaw = torch.zeros_like(best)
    for k in range(TRIES):
        h = noise.hash_cells(torch.full_like(land.seeds, k), land.seeds, land.seeds, 91)
        px = (noise.unit(h, 1).double() - 0.5) * 2600
        pz = (noise.unit(h, 2).double() - 0.5) * 2600
        score, towards = _score(land, px, pz, h)
        better = score < best
        best = torch.where(better, score, best)
        x, z = torch.where(better, px, x), torch.where(better, pz, z)
        yaw = torch.where(better, towards, yaw)
    return x, z, yaw


def _score(land: Land, x: Tensor, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """How bad a place is to begin at, and the yaw from it to the nearest landmark."""
    place = land.anchor(x, z)
    here = torch.zeros(len(x), device=x.device)
    g = land.ground(place, here, here)
    sites = objects.sites(land, place, x, z, 1)
    d2 = torch.where(sites.which >= 0, sites.cells.dx**2 + sites.cells.dz**2, 1e8)
    nearest, which = d2.min(1, keepdim=True)
    dx, dz = (torch.gather(t, 1, which)[:, 0] for t in (sites.cells.dx, sites.cells.dz))
    away = nearest[:, 0].sqrt()
    woods = objects.woods(land, place, x, z, 1)
    gap = (woods.dx**2 + woods.dz**2).sqrt() - objects.trunks(woods)
    gap = torch.where(woods.kind >= 0, gap, 99.0).amin(1)
    steep = (g.slope_x**2 + g.slope_z**2).sqrt()
    score = 30 * g.blend + 40 * (0.6 - g.height).clamp(min=0) + 25 * (steep - 0.25).clamp(min=0)
    score = score + 0.35 * (g.height - 1.9).abs().clamp(max=12)
    score = score + 0.15 * (away - 55).abs().clamp(max=60) + 20 * (2.2 - gap).clamp(min=0)
    score = score + 60 * (18 - away).clamp(min=0)
    drift = (noise.unit(h, 3) - 0.5) * 1.3
    wet, shore = _shore(land, place)
    score = score + torch.where(wet, 0.0, 6.0) + 4 * noise.unit(h, 4)
    towards = torch.where(wet & (noise.unit(h, 5) < 0.4), shore, torch.atan2(dx, dz) + drift)
    return score, towards


def _shore(land: Land, place: Place) -> tuple[Tensor, Tensor]:
    """Whether there is water within sight, and the yaw towards most of it."""
    turn = torch.arange(8, device=land.seeds.device) * (torch.pi / 4)
    away = torch.tensor([14.0, 26.0, 42.0], device=turn.device)
    n = len(land.seeds)
    dx, dz = ((f[:, None] * away).expand(n, 8, 3) for f in (turn.sin(), turn.cos()))
    wet = (land.height(place, dx, dz) < -0.2).float().sum(2)
    most, which = wet.max(1)
    return most > 1.5, turn[which]


def start(seeds: Tensor, config: WildsConfig) -> tuple[Land, State]:
    """The land and the first state of each seed."""
    from training.worlds.wilds.world import State

    n, device = len(seeds), seeds.device
    first = None
    if config.biomes is not None:
        first = _choices(config.biomes, biomes.NAMES, "biome", n).to(device)
    land = Land.of(seeds, first)
    h = noise.hash_cells(torch.zeros_like(seeds), torch.ones_like(seeds), seeds, 92)
    draw = noise.unit(h, 1) * 24
    # Nights are shortened: the sun's share of the clips is larger than its share of a day.
    hour = torch.where(draw < 18, 5 + draw * (14.5 / 18), 19.5 + (draw - 18) * (9.5 / 6)) % 24
    city = land.first == biomes.NAMES.index("ruined city")
    hour = torch.where(city & (noise.unit(h, 2) < 0.6), torch.remainder(19 + hour / 3, 24), hour)
    if config.hours is not None:
        if len(config.hours) != n:
            raise ValueError(f"{len(config.hours)} hours for {n} worlds; give one for each world")
        hour = torch.tensor(config.hours, dtype=torch.float32, device=device)
    target = _first_weather(land, hour, noise.unit(h, 3))
    if config.weathers is not None:
        target = _choices(config.weathers, weather.NAMES, "weather", n).to(device)
    now = weather.table(str(device))[target]
    x, z, yaw = _spot(land)
    zero = torch.zeros(n, device=device)
    g = land.ground(land.anchor(x, z), zero, zero)
    feet = physics.standing(g.height, land.mix("lava", g.blend))
    body = Body(
        x=x, z=z, feet=feet, vx=zero, vz=zero, rise=zero, airborne=zero > 0,
        yaw=torch.remainder(yaw, 2 * torch.pi), pitch=(noise.unit(h, 4) - 0.45) * 0.16,
    )  # fmt: skip
    lit = (noise.unit(h, 5) < 0.6).float()
    state = State(
        body=body, hour=hour, hour_rate=torch.full_like(hour, config.hours_per_second),
        hours_left=zero, clock=(noise.unit(h, 6) * 400).double(), weather=now, target=target,
        snowpack=now[:, weather.SNOW] * 0.8, fire=lit, fire_target=lit,
    )  # fmt: skip
    return land, state
