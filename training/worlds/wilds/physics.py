"""How a walker moves: one frame of walking, jumping, swimming, sliding along trunks and slopes.

Pure: body and action in, body out. There is no border: positions are float64 and the land goes on.
Without input a standing body does not move at all. Not here: weather and hours (world).

N walkers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.worlds.wilds import objects
from training.worlds.wilds.spec import FORWARD, FPS, JUMP, PITCH, RUN, STRAFE, YAW
from training.worlds.wilds.terrain import Ground, Land, Place

DT = 1.0 / FPS
EYE = 1.7
BODY = 0.35
"""Radius of a walker in metres."""
WALK, SPRINT = 4.2, 7.6
"""Metres per second."""
GRIP, DRIFT = 0.5, 0.08
"""Share of the wished change of velocity taken in one frame, on the ground and in the air."""
LEAP, GRAVITY = 4.8, 12.0
FLOAT_DEPTH = 1.15
"""Metres of a swimmer below the water; deeper water carries."""
SWIM = 0.5
"""Speed in water relative to walking."""
STEEPEST = 1.05
"""Metres up per metre ahead that cannot be climbed any more."""
PITCH_LIMIT = 0.62
"""Radians a walker can look up or down."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """N walkers; every field [N]."""

    x: Tensor
    """float64, metres east."""
    z: Tensor
    """float64, metres north."""
    feet: Tensor
    """Metres above the water."""
    vx: Tensor
    vz: Tensor
    rise: Tensor
    """Metres per second upwards while in the air."""
    airborne: Tensor
    yaw: Tensor
    """Radians clockwise from north, within a turn."""
    pitch: Tensor


def standing(ground: Tensor, lava: Tensor) -> Tensor:
    """Where feet rest over ground of that height: on it, in the water, on the crust of lava."""
    return torch.maximum(ground, -FLOAT_DEPTH * (1 - lava))


def swimming(ground: Tensor, lava: Tensor) -> Tensor:
    """True where the water is deep enough to carry a body."""
    return (ground < -FLOAT_DEPTH) & (lava < 0.5)


def _wish(action: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Wished direction, at most 1 long: east and north."""
    f, s = action[:, FORWARD], action[:, STRAFE]
    long = (f * f + s * s).sqrt().clamp(min=1.0)
    f, s = f / long, s / long
    return f * yaw.sin() + s * yaw.cos(), f * yaw.cos() - s * yaw.sin()


def _push(land: Land, place: Place, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The way out of the trunk, rock or landmark that a body is deepest in."""
    sites = objects.sites(land, place, x, z, 1)
    still = torch.zeros_like(place.macro[0])
    things = objects.Things.join(
        [objects.woods(land, place, x, z, 1), objects.landmarks(land, place, sites, still)]
    )
    radius = objects.trunks(things)
    distance = (things.dx**2 + things.dz**2).sqrt().clamp(min=1e-4)
    inside = torch.where(radius > 0, radius + BODY - distance, -1.0)
    depth, which = inside.max(1, keepdim=True)
    pick = [torch.gather(t, 1, which)[:, 0] for t in (things.dx, things.dz, distance)]
    depth = depth[:, 0].clamp(min=0)
    return -pick[0] / pick[2] * depth, -pick[1] / pick[2] * depth


def _climb(g: Ground, vx: Tensor, vz: Tensor) -> tuple[Tensor, Tensor]:
    """Takes away what leads up a slope too steep to climb."""
    steep2 = g.slope_x**2 + g.slope_z**2
    up = (vx * g.slope_x + vz * g.slope_z) / steep2.clamp(min=1e-6)
    stop = torch.where((steep2 > STEEPEST**2) & (up > 0) & (g.height > -0.5), up, 0.0)
    return vx - stop * g.slope_x, vz - stop * g.slope_z


def step(land: Land, body: Body, action: Tensor) -> Body:
    """One frame under actions [N, A] in the spec's units."""
    turn = torch.deg2rad(action[:, YAW]) * DT
    yaw = torch.remainder(body.yaw + turn, 2 * torch.pi)
    pitch = (body.pitch + torch.deg2rad(action[:, PITCH]) * DT).clamp(-PITCH_LIMIT, PITCH_LIMIT)
    here = torch.zeros_like(body.feet)
    g = land.ground(land.anchor(body.x, body.z), here, here)
    lava = land.mix("lava", g.blend)
    swims = swimming(g.height, lava)
    pace = torch.where(action[:, RUN] > 0.5, SPRINT, WALK)
    steep2 = g.slope_x**2 + g.slope_z**2
    pace = pace / (1 + 0.9 * steep2.clamp(max=2)) * torch.where(swims, SWIM, 1.0)
    # Halfway through the turn, so that undoing the actions in reverse undoes the walk.
    wx, wz = _wish(action, body.yaw + 0.5 * turn)
    grip = torch.where(body.airborne, DRIFT, GRIP)
    vx = body.vx + (wx * pace - body.vx) * grip
    vz = body.vz + (wz * pace - body.vz) * grip
    idle = (wx == 0) & (wz == 0) & (vx * vx + vz * vz < 0.0025)
    vx, vz = torch.where(idle, 0.0, vx), torch.where(idle, 0.0, vz)
    vx, vz = _climb(g, vx, vz)
    x, z = body.x + (vx * DT).double(), body.z + (vz * DT).double()
    out_x, out_z = _push(land, land.anchor(x, z), x, z)
    x, z = x + out_x.double(), z + out_z.double()
    ground = standing(land.height(land.anchor(x, z), here[:, None], here[:, None])[:, 0], lava)
    return _settle(body, action, ground, swims, {"x": x, "z": z, "vx": vx, "vz": vz,
                                                 "yaw": yaw, "pitch": pitch})  # fmt: skip


def _settle(
    body: Body, action: Tensor, ground: Tensor, swims: Tensor, moved: dict[str, Tensor]
) -> Body:
    """The vertical part: following the ground, leaping, falling, landing."""
    leaps = (action[:, JUMP] > 0.5) & ~body.airborne & ~swims
    rise = torch.where(leaps, LEAP, body.rise)
    flying = body.airborne | leaps
    flown = body.feet + rise * DT
    rise = torch.where(flying, rise - GRAVITY * DT, 0.0)
    lands = flying & (flown <= ground) & (rise <= 0)
    airborne = flying & ~lands
    # Feet follow the ground over a few frames, and are never carried under it.
    follow = body.feet + (ground - body.feet) * 0.6
    follow = torch.where((ground - follow).abs() < 0.004, ground, follow)
    feet = torch.where(airborne, torch.maximum(flown, ground), follow)
    return Body(feet=feet, rise=torch.where(airborne, rise, 0.0), airborne=airborne, **moved)
