"""The twelve biomes: shape of the ground, colours, air, and what grows where. Data, no code paths.

Every number is per biome and is blended along the border between two; nothing in the renderer
asks which biome it is in. `bank(device)` gives the numeric columns as tensors.

Shape: `hills`, `ridges` (metres, over hundreds of metres), `bumps`, `crests` (over tens of metres),
`base` (metres above the water), `terrace` (0 smooth, 1 stepped).
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor

from training.worlds.wilds.sprites import kind_index

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Biome:
    """One landscape. Colours are display RGB under white light."""

    name: str
    hills: float
    ridges: float
    bumps: float
    crests: float
    base: float
    terrace: float = 0.0
    low: Rgb
    """Ground in hollows."""
    high: Rgb
    """Ground on rises."""
    patch: Rgb
    """Irregular patches."""
    rock: Rgb
    """Steep ground."""
    peak: Rgb
    """Ground above `peak_at` metres."""
    peak_at: float = 60.0
    shore: Rgb = (0.72, 0.64, 0.46)
    water: Rgb = (0.10, 0.26, 0.34)
    lava: float = 0.0
    """1: what fills the hollows glows."""
    grain: float = 1.0
    """Contrast of the fine ground texture."""
    zenith: Rgb = (0.20, 0.43, 0.82)
    """Sky overhead at noon."""
    horizon: Rgb = (0.70, 0.83, 0.95)
    """Sky near the horizon at noon."""
    fog: float = 1.0
    """Density of the air, relative."""
    mist: float = 0.15
    """Mist that lies in hollows."""
    skyline: float = 1.0
    """Height of the mountains on the horizon, relative."""
    canopy: Rgb = (0.22, 0.36, 0.18)
    """Colour of far woods."""
    trees: tuple[str, str, str] = ("oak", "linden", "birch")
    tree_density: float = 0.0
    rocks: tuple[str, str, str] = ("rock", "rock", "rock")
    rock_density: float = 0.06
    tufts: tuple[str, str, str] = ("grass", "grass", "flowers")
    tuft_density: float = 0.0


BIOMES: tuple[Biome, ...] = (
    Biome(
        name="meadow",
        hills=20.0,
        ridges=0.0,
        bumps=1.7,
        crests=0.0,
        base=7.0,
        skyline=1.0,
        low=(0.30, 0.52, 0.19),
        high=(0.47, 0.62, 0.26),
        patch=(0.58, 0.64, 0.27),
        rock=(0.50, 0.47, 0.40),
        peak=(0.52, 0.62, 0.30),
        trees=("oak", "linden", "bush"),
        tree_density=0.13,
        tufts=("grass", "flowers", "poppies"),
        tuft_density=0.75,
        rock_density=0.03,
    ),
    Biome(
        name="forest",
        hills=22.0,
        ridges=3.0,
        bumps=2.2,
        crests=0.0,
        base=8.0,
        skyline=0.8,
        low=(0.19, 0.34, 0.14),
        high=(0.27, 0.40, 0.17),
        patch=(0.33, 0.31, 0.17),
        rock=(0.40, 0.38, 0.34),
        peak=(0.30, 0.42, 0.22),
        zenith=(0.25, 0.48, 0.74),
        horizon=(0.72, 0.84, 0.84),
        fog=1.5,
        mist=0.45,
        canopy=(0.15, 0.29, 0.16),
        trees=("fir", "fir", "oak"),
        tree_density=0.72,
        tufts=("grass", "toadstool", "bush"),
        tuft_density=0.4,
    ),
    Biome(
        name="desert",
        hills=12.0,
        ridges=4.0,
        bumps=0.8,
        crests=3.4,
        base=9.0,
        skyline=0.45,
        low=(0.84, 0.65, 0.39),
        high=(0.94, 0.79, 0.52),
        patch=(0.88, 0.69, 0.43),
        rock=(0.78, 0.58, 0.36),
        peak=(0.95, 0.81, 0.55),
        grain=0.5,
        zenith=(0.24, 0.50, 0.86),
        horizon=(0.96, 0.87, 0.70),
        fog=0.9,
        mist=0.05,
        canopy=(0.62, 0.52, 0.32),
        trees=("cactus", "dry bush", "cactus"),
        tree_density=0.05,
        rocks=("red rock", "red rock", "rock"),
        rock_density=0.03,
        tufts=("dry grass", "dry grass", "dry bush"),
        tuft_density=0.06,
    ),
    Biome(
        name="canyon",
        hills=34.0,
        ridges=8.0,
        bumps=1.6,
        crests=0.6,
        base=15.0,
        terrace=0.92,
        skyline=0.9,
        low=(0.73, 0.43, 0.26),
        high=(0.83, 0.54, 0.33),
        patch=(0.64, 0.47, 0.28),
        rock=(0.70, 0.34, 0.20),
        peak=(0.86, 0.63, 0.42),
        peak_at=34.0,
        zenith=(0.22, 0.50, 0.84),
        horizon=(0.90, 0.82, 0.74),
        mist=0.08,
        canopy=(0.50, 0.38, 0.22),
        trees=("dry bush", "cactus", "dead tree"),
        tree_density=0.07,
        rocks=("red rock", "red rock", "red rock"),
        rock_density=0.12,
        tufts=("dry grass", "dry grass", "dry bush"),
        tuft_density=0.16,
    ),
    Biome(
        name="snow mountains",
        hills=24.0,
        ridges=44.0,
        bumps=2.2,
        crests=2.0,
        base=16.0,
        skyline=2.1,
        low=(0.80, 0.85, 0.91),
        high=(0.91, 0.94, 0.98),
        patch=(0.74, 0.80, 0.88),
        rock=(0.39, 0.41, 0.47),
        peak=(0.97, 0.98, 1.0),
        peak_at=34.0,
        shore=(0.72, 0.79, 0.86),
        water=(0.12, 0.30, 0.42),
        grain=0.6,
        zenith=(0.20, 0.42, 0.80),
        horizon=(0.78, 0.87, 0.96),
        fog=0.9,
        mist=0.2,
        canopy=(0.24, 0.34, 0.34),
        trees=("snowy fir", "snowy fir", "fir"),
        tree_density=0.22,
        rocks=("snowy rock", "snowy rock", "rock"),
        rock_density=0.08,
        tufts=("snowy rock", "dry grass", "dry grass"),
        tuft_density=0.06,
    ),
    Biome(
        name="tundra",
        hills=11.0,
        ridges=0.0,
        bumps=1.6,
        crests=0.5,
        base=3.2,
        skyline=1.3,
        low=(0.50, 0.44, 0.29),
        high=(0.62, 0.58, 0.44),
        patch=(0.84, 0.87, 0.89),
        rock=(0.45, 0.44, 0.44),
        peak=(0.87, 0.90, 0.94),
        peak_at=13.0,
        water=(0.20, 0.34, 0.42),
        shore=(0.50, 0.49, 0.46),
        zenith=(0.36, 0.50, 0.70),
        horizon=(0.80, 0.85, 0.90),
        fog=1.2,
        mist=0.3,
        canopy=(0.40, 0.38, 0.28),
        trees=("dry bush", "dead tree", "red bush"),
        tree_density=0.06,
        rocks=("rock", "snowy rock", "rock"),
        rock_density=0.14,
        tufts=("dry grass", "dry grass", "reeds"),
        tuft_density=0.45,
    ),
    Biome(
        name="swamp",
        hills=3.2,
        ridges=0.0,
        bumps=1.5,
        crests=0.0,
        base=0.3,
        skyline=0.3,
        low=(0.20, 0.25, 0.12),
        high=(0.30, 0.35, 0.16),
        patch=(0.34, 0.30, 0.17),
        rock=(0.26, 0.25, 0.18),
        peak=(0.33, 0.38, 0.18),
        shore=(0.24, 0.23, 0.14),
        water=(0.11, 0.16, 0.10),
        zenith=(0.42, 0.50, 0.48),
        horizon=(0.72, 0.76, 0.62),
        fog=2.4,
        mist=0.9,
        canopy=(0.20, 0.25, 0.16),
        trees=("willow", "willow", "dead tree"),
        tree_density=0.34,
        tufts=("reeds", "reeds", "toadstool"),
        tuft_density=0.75,
        rock_density=0.02,
    ),
    Biome(
        name="beach",
        hills=15.0,
        ridges=0.0,
        bumps=0.5,
        crests=0.3,
        base=0.1,
        skyline=0.35,
        low=(0.91, 0.83, 0.62),
        high=(0.88, 0.80, 0.58),
        patch=(0.82, 0.76, 0.53),
        rock=(0.66, 0.60, 0.48),
        peak=(0.42, 0.58, 0.25),
        peak_at=6.0,
        shore=(0.90, 0.83, 0.64),
        water=(0.05, 0.42, 0.52),
        grain=0.45,
        zenith=(0.14, 0.44, 0.88),
        horizon=(0.74, 0.90, 0.97),
        fog=0.7,
        mist=0.05,
        canopy=(0.30, 0.45, 0.22),
        trees=("palm", "palm", "bush"),
        tree_density=0.16,
        tufts=("dry grass", "grass", "dry grass"),
        tuft_density=0.18,
    ),
    Biome(
        name="volcanic land",
        hills=16.0,
        ridges=26.0,
        bumps=2.2,
        crests=1.6,
        base=4.5,
        skyline=1.7,
        low=(0.27, 0.21, 0.21),
        high=(0.38, 0.31, 0.29),
        patch=(0.36, 0.22, 0.17),
        rock=(0.22, 0.18, 0.18),
        peak=(0.42, 0.28, 0.22),
        peak_at=26.0,
        shore=(0.45, 0.18, 0.08),
        water=(1.0, 0.38, 0.06),
        lava=1.0,
        zenith=(0.30, 0.24, 0.27),
        horizon=(0.83, 0.50, 0.34),
        fog=1.6,
        mist=0.25,
        canopy=(0.18, 0.15, 0.14),
        trees=("charred tree", "ember rock", "charred tree"),
        tree_density=0.12,
        rocks=("basalt", "ember rock", "basalt"),
        rock_density=0.22,
        tufts=("basalt", "dry grass", "basalt"),
        tuft_density=0.05,
    ),
    Biome(
        name="crystal plain",
        hills=13.0,
        ridges=3.0,
        bumps=1.0,
        crests=1.6,
        base=4.0,
        skyline=1.2,
        low=(0.28, 0.22, 0.46),
        high=(0.45, 0.34, 0.62),
        patch=(0.22, 0.46, 0.55),
        rock=(0.35, 0.25, 0.50),
        peak=(0.62, 0.50, 0.80),
        peak_at=16.0,
        shore=(0.40, 0.50, 0.68),
        water=(0.12, 0.62, 0.60),
        zenith=(0.26, 0.14, 0.48),
        horizon=(0.90, 0.60, 0.76),
        fog=1.1,
        mist=0.35,
        canopy=(0.34, 0.30, 0.55),
        trees=("blue crystal", "violet crystal", "lantern plant"),
        tree_density=0.22,
        rocks=("violet crystal", "rock", "blue crystal"),
        rock_density=0.03,
        tufts=("glow grass", "glow grass", "glow grass"),
        tuft_density=0.4,
    ),
    Biome(
        name="autumn hills",
        hills=26.0,
        ridges=2.0,
        bumps=2.0,
        crests=0.0,
        base=9.0,
        skyline=1.1,
        low=(0.50, 0.43, 0.17),
        high=(0.66, 0.51, 0.22),
        patch=(0.62, 0.30, 0.13),
        rock=(0.46, 0.40, 0.34),
        peak=(0.68, 0.54, 0.27),
        zenith=(0.32, 0.50, 0.78),
        horizon=(0.93, 0.85, 0.71),
        fog=1.3,
        mist=0.4,
        canopy=(0.60, 0.32, 0.12),
        trees=("orange tree", "red tree", "golden birch"),
        tree_density=0.40,
        tufts=("dry grass", "toadstool", "red bush"),
        tuft_density=0.4,
    ),
    Biome(
        name="ruined city",
        hills=2.5,
        ridges=0.0,
        bumps=0.5,
        crests=0.0,
        base=2.2,
        skyline=0.6,
        low=(0.27, 0.28, 0.30),
        high=(0.35, 0.35, 0.37),
        patch=(0.29, 0.35, 0.24),
        rock=(0.30, 0.30, 0.32),
        peak=(0.36, 0.36, 0.38),
        shore=(0.30, 0.30, 0.30),
        water=(0.10, 0.15, 0.20),
        grain=0.7,
        zenith=(0.30, 0.42, 0.62),
        horizon=(0.76, 0.77, 0.80),
        fog=1.7,
        mist=0.3,
        canopy=(0.26, 0.27, 0.30),
        trees=("block", "high-rise", "street lamp"),
        tree_density=0.20,
        tufts=("dry grass", "rock", "bush"),
        tuft_density=0.14,
        rock_density=0.08,
    ),
)

NAMES: tuple[str, ...] = tuple(biome.name for biome in BIOMES)


@lru_cache(maxsize=4)
def bank(device: str) -> dict[str, Tensor]:
    """Every numeric field by name: [12], colours [3, 12], kinds [3, 12] int64."""
    out: dict[str, Tensor] = {}
    for field in fields(Biome):
        values = [getattr(biome, field.name) for biome in BIOMES]
        if isinstance(values[0], float | int):
            out[field.name] = torch.tensor(values, dtype=torch.float32, device=device)
        elif isinstance(values[0], tuple) and isinstance(values[0][0], str):
            rows = [[kind_index(name) for name in row] for row in values]
            out[field.name] = torch.tensor(rows, device=device).T.contiguous()
        elif isinstance(values[0], tuple):
            out[field.name] = torch.tensor(
                values, dtype=torch.float32, device=device
            ).T.contiguous()
    return out
