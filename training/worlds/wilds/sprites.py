"""Every tree, rock, tuft and landmark: its size, its trunk, and how it is drawn.

`KINDS` names them in order; `atlas(device)` paints them all once (about half a second) and stacks
five halving levels, so that a far sprite is looked up already averaged and does not shimmer.
Not here: where they stand (objects), how they reach the screen (billboards).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from training.worlds.wilds.canvas import Canvas, Colour

TILE = 96
LEVELS = 5
PLANES = 7
Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One thing that can stand in the landscape."""

    name: str
    draw: Callable[[Canvas, Rng], None]
    width: float
    """Metres, of the whole drawing."""
    height: float
    trunk: float = 0.0
    """Radius in metres of what a walker bumps into; 0 is walked through."""
    sway: float = 0.0
    """How far the wind bends the top, as a share of the width."""


def _shade(colour: Colour, k: float) -> Colour:
    return (colour[0] * k, colour[1] * k, colour[2] * k)


def _brighter(colour: Colour) -> Colour:
    r, g, b = (min(1.0, channel * 1.35 + 0.08) for channel in colour)
    return (r, g, b)


def _crown(c: Canvas, rng: Rng, tint: Colour, x: float, y: float, rx: float, ry: float, n: int):
    """A leafy crown: overlapping balls, darker below and inside."""
    c.ball(x, y, rx * 0.82, ry * 0.82, _shade(tint, 0.62))
    for _ in range(n):
        a, r = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0.1, 1)) * 0.66
        bx, by = x + rx * r * np.cos(a), y + ry * r * np.sin(a)
        k = 0.82 + 0.3 * (by - y) / ry + rng.uniform(-0.08, 0.08)
        s = rng.uniform(0.26, 0.42)
        c.ball(bx, by, rx * s, ry * s, _shade(tint, k))


def _broadleaf(tint: Colour, bark: Colour = (0.30, 0.22, 0.16)):
    def draw(c: Canvas, rng: Rng) -> None:
        c.limb((0, 0), (0, 4), 0.32, 0.2, bark)
        c.limb((0, 2.6), (-1.2, 4.2), 0.16, 0.1, bark)
        c.limb((0, 2.8), (1.3, 4.4), 0.16, 0.1, bark)
        _crown(c, rng, tint, 0, 5.2, 2.75, 2.5, 42)

    return draw


def _birch(tint: Colour):
    def draw(c: Canvas, rng: Rng) -> None:
        c.limb((0, 0), (0.15, 7), 0.17, 0.07, (0.86, 0.85, 0.82))
        for y in np.arange(0.4, 5, 0.55):
            side = 0.1 * rng.choice([-1, 1])
            c.box(side - 0.07, y, side + 0.05, y + 0.1, (0.25, 0.24, 0.23))
        _crown(c, rng, tint, 0.1, 5.4, 1.55, 2.5, 34)

    return draw


def _conifer(tint: Colour, snow: float = 0.0):
    def draw(c: Canvas, rng: Rng) -> None:
        c.limb((0, 0), (0, 3), 0.22, 0.15, (0.27, 0.20, 0.15))
        tiers = 8
        for k in range(tiers):
            y = 1.0 + k * 1.0
            w = 2.1 * (1 - k / (tiers + 0.6))
            tone = _shade(tint, 0.66 + 0.34 * k / tiers + rng.uniform(-0.04, 0.04))
            left, right = -w * rng.uniform(0.9, 1.05), w * rng.uniform(0.9, 1.05)
            c.poly([(left, y), (0, y - 0.15), (0, y + 1.9)], tone, normal=(-0.55, 0.35))
            c.poly([(0, y - 0.15), (right, y), (0, y + 1.9)], tone, normal=(0.55, 0.35))
            if snow:
                white = (0.90, 0.93, 0.98)
                tip = [(left * 0.78, y + 0.16), (0.1, y + 0.55), (0, y + 1.7)]
                c.poly(tip, white, normal=(-0.4, 0.7), opacity=snow)
                tip = [(-0.1, y + 0.55), (right * 0.7, y + 0.2), (0, y + 1.7)]
                c.poly(tip, white, normal=(0.4, 0.7), opacity=snow)

    return draw


def _palm(c: Canvas, rng: Rng) -> None:
    bark = (0.48, 0.38, 0.27)
    c.limb((0, 0), (0.35, 2.6), 0.2, 0.15, bark)
    c.limb((0.35, 2.6), (0.15, 5.2), 0.15, 0.12, bark)
    for a in np.linspace(-0.25, np.pi + 0.25, 9):
        ex, ey = 0.15 + 1.9 * np.cos(a), 5.3 + 1.1 * np.sin(a)
        tone = _shade((0.24, 0.47, 0.20), rng.uniform(0.8, 1.2))
        c.limb((0.15, 5.2), ((0.15 + ex) / 2, (5.4 + ey) / 2 + 0.25), 0.1, 0.2, tone)
        c.limb(((0.15 + ex) / 2, (5.4 + ey) / 2 + 0.25), (ex, ey - 0.45), 0.2, 0.05, tone)
    c.ball(0.15, 5.1, 0.25, 0.2, (0.35, 0.25, 0.15))


def _dead(bark: Colour):
    def draw(c: Canvas, rng: Rng) -> None:
        c.limb((0, 0), (0.1, 3), 0.28, 0.18, bark)
        c.limb((0.1, 3), (-0.2, 5.4), 0.18, 0.05, bark)
        for y, s in ((1.9, 1), (2.6, -1), (3.3, 1), (3.9, -1)):
            x = s * rng.uniform(0.9, 1.6)
            c.limb((0.1, y), (x, y + rng.uniform(0.7, 1.3)), 0.11, 0.04, bark)
            c.limb((x * 0.6, y + 0.5), (x * 0.9, y + 1.7), 0.06, 0.03, bark)

    return draw


def _willow(c: Canvas, rng: Rng) -> None:
    c.limb((0, 0), (0.1, 3.4), 0.5, 0.3, (0.22, 0.18, 0.14))
    _crown(c, rng, (0.25, 0.33, 0.18), 0, 4.2, 2.6, 1.5, 30)
    for x in np.linspace(-2.5, 2.5, 17):
        tone = _shade((0.27, 0.36, 0.20), rng.uniform(0.7, 1.1))
        c.limb((x, 4.0), (x * 1.08, rng.uniform(1.1, 2.4)), 0.17, 0.05, tone)


def _cactus(c: Canvas, rng: Rng) -> None:
    green = (0.30, 0.46, 0.27)
    c.limb((0, 0), (0, 3.1), 0.3, 0.28, green)
    c.limb((0, 1.3), (-0.85, 1.5), 0.2, 0.2, green)
    c.limb((-0.85, 1.5), (-0.85, 2.5), 0.2, 0.18, green)
    c.limb((0, 1.7), (0.8, 1.9), 0.18, 0.18, green)
    c.limb((0.8, 1.9), (0.8, 2.7), 0.18, 0.16, green)


def _bush(tint: Colour):
    def draw(c: Canvas, rng: Rng) -> None:
        _crown(c, rng, tint, 0, 0.55, 0.85, 0.6, 24)

    return draw


def _tuft(tint: Colour, tip: Colour, spots: Colour | None = None):
    def draw(c: Canvas, rng: Rng) -> None:
        for x in np.linspace(-0.36, 0.36, 15):
            lean = x * 1.15 + rng.uniform(-0.1, 0.1)
            top = rng.uniform(0.4, 0.72) * (1 - abs(x) * 0.7)
            tone = tint if rng.uniform() < 0.6 else tip
            c.limb((x * 0.7, 0), (lean, top), 0.035, 0.012, tone)
            if spots and rng.uniform() < 0.4:
                c.ball(lean, top, 0.075, 0.065, spots)

    return draw


def _rock(tint: Colour, cap: Colour | None = None, glow: Colour | None = None):
    def draw(c: Canvas, rng: Rng) -> None:
        c.ball(0, 0.35, 1.25, 0.8, _shade(tint, 0.72))
        for _ in range(9):
            x, y = rng.uniform(-0.75, 0.75), rng.uniform(0.2, 0.75)
            k, s = rng.uniform(0.85, 1.12), rng.uniform(0.25, 0.5)
            c.ball(x, y, s * 1.2, s * 0.8, _shade(tint, k))
        if cap:
            c.ball(0, 1.0, 0.85, 0.28, cap)
            c.ball(0.35, 0.85, 0.55, 0.22, cap)
        if glow:
            c.limb((-0.7, 0.2), (0.1, 0.7), 0.06, 0.04, glow, glow=1.0)
            c.limb((0.1, 0.7), (0.6, 0.4), 0.05, 0.03, glow, glow=1.0)

    return draw


def _crystal(tint: Colour):
    def draw(c: Canvas, rng: Rng) -> None:
        for x, h, w in ((-0.8, 2.0, 0.34), (0.85, 2.4, 0.38), (0.35, 3.1, 0.4), (-0.2, 4.3, 0.55)):
            lean, bright = x * 0.45, _brighter(tint)
            left = [(x - w, 0), (x, 0), (x + lean, h), (x + lean - w * 0.7, h * 0.72)]
            right = [(x, 0), (x + w, 0), (x + lean + w * 0.6, h * 0.75), (x + lean, h)]
            c.poly(left, bright, normal=(-0.6, 0.3), glow=0.38)
            c.poly(right, _shade(tint, 0.8), normal=(0.6, 0.2), glow=0.26)

    return draw


def _alien(c: Canvas, rng: Rng) -> None:
    c.limb((0, 0), (0.2, 2.4), 0.14, 0.08, (0.35, 0.25, 0.50))
    c.ball(0.2, 2.7, 0.75, 0.6, (0.35, 0.75, 0.72), glow=0.25)
    for x in (-0.35, 0.0, 0.4):
        c.ball(0.2 + x, 2.75, 0.14, 0.12, (0.80, 1.0, 0.85), glow=0.8)


def _mushroom(stem: Colour, cap: Colour, spot: Colour):
    """Drawn for a height of one; scaled by the kind's size."""

    def draw(c: Canvas, rng: Rng) -> None:
        h = float(c.Y.max())
        c.limb((0, 0), (0, h * 0.66), h * 0.10, h * 0.07, stem)
        ny = (c.Y - h * 0.60) / (h * 0.38)
        nx = c.X / (h * 0.48)
        q = np.sqrt(nx * nx + ny * ny)
        dome = np.maximum((q - 1) * h * 0.38, h * 0.60 - c.Y)
        c.paint(dome, cap, normal=(nx * 0.8, np.clip(ny, 0, 1) * 0.9))
        for x, y, r in (
            (-0.25, 0.72, 0.055),
            (0.06, 0.86, 0.06),
            (0.27, 0.70, 0.05),
            (0, 0.69, 0.04),
        ):
            c.ball(h * x, h * y, h * r, h * r * 0.8, spot)
        c.box(-h * 0.44, h * 0.585, h * 0.44, h * 0.615, _shade(cap, 0.55))

    return draw


def _building(width: float, height: float, tone: Colour, lit: float):
    def draw(c: Canvas, rng: Rng) -> None:
        w = width / 2
        c.box(-w, 0, w * 0.2, height, tone, normal=(-0.45, 0.1))
        c.box(w * 0.2, 0, w, height, _shade(tone, 0.75), normal=(0.75, 0.1))
        for x in np.linspace(-w * 0.9, w * 0.8, 4):
            broken = height - rng.uniform(0, height * 0.16)
            c.box(x, broken - 0.3, x + w * 0.35, broken, _shade(tone, 0.55))
        for y in np.arange(1.6, height - 1.6, 2.2):
            for x in (-0.78, -0.44, -0.1, 0.38, 0.7):
                on = rng.uniform() < lit
                glass = (1.0, 0.80, 0.42) if on else (0.10, 0.12, 0.16)
                c.box(x * w, y, x * w + w * 0.2, y + 1.15, glass, glow=0.95 if on else 0.0)

    return draw


def _lamp(c: Canvas, rng: Rng) -> None:
    c.limb((0, 0), (0, 3.6), 0.07, 0.05, (0.20, 0.21, 0.23))
    c.limb((0, 3.6), (0.55, 3.75), 0.05, 0.04, (0.20, 0.21, 0.23))
    c.ball(0.55, 3.6, 0.5, 0.42, (1.0, 0.75, 0.4), glow=0.7, opacity=0.35, soft=6)
    c.ball(0.55, 3.62, 0.18, 0.15, (1.0, 0.92, 0.7), glow=1.0)


def _tower(c: Canvas, rng: Rng) -> None:
    stone = (0.58, 0.55, 0.50)
    c.tube(0, 0, 15, 2.6, 2.1, stone)
    for y in np.arange(0.9, 15, 1.3):
        c.box(-2.5, y, 2.5, y + 0.14, (0.42, 0.40, 0.37), opacity=0.45)
    c.tube(0, 14.4, 16.2, 2.7, 2.7, _shade(stone, 1.08))
    for x in (-2.2, -0.75, 0.75, 2.2):
        c.box(x - 0.45, 16.1, x + 0.45, 17.2, stone, normal=(x * 0.3, 0.1))
    for x, y in ((-0.7, 4.2), (0.6, 8.0), (-0.3, 11.6)):
        c.box(x - 0.25, y, x + 0.25, y + 1.4, (1.0, 0.74, 0.38), glow=0.55)
    c.poly([(-0.8, 0), (0.8, 0), (0.8, 1.9), (0, 2.7), (-0.8, 1.9)], (0.20, 0.16, 0.13))


def _arch(c: Canvas, rng: Rng) -> None:
    q = np.sqrt((c.X / 5.2) ** 2 + (c.Y / 9.6) ** 2)
    hole = np.sqrt((c.X / 3.2) ** 2 + (c.Y / 7.0) ** 2)
    lumps = 0.3 * np.sin(c.X * 2.1) * np.cos(c.Y * 1.7)
    d = np.maximum((q - 1) * 5.2, (1 - hole) * 3.2) + lumps
    band = 0.86 + 0.14 * np.sin(c.Y * 2.2)
    tint = np.stack([0.70 * band, 0.50 * band, 0.38 * band])
    mid = (q - 1) * 2.5 + (hole - 1) * 2
    c.paint(d, tint, normal=(np.clip(c.X / 5, -1, 1) * 0.8 * np.sign(mid + 0.6), 0.25))


def _pyramid(c: Canvas, rng: Rng) -> None:
    stone = (0.83, 0.70, 0.47)
    c.poly([(-10, 0), (2.2, 0), (0, 13)], stone, normal=(-0.5, 0.5))
    c.poly([(2.2, 0), (10, 0), (0, 13)], _shade(stone, 0.9), normal=(0.75, 0.45))
    for y in np.arange(1.0, 12.5, 1.15):
        w = 10 * (1 - y / 13)
        c.box(-w, y, w, y + 0.13, _shade(stone, 0.7), opacity=0.5)
    c.poly([(-1.3, 11.3), (1.3, 11.3), (0, 13)], (1.0, 0.88, 0.50), normal=(0, 0.6), glow=0.25)


def _lighthouse(c: Canvas, rng: Rng) -> None:
    white, red = (0.93, 0.92, 0.89), (0.78, 0.20, 0.17)
    for k in range(6):
        y0, y1 = k * 2.5, (k + 1) * 2.5
        r0, r1 = 2.0 - 0.13 * k, 2.0 - 0.13 * (k + 1)
        c.tube(0, y0, y1, r0, r1, red if k % 2 else white)
    c.tube(0, 15, 15.4, 1.8, 1.8, (0.25, 0.25, 0.28))
    c.ball(0, 16.3, 1.9, 1.7, (1.0, 0.92, 0.6), glow=0.8, opacity=0.3, soft=12)
    c.box(-0.95, 15.4, 0.95, 17.2, (1.0, 0.95, 0.70), glow=1.0)
    c.poly([(-1.3, 17.2), (1.3, 17.2), (0, 18.6)], red, normal=(0, 0.5))


def _campfire(c: Canvas, rng: Rng) -> None:
    wood = (0.30, 0.20, 0.13)
    for a in (-0.8, -0.3, 0.35, 0.85):
        c.limb((a, 0.08), (-a * 0.25, 0.6), 0.1, 0.08, wood)
    for x in np.linspace(-1.1, 1.1, 7):
        c.ball(x, 0.1, 0.2, 0.15, (0.45, 0.44, 0.43))


def _flame(c: Canvas, rng: Rng) -> None:
    c.ball(0, 0.8, 1.1, 1.0, (1.0, 0.50, 0.15), glow=1.0, opacity=0.35, soft=16)
    for x, w, h in ((-0.3, 0.3, 1.2), (0.3, 0.28, 1.05), (0, 0.4, 1.75)):
        c.limb((x, 0.25), (x * 0.5, h), w, 0.03, (1.0, 0.48, 0.10), glow=1.0)
        c.limb((x, 0.2), (x * 0.5, h * 0.66), w * 0.6, 0.03, (1.0, 0.80, 0.28), glow=1.0)
    c.limb((0, 0.2), (0, 0.75), 0.2, 0.04, (1.0, 0.97, 0.75), glow=1.0)


def _monolith(c: Canvas, rng: Rng) -> None:
    tint = (0.52, 0.53, 0.52)
    c.poly([(-0.85, 0), (0.3, 0), (0.2, 3.9), (-0.55, 4.1)], tint, normal=(-0.4, 0.15))
    c.poly([(0.3, 0), (0.9, 0), (0.65, 3.6), (0.2, 3.9)], _shade(tint, 0.8), normal=(0.7, 0.1))
    c.ball(-0.3, 1.2, 0.4, 0.3, (0.40, 0.46, 0.32), opacity=0.7, soft=4)
    c.ball(0.2, 2.8, 0.3, 0.4, (0.42, 0.48, 0.34), opacity=0.6, soft=4)


def _floating(c: Canvas, rng: Rng) -> None:
    rock = (0.47, 0.42, 0.40)
    for x, y, r in (
        (0, 8.6, 2.6),
        (-1.7, 9.3, 1.7),
        (1.8, 9.4, 1.8),
        (0.3, 6.9, 1.5),
        (0.1, 5.6, 0.8),
    ):
        c.ball(x, y, r, r * 0.95, _shade(rock, rng.uniform(0.9, 1.1)))
    c.ball(0, 10.6, 3.7, 0.95, (0.34, 0.52, 0.24))
    c.limb((0.8, 11), (0.8, 12.6), 0.15, 0.1, (0.30, 0.22, 0.16))
    _crown(c, rng, (0.30, 0.50, 0.24), 0.8, 13.2, 1.5, 1.2, 18)
    c.limb((-1.8, 10), (-1.9, 5.8), 0.13, 0.1, (0.75, 0.88, 0.97), glow=0.15, opacity=0.8)


GREEN, AUTUMN, WARM = (0.27, 0.46, 0.20), (0.84, 0.42, 0.13), (0.80, 0.62, 0.17)
TREE = {"width": 6.4, "height": 8.2, "trunk": 0.45, "sway": 0.02}
FIR = {"width": 4.6, "height": 10.2, "trunk": 0.4, "sway": 0.012}
ROCK = {"width": 2.7, "height": 1.4, "trunk": 0.8}
TUFT = {"width": 1.1, "height": 0.8, "sway": 0.06}
BUSH = {"width": 2.0, "height": 1.3, "sway": 0.02}

KINDS: tuple[Kind, ...] = (
    Kind(name="oak", draw=_broadleaf(GREEN), **TREE),
    Kind(name="linden", draw=_broadleaf((0.38, 0.53, 0.22)), **TREE),
    Kind(name="orange tree", draw=_broadleaf(AUTUMN), **TREE),
    Kind(name="red tree", draw=_broadleaf((0.70, 0.22, 0.14)), **TREE),
    Kind(name="birch", draw=_birch((0.42, 0.56, 0.25)), **(TREE | {"width": 4.0, "trunk": 0.3})),
    Kind(name="golden birch", draw=_birch(WARM), **(TREE | {"width": 4.0, "trunk": 0.3})),
    Kind(name="fir", draw=_conifer((0.15, 0.33, 0.21)), **FIR),
    Kind(name="snowy fir", draw=_conifer((0.20, 0.33, 0.30), snow=0.9), **FIR),
    Kind(name="palm", draw=_palm, width=5.0, height=6.8, trunk=0.35, sway=0.03),
    Kind(name="dead tree", draw=_dead((0.30, 0.26, 0.24)), width=4.0, height=5.8, trunk=0.35),
    Kind(name="charred tree", draw=_dead((0.10, 0.09, 0.09)), width=4.0, height=5.8, trunk=0.35),
    Kind(name="willow", draw=_willow, **(TREE | {"height": 6.2, "trunk": 0.6})),
    Kind(name="cactus", draw=_cactus, width=2.6, height=3.6, trunk=0.4),
    Kind(name="bush", draw=_bush((0.29, 0.44, 0.20)), **BUSH),
    Kind(name="dry bush", draw=_bush((0.52, 0.43, 0.26)), **BUSH),
    Kind(name="red bush", draw=_bush((0.62, 0.28, 0.16)), **BUSH),
    Kind(name="grass", draw=_tuft((0.33, 0.55, 0.20), (0.48, 0.66, 0.28)), **TUFT),
    Kind(
        name="flowers", draw=_tuft((0.33, 0.53, 0.2), (0.4, 0.6, 0.25), (0.96, 0.85, 0.35)), **TUFT
    ),
    Kind(
        name="poppies", draw=_tuft((0.33, 0.53, 0.2), (0.4, 0.6, 0.25), (0.90, 0.28, 0.25)), **TUFT
    ),
    Kind(name="dry grass", draw=_tuft((0.62, 0.52, 0.30), (0.74, 0.64, 0.38)), **TUFT),
    Kind(
        name="reeds",
        draw=_tuft((0.34, 0.42, 0.22), (0.45, 0.47, 0.25), (0.38, 0.25, 0.15)),
        **(TUFT | {"height": 1.5}),
    ),
    Kind(
        name="glow grass",
        draw=_tuft((0.20, 0.45, 0.50), (0.45, 0.30, 0.65), (0.55, 1.0, 0.90)),
        **TUFT,
    ),
    Kind(name="rock", draw=_rock((0.50, 0.49, 0.48)), **ROCK),
    Kind(name="red rock", draw=_rock((0.66, 0.40, 0.27)), **ROCK),
    Kind(name="snowy rock", draw=_rock((0.45, 0.46, 0.50), cap=(0.92, 0.95, 1.0)), **ROCK),
    Kind(name="basalt", draw=_rock((0.19, 0.17, 0.18)), **ROCK),
    Kind(name="ember rock", draw=_rock((0.17, 0.15, 0.15), glow=(1.0, 0.42, 0.10)), **ROCK),
    Kind(name="blue crystal", draw=_crystal((0.25, 0.66, 0.85)), width=3.4, height=4.6, trunk=0.9),
    Kind(
        name="violet crystal", draw=_crystal((0.62, 0.32, 0.85)), width=3.4, height=4.6, trunk=0.9
    ),
    Kind(name="lantern plant", draw=_alien, width=2.4, height=3.6, trunk=0.25, sway=0.03),
    Kind(
        name="toadstool",
        draw=_mushroom((0.86, 0.82, 0.72), (0.72, 0.22, 0.18), (0.95, 0.92, 0.85)),
        width=0.9,
        height=0.8,
    ),
    Kind(
        name="block",
        draw=_building(9.0, 13.0, (0.34, 0.35, 0.40), 0.34),
        width=9.4,
        height=13.4,
        trunk=4.0,
    ),
    Kind(
        name="high-rise",
        draw=_building(8.0, 25.0, (0.28, 0.30, 0.36), 0.28),
        width=8.4,
        height=25.6,
        trunk=3.8,
    ),
    Kind(name="street lamp", draw=_lamp, width=2.4, height=4.4, trunk=0.2),
    Kind(name="tower", draw=_tower, width=6.4, height=17.6, trunk=2.7),
    Kind(name="arch", draw=_arch, width=11.6, height=10.6, trunk=0.0),
    Kind(name="pyramid", draw=_pyramid, width=20.6, height=13.4, trunk=8.5),
    Kind(name="lighthouse", draw=_lighthouse, width=5.2, height=18.9, trunk=2.2),
    Kind(name="campfire", draw=_campfire, width=2.8, height=1.0, trunk=0.8),
    Kind(
        name="giant mushroom",
        draw=_mushroom((0.88, 0.83, 0.74), (0.80, 0.24, 0.20), (0.97, 0.94, 0.88)),
        width=9.6,
        height=9.6,
        trunk=1.0,
    ),
    Kind(name="standing stone", draw=_monolith, width=2.2, height=4.3, trunk=0.9),
    Kind(name="floating rock", draw=_floating, width=8.2, height=15.0, trunk=0.0),
    Kind(name="flame", draw=_flame, width=2.6, height=2.2),
)

NAMES: tuple[str, ...] = tuple(kind.name for kind in KINDS)


def kind_index(name: str) -> int:
    """Position of a kind in `KINDS`."""
    return NAMES.index(name)


def _halve(planes: np.ndarray) -> np.ndarray:
    c, h, w = planes.shape
    return planes.reshape(c, h // 2, 2, w // 2, 2).mean((2, 4))


@lru_cache(maxsize=1)
def _painted() -> np.ndarray:
    """The atlas [7, rows, kinds * TILE]: level k lies below level k-1, its tiles TILE >> k wide."""
    rows = sum(TILE >> k for k in range(LEVELS))
    out = np.zeros((PLANES, rows, len(KINDS) * TILE), np.float32)
    for i, kind in enumerate(KINDS):
        canvas = Canvas(TILE, kind.width, kind.height)
        kind.draw(canvas, np.random.default_rng(1000 + i))
        planes, row = canvas.planes(), 0
        for level in range(LEVELS):
            size = TILE >> level
            out[:, row : row + size, i * size : (i + 1) * size] = planes
            planes, row = _halve(planes), row + size
    return out


@lru_cache(maxsize=4)
def atlas(device: str) -> Tensor:
    """[7, rows, columns] on a device: colour, coverage, normal x and y, glow (premultiplied)."""
    return torch.from_numpy(_painted()).to(device)


@lru_cache(maxsize=4)
def sizes(device: str) -> Tensor:
    """[4, kinds]: width, height, trunk, sway."""
    rows = [[getattr(k, f) for k in KINDS] for f in ("width", "height", "trunk", "sway")]
    return torch.tensor(rows, dtype=torch.float32, device=device)
