"""The start screen: every demo with a thumbnail, chosen by keyboard, mouse or gamepad.

`StartScreen` is the state, a value that events turn into another; `start_picture` draws it. Not
here: finding demos and making thumbnails, or opening what was chosen.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pygame

from engine.present import theme
from engine.present.hud import backdrop
from engine.present.menu import hint_row
from engine.present.navigation import Step
from engine.present.theme import Theme

ASPECT = 640 / 384
CARD_WIDTH = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoCard:
    """One thing to play."""

    value: str
    """What the caller gets back when it is chosen: a path."""
    title: str
    description: str = ""
    thumbnail: np.ndarray | None = None
    """uint8 [H, W, 3]."""
    note: str = ""
    """Why it cannot be played, or what it needs; dims the card."""


@dataclass(frozen=True)
class StartScreen:
    """The cards, the chosen one, and whether the player has decided."""

    cards: tuple[DemoCard, ...]
    at: int = 0
    columns: int = 3
    over: bool = False
    chosen: str | None = None
    """The value of the card that was taken; None when the player left."""

    def take(self) -> "StartScreen":
        """Play the card, unless it cannot be played."""
        card = self.cards[self.at] if self.cards else None
        if card is None or card.note:
            return self
        return replace(self, over=True, chosen=card.value)

    def leave(self) -> "StartScreen":
        return replace(self, over=True)

    def point(self, card: int | None) -> "StartScreen":
        return self if card is None else replace(self, at=card)

    def step(self, step: Step) -> "StartScreen":
        if step in ("accept", "back"):
            return self.take() if step == "accept" else self.leave()
        last = len(self.cards) - 1
        moves = {"left": -1, "right": 1, "up": -self.columns, "down": self.columns}
        if step in ("home", "end"):
            return replace(self, at=0 if step == "home" else last)
        to = self.at + moves.get(step, 0)
        if step == "down" and to > last and self.at // self.columns < last // self.columns:
            to = last
        return replace(self, at=to) if 0 <= to <= last else self


@dataclass(frozen=True)
class DrawnStart:
    """The picture, and where each card went."""

    picture: pygame.Surface
    areas: tuple[tuple[int, pygame.Rect], ...]

    def card_at(self, pos: tuple[int, int]) -> int | None:
        return next((i for i, area in self.areas if area.collidepoint(pos)), None)


def columns_for(look: Theme, width: int) -> int:
    """Cards side by side in a window so wide."""
    return max(1, min(4, (width - 2 * look.px(40)) // (look.px(CARD_WIDTH) + look.px(20))))


@lru_cache(maxsize=2)
def start_picture(look: Theme, size: tuple[int, int], state: StartScreen) -> DrawnStart:
    """The whole window."""
    surface = backdrop(size)
    head = theme.stack(
        [
            look.text("Helios", "title", bold=True),
            look.text("Walk through worlds that are generated as you go.", "body", theme.MUTED),
        ],
        look.px(2),
    )
    card_w, gap = look.px(CARD_WIDTH), look.px(20)
    card_h = round(card_w / ASPECT) + look.px(74)
    left = (size[0] - state.columns * (card_w + gap) + gap) // 2
    top = look.px(44) + head.get_height() + look.px(28)
    room = size[1] - top - look.px(64)
    first = _first_row(state, max(1, room // (card_h + gap)))
    surface.blit(head, (left, look.px(44)))
    areas = []
    for i, card in enumerate(state.cards):
        row, column = divmod(i, state.columns)
        area = pygame.Rect(
            left + column * (card_w + gap), top + (row - first) * (card_h + gap), card_w, card_h
        )
        if area.top >= top and area.top < size[1] - look.px(64):
            surface.blit(_card(look, card, area.size, chosen=i == state.at), area.topleft)
            areas.append((i, area))
    _footer(look, surface, state)
    return DrawnStart(surface, tuple(areas))


def _first_row(state: StartScreen, visible: int) -> int:
    rows = -(-len(state.cards) // state.columns)
    return max(0, min(state.at // state.columns - visible // 2, rows - visible))


def _footer(look: Theme, surface: pygame.Surface, state: StartScreen) -> None:
    width, height = surface.get_size()
    bar = theme.blank(width, look.px(52))
    bar.fill((12, 13, 17, 235))
    hints = hint_row(look, [("← ↑ ↓ →", "choose"), ("Enter", "play"), ("Esc", "leave")])
    count = look.text(f"{state.at + 1} of {len(state.cards)}", "small", theme.MUTED)
    bar.blit(hints, (look.px(40), look.px(16)))
    bar.blit(count, (width - count.get_width() - look.px(40), look.px(18)))
    surface.blit(bar, (0, height - look.px(52)))


def _card(look: Theme, card: DemoCard, size: tuple[int, int], *, chosen: bool) -> pygame.Surface:
    width, height = size
    fill = (255, 255, 255, 34) if chosen else (255, 255, 255, 14)
    edge = theme.ACCENT[:3] + (255,) if chosen else theme.LINE
    panel = theme.rounded(width, height, look.px(12), fill, edge).copy()
    inset = look.px(6)
    picture_size = (width - 2 * inset, round(width / ASPECT) - 2 * inset)
    panel.blit(_thumbnail(look, card, picture_size), (inset, inset))
    x, y = look.px(14), round(width / ASPECT) + look.px(2)
    title = look.cut(card.title, width - 2 * x, bold=True)
    panel.blit(look.text(title, bold=True), (x, y))
    line, colour = (card.note, theme.BAD) if card.note else (card.description, theme.MUTED)
    words = look.wrapped(line, width - 2 * x, "small", colour, most=2)
    panel.blit(words, (x, y + look.line("body")))
    return panel


def _thumbnail(look: Theme, card: DemoCard, size: tuple[int, int]) -> pygame.Surface:
    """The picture, filling its place, with round corners."""
    mask = theme.rounded(*size, look.px(8), (255, 255, 255, 255), None).copy()
    if card.thumbnail is None:
        mask.blit(_sunrise(look, size), (0, 0), special_flags=pygame.BLEND_RGBA_MULT)
        return mask
    h, w = card.thumbnail.shape[:2]
    pixels = np.ascontiguousarray(card.thumbnail)
    source = pygame.image.frombuffer(pixels.data, (w, h), "RGB")
    factor = max(size[0] / w, size[1] / h)
    big = pygame.transform.smoothscale(source, (round(w * factor), round(h * factor)))
    x, y = (size[0] - big.get_width()) // 2, (size[1] - big.get_height()) // 2
    filled = theme.blank(*size)
    filled.blit(big, (x, y))
    mask.blit(filled, (0, 0), special_flags=pygame.BLEND_RGBA_MULT)
    if card.note:
        mask.fill((120, 120, 120, 255), special_flags=pygame.BLEND_RGBA_MULT)
    return mask


def _sunrise(look: Theme, size: tuple[int, int]) -> pygame.Surface:
    """Stands for a card that has no picture."""
    column = pygame.Surface((1, 3), pygame.SRCALPHA)
    for y, colour in enumerate(((40, 48, 74), (104, 84, 104), (214, 140, 96))):
        column.set_at((0, y), colour)
    picture = pygame.transform.smoothscale(column, size)
    radius = size[1] // 4
    sun = theme.rounded(2 * radius, 2 * radius, radius, theme.ACCENT, None)
    horizon = round(size[1] * 0.72)
    picture.blit(sun, (size[0] // 2 - radius, horizon - round(radius * 1.2)))
    picture.fill((30, 34, 46, 255), (0, horizon, size[0], size[1]))
    return picture
