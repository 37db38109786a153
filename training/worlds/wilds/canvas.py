"""A small painter for sprites: soft-edged shapes with colour, normal and glow, in metres.

Everything that stands on the ground is drawn once on such a canvas and afterwards only looked up.
Normals let one drawing be lit from any side; edges are soft over a texel, so nothing needs
supersampling.

X right and Y up in metres, origin at the foot of the sprite.
"""

from collections.abc import Sequence

import numpy as np

Colour = tuple[float, float, float]


class Canvas:
    """Layers [size, size] of one sprite, multiplied by coverage, painted back to front."""

    def __init__(self, size: int, width: float, height: float) -> None:
        at = (np.arange(size) + 0.5) / size
        self.X = np.broadcast_to((at * 2 - 1)[None, :] * width / 2, (size, size))
        self.Y = np.broadcast_to((1 - at)[:, None] * height, (size, size))
        self.texel = max(width, height) / size
        self.rgb = np.zeros((3, size, size))
        self.alpha = np.zeros((size, size))
        self.normal = np.zeros((2, size, size))
        self.glow = np.zeros((size, size))

    def paint(
        self,
        distance: np.ndarray,
        colour: Colour | np.ndarray,
        *,
        normal: tuple[np.ndarray | float, np.ndarray | float] = (0.0, 0.0),
        glow: float = 0.0,
        opacity: float = 1.0,
        soft: float = 1.0,
    ) -> None:
        """Covers the places where the signed distance (metres) is negative."""
        m = np.clip(0.5 - distance / (self.texel * 1.5 * soft), 0, 1) * opacity
        tint = np.asarray(colour, float)
        tint = tint[:, None, None] if tint.ndim == 1 else tint
        self.alpha += m * (1 - self.alpha)
        self.rgb += m * (tint - self.rgb)
        for plane, value in zip(self.normal, normal, strict=True):
            plane += m * (value - plane)
        self.glow += m * (glow - self.glow)

    def ball(self, x: float, y: float, rx: float, ry: float, colour: Colour, **how: float) -> None:
        """An ellipse lit like a ball."""
        nx, ny = (self.X - x) / rx, (self.Y - y) / ry
        q = np.sqrt(nx * nx + ny * ny)
        self.paint((q - 1) * min(rx, ry), colour, normal=(nx * 0.9, ny * 0.9), **how)

    def limb(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        r0: float,
        r1: float,
        colour: Colour,
        **how: float,
    ) -> None:
        """A tapered round stem from start to end."""
        (x0, y0), (x1, y1) = start, end
        dx, dy = x1 - x0, y1 - y0
        length2 = dx * dx + dy * dy
        t = np.clip(((self.X - x0) * dx + (self.Y - y0) * dy) / length2, 0, 1)
        px, py = self.X - (x0 + t * dx), self.Y - (y0 + t * dy)
        d, r = np.sqrt(px * px + py * py), r0 + (r1 - r0) * t
        scale = 0.9 / np.maximum(r, 1e-3)
        normal = (np.clip(px * scale, -0.9, 0.9), np.clip(py * scale, -0.9, 0.9))
        self.paint(d - r, colour, normal=normal, **how)

    def poly(
        self,
        points: Sequence[tuple[float, float]],
        colour: Colour,
        *,
        normal: tuple[float, float] = (0.0, 0.0),
        **how: float,
    ) -> None:
        """A convex polygon, its corners in counter-clockwise order, as one flat facet."""
        distance = np.full(self.X.shape, -np.inf)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            dx, dy = x1 - x0, y1 - y0
            side = ((self.X - x0) * dy - (self.Y - y0) * dx) / np.hypot(dx, dy)
            distance = np.maximum(distance, side)
        self.paint(distance, colour, normal=normal, **how)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, **how) -> None:
        """An upright rectangle."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, **how)

    def tube(self, x: float, y0: float, y1: float, r0: float, r1: float, colour: Colour) -> None:
        """A standing cylinder or cone with flat ends."""
        t = np.clip((self.Y - y0) / (y1 - y0), 0, 1)
        r = r0 + (r1 - r0) * t
        nx = np.clip((self.X - x) / np.maximum(r, 1e-3), -1, 1)
        inside = np.maximum(np.abs(self.X - x) - r, np.maximum(y0 - self.Y, self.Y - y1))
        self.paint(inside, colour, normal=(nx * 0.95, 0.08))

    def planes(self) -> np.ndarray:
        """[7, size, size]: colour, coverage, normal and glow, all multiplied by coverage."""
        return np.stack([*self.rgb, self.alpha, *self.normal, self.glow])
