"""How everything on the screen looks: colours, type, spacing and translucent panels.

Sizes are given for a window 768 pixels high and scale with it. Every function returns a new
`pygame.Surface` with alpha; nothing here touches the screen, so it works without a display.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pygame

FONT_DIR = Path(__file__).resolve().parents[2] / "assets" / "fonts"

Colour = tuple[int, int, int] | tuple[int, int, int, int]
TEXT: Colour = (240, 242, 245)
MUTED: Colour = (163, 171, 184)
FAINT: Colour = (104, 112, 126)
ACCENT: Colour = (255, 193, 92)
GOOD: Colour = (126, 214, 161)
BAD: Colour = (255, 116, 104)
GLASS: Colour = (13, 15, 20, 196)
SOLID: Colour = (13, 15, 20, 244)
LINE: Colour = (255, 255, 255, 26)
RAISED: Colour = (255, 255, 255, 18)
BACKDROP: Colour = (17, 19, 25, 255)

SIZES = {"small": 13, "body": 16, "head": 22, "title": 40}
REFERENCE_HEIGHT = 768
_FALLBACK = "notosanscjkjp,notosanscjksc,notosans,arialunicodems,msgothic,dejavusans"


class Theme:
    """The look at one scale; cheap to make, so a resize makes another."""

    def __init__(self, width: int, height: int) -> None:
        scale = min(height / REFERENCE_HEIGHT, width / 1024)
        self.scale = min(4.0, max(0.75, scale))
        self.gap = self.px(12)

    def px(self, size: float) -> int:
        return max(1, round(size * self.scale))

    def text(
        self, text: str, size: str = "body", colour: Colour = TEXT, *, bold: bool = False
    ) -> pygame.Surface:
        """One line."""
        return _text(text, self.px(SIZES[size]), tuple(colour), bold)

    def line(self, size: str = "body") -> int:
        """Height from one line to the next."""
        return round(self.px(SIZES[size]) * 1.45)

    def width(self, text: str, size: str = "body", *, bold: bool = False) -> int:
        return font(self.px(SIZES[size]), bold).size(text)[0]

    def wrapped(
        self,
        text: str,
        width: int,
        size: str = "body",
        colour: Colour = TEXT,
        *,
        bold: bool = False,
        centre: bool = False,
        most: int = 0,
    ) -> pygame.Surface:
        """A paragraph no wider than `width`; line breaks in the text stay.

        Of a text with more than `most` lines the rest gives way to an ellipsis.
        """
        lines = [
            line
            for paragraph in text.split("\n")
            for line in _wrap(paragraph, width, font(self.px(SIZES[size]), bold))
        ]
        if most and len(lines) > most:
            lines = [*lines[: most - 1], self.cut(lines[most - 1] + " …", width, size, bold=bold)]
        pictures = [self.text(line, size, colour, bold=bold) for line in lines]
        widest = max((p.get_width() for p in pictures), default=1)
        surface = blank(widest, self.line(size) * max(1, len(pictures)))
        for i, picture in enumerate(pictures):
            x = (widest - picture.get_width()) // 2 if centre else 0
            surface.blit(picture, (x, i * self.line(size)))
        return surface

    def cut(self, text: str, width: int, size: str = "body", *, bold: bool = False) -> str:
        """The text, ended with an ellipsis where it is too long for one line."""
        while self.width(text, size, bold=bold) > width and len(text) > 1:
            text = text.rstrip(" …")[:-1].rstrip() + "…"
        return text

    def panel(
        self, width: int, height: int, fill: Colour = GLASS, *, radius: float = 10
    ) -> pygame.Surface:
        """A rounded translucent sheet with a hair line round it."""
        return rounded(width, height, self.px(radius), tuple(fill), LINE).copy()

    def key(self, label: str, size: str = "small") -> pygame.Surface:
        """A key cap."""
        text = self.text(label, size, TEXT, bold=True)
        pad = self.px(7)
        height = text.get_height() + self.px(5)
        cap = rounded(
            max(height, text.get_width() + 2 * pad), height, self.px(5), RAISED, (255,) * 3 + (60,)
        ).copy()
        cap.blit(text, ((cap.get_width() - text.get_width()) // 2, self.px(2)))
        return cap

    def bar(self, width: int, share: float, colour: Colour = ACCENT) -> pygame.Surface:
        """A progress bar."""
        height = self.px(5)
        surface = rounded(width, height, height // 2, RAISED, None).copy()
        done = round(width * min(1.0, max(0.0, share)))
        if done >= height:
            surface.blit(rounded(done, height, height // 2, tuple(colour), None), (0, 0))
        return surface


def blank(width: int, height: int) -> pygame.Surface:
    return pygame.Surface((max(1, width), max(1, height)), pygame.SRCALPHA)


def stack(pictures: list[pygame.Surface], gap: int, *, centre: bool = False) -> pygame.Surface:
    """Pictures one under the other."""
    width = max((p.get_width() for p in pictures), default=1)
    surface = blank(width, sum(p.get_height() for p in pictures) + gap * (len(pictures) - 1))
    y = 0
    for picture in pictures:
        surface.blit(picture, ((width - picture.get_width()) // 2 if centre else 0, y))
        y += picture.get_height() + gap
    return surface


def row(pictures: list[pygame.Surface], gap: int) -> pygame.Surface:
    """Pictures side by side on a common middle line."""
    height = max((p.get_height() for p in pictures), default=1)
    surface = blank(sum(p.get_width() for p in pictures) + gap * (len(pictures) - 1), height)
    x = 0
    for picture in pictures:
        surface.blit(picture, (x, (height - picture.get_height()) // 2))
        x += picture.get_width() + gap
    return surface


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False) -> pygame.font.Font:
    """The project's own typeface."""
    if not pygame.font.get_init():
        pygame.font.init()
    return pygame.font.Font(FONT_DIR / f"Inter-{'SemiBold' if bold else 'Regular'}.otf", size)


@lru_cache(maxsize=64)
def rounded(
    width: int, height: int, radius: int, fill: Colour, border: Colour | None
) -> pygame.Surface:
    """A filled rectangle with smooth corners; cached, so copy before drawing on it."""
    width, height = max(1, width), max(1, height)
    edge = _edge_distance(width, height, min(radius, width // 2, height // 2))
    rgba = np.empty((height, width, 4), np.float32)
    rgba[:] = (*fill[:3], _alpha(fill))
    if border is not None:
        share = np.clip(1.5 - np.abs(edge - 0.5), 0, 1)[..., None] * _alpha(border) / 255
        rgba[..., :3] += (np.array(border[:3]) - rgba[..., :3]) * share
        rgba[..., 3:] += (255 - rgba[..., 3:]) * share * 0.6
    rgba[..., 3] *= np.clip(edge + 0.5, 0, 1)
    # Bytes in the order of text and of `blank`: pictures of one order blend ten times faster.
    pixels = rgba[..., [2, 1, 0, 3]].round().astype(np.uint8)
    return pygame.image.frombytes(pixels.tobytes(), (width, height), "BGRA")


def _edge_distance(width: int, height: int, radius: int) -> np.ndarray:
    """Pixels from the rounded outline, positive inside: [height, width]."""
    x = np.abs(np.arange(width) + 0.5 - width / 2)[None, :] - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2)[:, None] - (height / 2 - radius)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    return radius - outside - np.minimum(np.maximum(x, y), 0)


@lru_cache(maxsize=1024)
def _text(text: str, size: int, colour: Colour, bold: bool) -> pygame.Surface:
    chosen = font(size, bold) if _covered(text) else _system_font(size, bold)
    surface = chosen.render(text, True, colour[:3])
    if _alpha(colour) < 255:
        surface.set_alpha(_alpha(colour))
    return surface


def _alpha(colour: Colour) -> int:
    return colour[3] if len(colour) == 4 else 255


def _covered(text: str) -> bool:
    """Whether the project's typeface has every sign of the text."""
    return all(ord(c) < 0x460 or 0x1E00 <= ord(c) < 0x2720 for c in text)


@lru_cache(maxsize=32)
def _system_font(size: int, bold: bool) -> pygame.font.Font:
    path = pygame.font.match_font(_FALLBACK, bold=bold)
    return pygame.font.Font(path, size) if path else font(size, bold)


def _wrap(text: str, width: int, chosen: pygame.font.Font) -> list[str]:
    """Lines that fit; a word wider than the line is broken."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if chosen.size(longer)[0] <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while chosen.size(word)[0] > width and len(word) > 1:
            fits = next(
                n for n in range(len(word), 0, -1) if chosen.size(word[:n])[0] <= width or n == 1
            )
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return [*lines, line]
