"""The shape and the colour of the ground, as functions of place, for many worlds at once.

A world is its seed: two biomes, and the angle and origin at which it reads the noise tile. Places
are given as float64 anchors (where a camera is) plus float32 offsets (where its rays go), so that
nothing loses precision far from the origin and the land has no border.

    land = Land.of(seeds, device)                 # N worlds
    place = land.anchor(x, z)                     # float64 [N]
    h = land.height(place, dx, dz)                # float32 offsets [N, ...] -> metres above water

N worlds; `...` any sample dimensions after it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.worlds.wilds import biomes, noise

MACRO, MESO, MICRO = 2080.0, 236.0, 19.0
"""Metres per noise tile: hills, bumps, ground texture."""
CLOUDS = 1500.0
"""Metres per noise tile of the cloud layer."""
STEP = 10.0
"""Height in metres of one terrace."""
BORDER, SHARPNESS = 0.30, 16.0
"""Where the second biome begins on the broad noise, and how abruptly."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """N anchors in texture space: the tile coordinates [N] of each noise scale."""

    macro: tuple[Tensor, Tensor]
    meso: tuple[Tensor, Tensor]
    micro: tuple[Tensor, Tensor]
    clouds: tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a ray that met the ground finds there; each [N, ...]."""

    height: Tensor
    slope_x: Tensor
    slope_z: Tensor
    blend: Tensor
    """0 in the world's first biome, 1 in its second."""
    broad: Tensor
    small: Tensor
    ridged: Tensor


def spread(values: Tensor, dims: int) -> Tensor:
    """Per-world values [..., N] with trailing axes added until they broadcast over samples."""
    return values.reshape(*values.shape, *([1] * dims))


@dataclass(frozen=True, kw_only=True)
class Land:
    """N worlds' constants. Fields are [N] unless said otherwise."""

    seeds: Tensor
    first: Tensor
    """Index of the biome a walk starts in."""
    second: Tensor
    """Index of the biome beyond the border."""
    turn: Tensor
    """[4, N]: cosine and sine of the macro angle, then of the meso angle."""
    origin: Tensor
    """[4, N] float64: tile origin of macro (u, v) and meso (u, v)."""
    terraced: bool

    @staticmethod
    def of(seeds: Tensor, first: Tensor | None = None, second: Tensor | None = None) -> "Land":
        """The land of each seed; the biomes may be given instead of drawn."""
        zero = torch.zeros_like(seeds)
        h = noise.hash_cells(zero, zero, seeds, 11)
        count = len(biomes.BIOMES)
        if first is None:
            first = h % count
        if second is None:
            second = (first + 1 + (h // 64) % (count - 1)) % count
        angle = torch.stack([noise.unit(h, 1), noise.unit(h, 2)]) * 6.2831853
        turn = torch.stack([angle[0].cos(), angle[0].sin(), angle[1].cos(), angle[1].sin()])
        origin = torch.stack([noise.unit(h, 3 + k) for k in range(4)]).double()
        steps = torch.tensor([b.terrace > 0 for b in biomes.BIOMES], device=seeds.device)
        terraced = bool((steps[first] | steps[second]).any())
        return Land(
            seeds=seeds, first=first, second=second, turn=turn, origin=origin, terraced=terraced
        )

    def rows(self, part: slice) -> "Land":
        """Some of the worlds."""
        return Land(
            seeds=self.seeds[part],
            first=self.first[part],
            second=self.second[part],
            turn=self.turn[:, part],
            origin=self.origin[:, part],
            terraced=self.terraced,
        )

    @property
    def device(self) -> str:
        return str(self.seeds.device)

    def anchor(self, x: Tensor, z: Tensor) -> Place:
        """Where N float64 positions lie on the noise tile, at each scale, folded into one tile."""
        cm, sm, ce, se = self.turn.double()
        u1, v1 = (cm * x - sm * z) / MACRO + self.origin[0], (sm * x + cm * z) / MACRO
        u2, v2 = (ce * x - se * z) / MESO + self.origin[2], (se * x + ce * z) / MESO
        fold = [u1, v1 + self.origin[1], u2, v2 + self.origin[3], x / MICRO, z / MICRO]
        fold += [x / CLOUDS + self.origin[1], z / CLOUDS + self.origin[0]]
        a = [(t - torch.floor(t)).float() for t in fold]
        pairs = [(a[k], a[k + 1]) for k in range(0, 8, 2)]
        return Place(macro=pairs[0], meso=pairs[1], micro=pairs[2], clouds=pairs[3])

    def _macro(self, place: Place, dx: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
        c, s = (spread(t / MACRO, dx.dim() - 1) for t in self.turn[:2])
        u0, v0 = (spread(t, dx.dim() - 1) for t in place.macro)
        return u0 + c * dx - s * dz, v0 + s * dx + c * dz

    def _meso(self, place: Place, dx: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
        c, s = (spread(t / MESO, dx.dim() - 1) for t in self.turn[2:])
        u0, v0 = (spread(t, dx.dim() - 1) for t in place.meso)
        return u0 + c * dx - s * dz, v0 + s * dx + c * dz

    def mix(self, name: str, blend: Tensor) -> Tensor:
        """A biome number [N, ...] or colour [3, N, ...] blended between the two biomes."""
        column = biomes.bank(self.device)[name]
        a = spread(column[..., self.first], blend.dim() - 1)
        b = spread(column[..., self.second], blend.dim() - 1)
        return a + blend * (b - a)

    def _terrace(self, big: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
        """Stepped heights and their derivative by the smooth height."""
        x = big / STEP
        k = torch.floor(x)
        q = ((x - k - 0.36) / 0.28).clamp(0, 1)
        stepped = (k + q * q * (3 - 2 * q)) * STEP
        rise = 6 * q * (1 - q) / 0.28
        return big + amount * (stepped - big), 1 + amount * (rise - 1)

    def height(self, place: Place, dx: Tensor, dz: Tensor, detail: Tensor | float = 1.0) -> Tensor:
        """Metres above the water; `detail` in 0..1 fades what is too fine for its distance."""
        tile = noise.tile(self.device)
        fbm, ridged, broad = noise.sample(tile[:3], *self._macro(place, dx, dz))
        small, crest = noise.sample(tile[:2], *self._meso(place, dx, dz))
        blend = torch.sigmoid((broad - BORDER) * SHARPNESS)
        big = self.mix("hills", blend) * fbm + self.mix("ridges", blend) * ridged
        if self.terraced:
            big, _ = self._terrace(big, self.mix("terrace", blend))
        fine = self.mix("bumps", blend) * small + self.mix("crests", blend) * crest
        return self.mix("base", blend) + big + detail * fine

    def ground(self, place: Place, dx: Tensor, dz: Tensor, detail: Tensor | float = 1.0) -> Ground:
        """Height as above, with its slope and the noise that colours hang on."""
        tile = noise.tile(self.device)
        big_planes = noise.sample(tile[:7], *self._macro(place, dx, dz))
        small_planes = noise.sample(tile[:7], *self._meso(place, dx, dz))
        blend = torch.sigmoid((big_planes[noise.BROAD] - BORDER) * SHARPNESS)
        hills, ridges = self.mix("hills", blend), self.mix("ridges", blend)
        bumps, crests = self.mix("bumps", blend), self.mix("crests", blend)
        big = hills * big_planes[0] + ridges * big_planes[1]
        gu = (hills * big_planes[3] + ridges * big_planes[5]) / MACRO
        gv = (hills * big_planes[4] + ridges * big_planes[6]) / MACRO
        if self.terraced:
            big, rise = self._terrace(big, self.mix("terrace", blend))
            gu, gv = gu * rise, gv * rise
        fu = (bumps * small_planes[3] + crests * small_planes[5]) * (detail / MESO)
        fv = (bumps * small_planes[4] + crests * small_planes[6]) * (detail / MESO)
        cm, sm, ce, se = (spread(t, dx.dim() - 1) for t in self.turn)
        fine = bumps * small_planes[0] + crests * small_planes[1]
        return Ground(
            height=self.mix("base", blend) + big + detail * fine,
            slope_x=cm * gu + sm * gv + ce * fu + se * fv,
            slope_z=cm * gv - sm * gu + ce * fv - se * fu,
            blend=blend,
            broad=small_planes[noise.BROAD],
            small=small_planes[noise.FBM],
            ridged=small_planes[noise.RIDGED],
        )
