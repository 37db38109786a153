"""A list to move about in: the pause menu and the settings are made of it.

A `Menu` is rows and a position; it knows nothing of what a row does. `menu_panel` draws it and says
where each row went, so that a mouse can point at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import pygame

from engine.input import names
from engine.present import theme
from engine.present.navigation import Step
from engine.present.theme import Theme


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a menu."""

    name: str
    """What the row is to the program; empty for a heading, which cannot be chosen."""
    text: str
    """What it says."""
    value: str = ""
    """What it stands at, on the right."""
    keys: tuple[str, ...] = ()
    """Inputs, drawn as key caps instead of a value."""
    share: float | None = None
    """Position of a slider, 0 to 1."""
    prompt: str = ""
    """Drawn instead of the value while the row waits for something."""


@dataclass(frozen=True)
class Menu:
    """Rows, and which one is chosen."""

    title: str
    rows: tuple[Row, ...]
    at: int = 0
    note: str = ""
    """A line at the foot."""
    hints: tuple[tuple[str, str], ...] = field(default=())
    """Key caps and their meaning, under the note."""

    @property
    def row(self) -> Row:
        return self.rows[self.at]

    def move(self, step: Step) -> "Menu":
        """The menu after a step up, down, to the top or the end."""
        choices = [i for i, row in enumerate(self.rows) if row.name]
        if not choices or step not in ("up", "down", "home", "end"):
            return self
        here = choices.index(self.at) if self.at in choices else 0
        there = {"up": here - 1, "down": here + 1, "home": 0, "end": -1}[step]
        return self._at(choices[there % len(choices)])

    def point(self, row: int) -> "Menu":
        """The menu with another row chosen, by the mouse."""
        return self._at(row) if 0 <= row < len(self.rows) and self.rows[row].name else self

    def _at(self, row: int) -> "Menu":
        return Menu(self.title, self.rows, row, self.note, self.hints)


@dataclass(frozen=True)
class DrawnMenu:
    """A picture of a menu and the rows in it, by their index."""

    picture: pygame.Surface
    areas: tuple[tuple[int, pygame.Rect], ...]

    def row_at(self, pos: tuple[int, int]) -> int | None:
        """The row under a point of the picture."""
        return next((i for i, area in self.areas if area.collidepoint(pos)), None)


@lru_cache(maxsize=2)
def menu_panel(look: Theme, menu: Menu, height: int, *, width: int = 560) -> DrawnMenu:
    """The menu in a panel at most `height` high; long ones scroll to the chosen row."""
    pad, inner = look.px(22), look.px(width) - 2 * look.px(22)
    head = look.text(menu.title, "head", bold=True)
    foot = _foot(look, menu, inner)
    line = look.px(32)
    room = height - head.get_height() - foot.get_height() - 2 * pad - look.px(30)
    shown = _visible(menu, max(1, room // line))
    full = head.get_height() + foot.get_height() + line * len(shown) + 2 * pad + look.px(26)
    panel = look.panel(look.px(width), full, theme.SOLID, radius=14)
    panel.blit(head, (pad, pad))
    y = pad + head.get_height() + look.px(14)
    areas = []
    for i in shown:
        area = pygame.Rect(pad - look.px(10), y, inner + look.px(20), line)
        _draw_row(look, panel, area, menu.rows[i], chosen=i == menu.at)
        areas.append((i, area))
        y += line
    panel.blit(foot, (pad, y + look.px(12)))
    return DrawnMenu(panel, tuple(areas))


def _visible(menu: Menu, most: int) -> range:
    """Indices of the rows that fit, the chosen one among them."""
    count = len(menu.rows)
    if count <= most:
        return range(count)
    first = min(max(0, menu.at - most // 2), count - most)
    return range(first, first + most)


def _draw_row(
    look: Theme, panel: pygame.Surface, area: pygame.Rect, row: Row, *, chosen: bool
) -> None:
    left, middle = area.x + look.px(10), area.centery
    if not row.name:
        text = look.text(row.text, "small", theme.ACCENT, bold=True)
        panel.blit(text, (left, area.bottom - text.get_height() - look.px(3)))
        return
    if chosen:
        bright = theme.rounded(*area.size, look.px(7), (255, 255, 255, 30), None)
        panel.blit(bright, area.topleft)
    text = look.text(row.text, "body", theme.TEXT, bold=chosen)
    panel.blit(text, (left, middle - text.get_height() // 2))
    value = _value(look, row)
    right = area.right - look.px(10) - value.get_width()
    panel.blit(value, (right, middle - value.get_height() // 2))


def _value(look: Theme, row: Row) -> pygame.Surface:
    if row.prompt:
        return look.text(row.prompt, "small", theme.ACCENT, bold=True)
    if row.keys:
        return theme.row([look.key(names.label(key)) for key in row.keys], look.px(5))
    text = look.text(row.value, "small", theme.MUTED)
    if row.share is None:
        return text
    return theme.row([look.bar(look.px(120), row.share), text], look.px(12))


def _foot(look: Theme, menu: Menu, width: int) -> pygame.Surface:
    parts: list[pygame.Surface] = []
    if menu.note:
        parts.append(look.wrapped(menu.note, width, "small", theme.ACCENT))
    parts.append(hint_row(look, menu.hints))
    return theme.stack(parts, look.px(8))


def hint_row(look: Theme, hints: Sequence[tuple[str, str]]) -> pygame.Surface:
    """Key caps with what they do."""
    pieces = [p for k, t in hints for p in (look.key(k), look.text(t, "small", theme.MUTED))]
    return theme.row(pieces, look.px(7)) if pieces else theme.blank(1, 1)
