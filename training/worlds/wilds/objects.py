"""What stands where: trees, rocks, tufts and landmarks, each decided by its cell and the seed.

Nothing is stored: a cell of the plane hashes to what stands in it, so a place shows the same
things whenever, from wherever and in whatever batch it is visited. Not here: drawing (sprites,
billboards).

N worlds, K things around each camera, in an order that depends on its cell alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from training.worlds.wilds import biomes, noise
from training.worlds.wilds.sprites import kind_index, sizes
from training.worlds.wilds.terrain import Land, Place

LANDMARKS = (
    "tower",
    "arch",
    "pyramid",
    "lighthouse",
    "campfire",
    "giant mushroom",
    "ring of stones",
    "floating rock",
)
LANDMARK_CELL = 120.0
LANDMARK_SHARE = 0.62
TREE_CELL, TUFT_CELL, GROVE_CELL = 6.5, 1.9, 17.0
RING = 7
"""Stones of a ring; every landmark cell has as many slots, most of them empty."""
RING_RADIUS = 6.5
GONE = -1
"""Kind of an empty slot."""


@dataclass(frozen=True, kw_only=True)
class Things:
    """K things near each of N cameras; every field [N, K]."""

    dx: Tensor
    """Metres east of the camera."""
    dz: Tensor
    """Metres north of the camera."""
    foot: Tensor
    """Height of the ground they stand on, metres above the water."""
    kind: Tensor
    """Index in `sprites.KINDS`, or GONE."""
    scale: Tensor
    tint: Tensor
    """Brightness of this one, about 1."""
    near: Tensor
    """Fades in from this distance on."""
    far: Tensor
    """Has faded out at this distance."""

    @staticmethod
    def join(parts: list["Things"]) -> "Things":
        names = Things.__dataclass_fields__
        return Things(**{n: torch.cat([getattr(p, n) for p in parts], 1) for n in names})

    def take(self, index: Tensor) -> "Things":
        """Things chosen per camera: index [N, k]."""
        names = Things.__dataclass_fields__
        return Things(**{n: torch.gather(getattr(self, n), 1, index) for n in names})


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The square of cells around each camera: [N, K]."""

    hashed: Tensor
    dx: Tensor
    dz: Tensor


def cells(land: Land, x: Tensor, z: Tensor, size: float, radius: int, salt: int) -> Cells:
    """Hashes and jittered centres (relative to the camera) of (2 radius + 1)^2 cells."""
    span = torch.arange(-radius, radius + 1, device=x.device)
    cx = torch.floor(x / size).long()[:, None] + span.repeat_interleave(2 * radius + 1)
    cz = torch.floor(z / size).long()[:, None] + span.repeat(2 * radius + 1)
    hashed = noise.hash_cells(cx, cz, land.seeds[:, None], salt)
    jx, jz = 0.12 + 0.76 * noise.unit(hashed, 1), 0.12 + 0.76 * noise.unit(hashed, 2)
    dx = ((cx + jx.double()) * size - x[:, None]).float()
    dz = ((cz + jz.double()) * size - z[:, None]).float()
    return Cells(hashed=hashed, dx=dx, dz=dz)


def _pick(land: Land, column: str, blend: Tensor, hashed: Tensor) -> Tensor:
    """One of a biome's three kinds; near a border either biome's."""
    kinds = biomes.bank(land.device)[column]
    biome = torch.where(noise.unit(hashed, 5) < blend, land.second[:, None], land.first[:, None])
    return kinds[hashed % 3, biome]


def _things(c: Cells, foot: Tensor, kind: Tensor, scale: Tensor, near: float, far: float) -> Things:
    return Things(
        dx=c.dx,
        dz=c.dz,
        foot=foot,
        kind=kind,
        scale=scale,
        tint=0.86 + 0.26 * noise.unit(c.hashed, 7),
        near=torch.full_like(foot, near),
        far=torch.full_like(foot, far),
    )


def woods(land: Land, place: Place, x: Tensor, z: Tensor, radius: int) -> Things:
    """Trees and rocks: at most one in a cell of TREE_CELL metres."""
    c = cells(land, x, z, TREE_CELL, radius, salt=21)
    g = land.ground(place, c.dx, c.dz)
    steep = g.slope_x**2 + g.slope_z**2
    grove = (0.55 + 1.5 * g.small + 0.9 * g.broad).clamp(0.05, 1.6)
    dense = land.mix("tree_density", g.blend)
    draw = noise.unit(c.hashed, 3)
    dry = g.height > 0.5
    tree = dry & (steep < 0.55) & (draw < dense * grove)
    rock = ~tree & (g.height > -0.3) & (noise.unit(c.hashed, 4) < land.mix("rock_density", g.blend))
    kind = torch.where(tree, _pick(land, "trees", g.blend, c.hashed), GONE)
    kind = torch.where(rock, _pick(land, "rocks", g.blend, c.hashed), kind)
    size = 0.72 + 0.62 * noise.unit(c.hashed, 6)
    return _things(c, g.height, kind, size, 0.0, (radius - 0.3) * TREE_CELL)


def groves(land: Land, place: Place, x: Tensor, z: Tensor, radius: int) -> Things:
    """Trees seen from afar: the same density at a coarser cell, larger, beyond the near woods."""
    c = cells(land, x, z, GROVE_CELL, radius, salt=22)
    g = land.ground(place, c.dx, c.dz)
    steep = g.slope_x**2 + g.slope_z**2
    grove = (0.55 + 1.5 * g.small + 0.9 * g.broad).clamp(0.05, 1.6)
    dense = (land.mix("tree_density", g.blend) * 2.6).clamp(max=0.9)
    tree = (g.height > 0.5) & (steep < 0.55) & (noise.unit(c.hashed, 3) < dense * grove)
    kind = torch.where(tree, _pick(land, "trees", g.blend, c.hashed), GONE)
    size = 0.9 + 0.6 * noise.unit(c.hashed, 6)
    return _things(c, g.height, kind, size, 46.0, (radius - 0.3) * GROVE_CELL)


def tufts(land: Land, place: Place, x: Tensor, z: Tensor, radius: int) -> Things:
    """Grass, flowers, reeds and pebbles close by."""
    c = cells(land, x, z, TUFT_CELL, radius, salt=23)
    g = land.ground(place, c.dx, c.dz)
    there = (g.height > 0.12) & (g.slope_x**2 + g.slope_z**2 < 0.5)
    there &= noise.unit(c.hashed, 3) < land.mix("tuft_density", g.blend) * (0.75 + g.small)
    kind = torch.where(there, _pick(land, "tufts", g.blend, c.hashed), GONE)
    size = 0.5 + 0.45 * noise.unit(c.hashed, 6)
    return _things(c, g.height, kind, size, 0.0, (radius - 0.3) * TUFT_CELL)


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Landmark sites around each camera; every field [N, K]."""

    cells: Cells
    which: Tensor
    """Index in LANDMARKS, or GONE."""
    foot: Tensor


def sites(land: Land, place: Place, x: Tensor, z: Tensor, radius: int) -> Sites:
    """Which landmark, if any, each cell of LANDMARK_CELL metres holds."""
    c = cells(land, x, z, LANDMARK_CELL, radius, salt=31)
    foot = land.height(place, c.dx, c.dz)
    which = (c.hashed >> 4) % len(LANDMARKS)
    there = (noise.unit(c.hashed, 3) < LANDMARK_SHARE) & (foot > 0.6)
    return Sites(cells=c, which=torch.where(there, which, GONE), foot=foot)


@lru_cache(maxsize=4)
def _kinds(device: str) -> Tensor:
    """[landmarks] what stands there, of a ring each stone."""
    names = ["standing stone" if name == "ring of stones" else name for name in LANDMARKS]
    return torch.tensor([kind_index(name) for name in names], device=device)


def landmarks(land: Land, place: Place, s: Sites, fire: Tensor) -> Things:
    """The sites as things: RING slots each, used by rings of stones and by a fire's flame."""
    device = s.foot.device
    n, k = s.foot.shape
    slot = torch.arange(RING, device=device)
    kind = _kinds(str(device))[s.which.clamp(min=0)][..., None].expand(n, k, RING)
    ring = (s.which == LANDMARKS.index("ring of stones"))[..., None]
    fires = (s.which == LANDMARKS.index("campfire"))[..., None]
    burning = fires & (slot == 1) & (fire > 0.02)[:, None, None]
    shown = (s.which >= 0)[..., None] & ((slot == 0) | ring) | burning
    kind = torch.where(burning, kind_index("flame"), kind)
    angle = slot * (2 * torch.pi / RING) + noise.unit(s.cells.hashed, 6)[..., None]
    out = RING_RADIUS * ring
    dx = (s.cells.dx[..., None] + out * angle.cos()).reshape(n, -1)
    dz = (s.cells.dz[..., None] + out * angle.sin()).reshape(n, -1)
    foot = torch.where(
        ring.expand(n, k, RING).reshape(n, -1),
        land.height(place, dx, dz),
        s.foot.repeat_interleave(RING, 1),
    )
    flame = 0.25 + 0.75 * fire[:, None, None]
    scale = torch.where(burning, flame, 1.0).expand(n, k, RING)
    return Things(
        dx=dx,
        dz=dz - 0.02 * burning.reshape(n, -1),
        foot=foot,
        kind=torch.where(shown, kind, GONE).reshape(n, -1),
        scale=scale.reshape(n, -1),
        tint=torch.ones_like(foot),
        near=torch.zeros_like(foot),
        far=torch.full_like(foot, 420.0),
    )


def trunks(things: Things) -> Tensor:
    """[N, K] radius in metres of what a walker bumps into; 0 where nothing stands."""
    radius = sizes(str(things.dx.device))[2][things.kind.clamp(min=0)]
    return torch.where(things.kind >= 0, radius * things.scale, 0.0)
