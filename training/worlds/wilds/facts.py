"""What is true of a world now, in words and numbers: the ground of every caption and of the oracle.

A landmark counts as seen only if it stands within the picture, near enough for the air, and no hill
hides it. Not here: sentences (captions).

N worlds, K landmark sites.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from training.worlds.wilds import biomes, camera, objects, weather
from training.worlds.wilds.physics import swimming
from training.worlds.wilds.scene import Scene
from training.worlds.wilds.sky import fog_share
from training.worlds.wilds.sprites import KINDS, kind_index

if TYPE_CHECKING:
    from training.worlds.wilds.world import State

TIMES = (
    ("night", 4.6),
    ("dawn", 7.2),
    ("morning", 10.8),
    ("noon", 13.3),
    ("afternoon", 16.2),
    ("dusk", 18.7),
    ("night", 24.0),
)
"""Names of the parts of a day and the hour each ends."""
VISIBLE = 0.72
"""A thing is no longer seen when the air takes more of it than this."""
SIDE = 0.16
"""Beyond this share of the half width, a landmark stands left or right rather than ahead."""


def time_name(hour: float) -> str:
    """The part of the day."""
    return next(name for name, end in TIMES if hour < end)


def _tops(device: torch.device) -> Tensor:
    """[landmarks] heights in metres."""
    names = ["standing stone" if n == "ring of stones" else n for n in objects.LANDMARKS]
    return torch.tensor([KINDS[kind_index(n)].height for n in names], device=device)


def _hidden(scene: Scene, place, dx: Tensor, dz: Tensor, top: Tensor) -> Tensor:
    """[N, K]: some ground on the way rises above the line to the top."""
    part = torch.linspace(0.04, 0.94, 24, device=dx.device)
    ground = scene.land.height(place, dx[..., None] * part, dz[..., None] * part)
    eye = scene.camera.eye[:, None, None]
    line = eye + (top[..., None] - eye) * part
    return (ground.clamp(min=0) > line).any(2)


def landmarks_in_view(scene: Scene) -> dict[str, Tensor]:
    """The nearest landmark each camera sees: `which` (or -1), `distance`, `side`; all [N]."""
    land, cam = scene.land, scene.camera
    place = land.anchor(cam.x, cam.z)
    here = torch.zeros_like(cam.eye)
    blend = land.ground(place, here, here).blend
    air = weather.air(land, scene.hour, scene.weather, scene.clock, blend)
    sites = objects.sites(land, place, cam.x, cam.z, 2)
    dx, dz = sites.cells.dx, sites.cells.dz
    s, c = cam.yaw.sin()[:, None], cam.yaw.cos()[:, None]
    ahead, side = dx * s + dz * c, dx * c - dz * s
    distance = (dx * dx + dz * dz).sqrt()
    top = sites.foot + 0.8 * _tops(dx.device)[sites.which.clamp(min=0)]
    fog = fog_share(air, distance, sites.foot + 3, cam.eye)
    tangent = side / ahead.clamp(min=0.1)
    seen = (sites.which >= 0) & (ahead > 3) & (tangent.abs() < 0.70) & (fog < VISIBLE)
    seen &= (distance < 190) & ~_hidden(scene, place, dx, dz, top)
    slope = (top - cam.eye[:, None]) / ahead.clamp(min=0.1)
    low = (sites.foot - cam.eye[:, None]) / ahead.clamp(min=0.1)
    middle = cam.pitch.tan()[:, None]
    seen &= (slope > middle - camera.HALF_HEIGHT) & (low < middle + camera.HALF_HEIGHT)
    best, index = torch.where(seen, distance, torch.inf).min(1)
    pick = [torch.gather(t, 1, index[:, None])[:, 0] for t in (sites.which, tangent)]
    return {
        "which": torch.where(torch.isfinite(best), pick[0], -1),
        "distance": best,
        "side": pick[1] / 0.765,
    }


def water_share(scene: Scene) -> Tensor:
    """[N] share of the picture that is water (or lava), from a coarse look."""
    land, cam = scene.land, scene.camera
    place = land.anchor(cam.x, cam.z)
    view = camera.view(cam, 16, 24)
    z = camera.depths(cam.eye.device)
    surface = land.height(
        place, view.ray_x[..., None] * z, view.ray_z[..., None] * z, camera.detail(z)
    )
    hits = camera.resolve(surface.clamp(min=0), cam.eye, view.slope, view.pixel)
    near = hits.ground & (hits.ahead < 160)
    at = view.ray_x[..., None] * hits.ahead, view.ray_z[..., None] * hits.ahead
    wet = near & (land.height(place, *at, camera.detail(hits.ahead)) < -0.08)
    return wet.float().mean((1, 2))


def _up_in_view(scene: Scene, direction: Tensor) -> Tensor:
    """[N]: a direction in the sky is within the picture."""
    cam = scene.camera
    ahead = direction[0] * cam.yaw.sin() + direction[2] * cam.yaw.cos()
    side = direction[0] * cam.yaw.cos() - direction[2] * cam.yaw.sin()
    slope = direction[1] / ahead.clamp(min=1e-3) - cam.pitch.tan()
    inside = (ahead > 0.05) & ((side / ahead.clamp(min=1e-3)).abs() < 0.72)
    return inside & (slope.abs() < camera.HALF_HEIGHT * 0.95) & (direction[1] > 0.10)


def facts(scene: Scene, state: State) -> list[dict[str, Any]]:
    """One dict per world: names (`biome`, `time`, `weather`, `landmark`, ...) and numbers."""
    land, body = scene.land, state.body
    here = torch.zeros_like(body.feet)
    g = land.ground(land.anchor(body.x, body.z), here, here)
    biome = torch.where(g.blend > 0.5, land.second, land.first)
    marks = landmarks_in_view(scene)
    gap = (state.weather[:, None, :] - weather.table(str(here.device))[None]).abs()
    gap[..., weather.HAZE] /= 9
    present = gap.sum(2).argmin(1)
    open_sky = state.weather[:, weather.DIM] < 0.45
    moon, sun = (
        _up_in_view(scene, f(state.hour)) & open_sky
        for f in (weather.moon_direction, weather.sun_direction)
    )
    columns = {
        "biome": biome, "hour": state.hour, "weather": present, "target": state.target,
        "which": marks["which"], "distance": marks["distance"], "side": marks["side"],
        "water": water_share(scene), "moon": moon, "sun": sun, "fire": state.fire,
        "hurries": state.hours_left > 0,
        "snowpack": state.snowpack, "lava": land.mix("lava", g.blend),
        "swims": swimming(g.height, land.mix("lava", g.blend)) & ~body.airborne,
        "speed": (body.vx**2 + body.vz**2).sqrt(), "airborne": body.airborne,
        "x": body.x, "z": body.z, "feet": body.feet, "seed": land.seeds,
        "yaw": torch.rad2deg(body.yaw), "pitch": torch.rad2deg(body.pitch),
    }  # fmt: skip
    lists = {k: v.tolist() for k, v in columns.items()}
    return [_named({k: v[i] for k, v in lists.items()}) for i in range(len(body.feet))]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers turned into names where a caption needs names."""
    seen = row["which"] >= 0
    name = objects.LANDMARKS[row["which"]] if seen else None
    side = row["side"]
    dark = time_name(row["hour"]) == "night"
    present = weather.NAMES[row["weather"]]
    return {
        "seed": row["seed"],
        "biome": biomes.NAMES[row["biome"]],
        "hour": row["hour"],
        "time": time_name(row["hour"]),
        "weather": "clear" if present == "aurora" and not dark else present,
        "hurrying": row["hurries"],
        "weather_target": weather.NAMES[row["target"]],
        "landmark": name,
        "landmark_distance": row["distance"] if seen else None,
        "landmark_side": None if not seen else _side(side),
        "campfire_burns": row["fire"] > 0.5,
        "snow_lies": row["snowpack"] > 0.4,
        "water_in_view": row["water"] > 0.04 and row["lava"] < 0.5,
        "lava_in_view": row["water"] > 0.04 and row["lava"] >= 0.5,
        "moon_in_view": row["moon"] and dark,
        "sun_in_view": row["sun"] and not dark,
        "swimming": row["swims"],
        "airborne": row["airborne"],
        "speed": row["speed"],
        "pose": [row[k] for k in ("x", "z", "feet", "yaw", "pitch")],
    }


def _side(offset: float) -> str:
    if abs(offset) < SIDE:
        return "ahead"
    return "right" if offset > 0 else "left"
