"""What lies over the picture at a moment, from the back to the front. Pure.

`View` is all that the window knows of its own state; `layers` turns it into items, each with a key
by which the screen sees whether it must be drawn again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pygame

from engine.input import names
from engine.input.bindings import Bindings
from engine.present import hud as panels
from engine.present.api import HudData
from engine.present.key_help import help_panel
from engine.present.menu import DrawnMenu, Menu, menu_panel
from engine.present.prompt_line import PromptLine
from engine.present.prompt_panel import prompt_panel
from engine.present.theme import Theme

Size = tuple[int, int]
Mode = Literal["play", "prompt", "menu"]


class Item(NamedTuple):
    """Something over the picture."""

    name: str
    key: object
    draw: Callable[[], pygame.Surface]
    place: Callable[[Size], Size]
    """Upper left corner for a picture of some size."""
    changed: Callable[[], pygame.Rect] | None = None
    """Where `draw` changed the picture that it gave before; None for all over."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """The state of the window."""

    look: Theme
    size: Size
    mode: Mode
    hud: HudData
    numbers: HudData
    """What the HUD prints: `hud`, renewed only now and then."""
    hud_on: bool
    panel: panels.HudPanel
    """Draws the numbers."""
    help_on: bool
    fps: int
    bindings: Bindings
    presets: Sequence[str]
    line: PromptLine
    caret: bool
    """The caret is in its bright phase."""
    menu: Menu | None


def layers(view: View) -> list[Item]:
    """Everything over the picture."""
    if view.hud.failure:
        return [_failure(view)]
    items = _numbers(view) + _tags(view)
    if view.help_on and view.mode == "play":
        items.append(_help(view))
    if view.hud.messages:
        items.append(_messages(view))
    if view.hud.rewinding:
        items.append(_rewind(view))
    elif view.hud.paused and view.mode == "play":
        items.append(_paused(view))
    if view.mode == "prompt":
        items.append(_prompt(view))
    if view.menu is not None:
        items += _menu(view, view.menu)
    return items


def drawn_menu(view: View, menu: Menu) -> DrawnMenu:
    """The menu as it is on the screen; its areas are relative to `menu_corner`."""
    wide = 620 if len(menu.rows) > 8 else 360
    return menu_panel(view.look, menu, view.size[1] - 2 * view.look.gap, width=wide)


def menu_corner(view: View, menu: Menu) -> Size:
    return _centred(view)(drawn_menu(view, menu).picture.get_size())


def _numbers(view: View) -> list[Item]:
    if not view.hud_on:
        return []
    gap, numbers = view.look.gap, view.numbers
    draw = lambda: view.panel.draw(view.look, numbers)  # noqa: E731
    return [Item("hud", numbers, draw, lambda _: (gap, gap), lambda: view.panel.changed)]


def _tags(view: View) -> list[Item]:
    texts = panels.status_texts(view.hud, view.numbers.speed)
    if not texts:
        return []
    gap = view.look.gap
    draw = lambda: panels.status_tags(view.look, texts)  # noqa: E731
    return [Item("tags", texts, draw, lambda size: (view.size[0] - size[0] - gap, gap))]


def _help(view: View) -> Item:
    gap, (width, height) = view.look.gap, view.size
    return Item(
        "help",
        (view.bindings, tuple(view.presets)),
        lambda: help_panel(view.look, view.bindings, view.presets, width - 2 * gap),
        lambda size: (width - size[0] - gap, height - size[1] - gap),
    )


def _messages(view: View) -> Item:
    messages = view.hud.messages
    draw = lambda: panels.message_stack(view.look, messages)  # noqa: E731
    middle = view.size[0] // 2
    return Item("messages", messages, draw, lambda size: (middle - size[0] // 2, view.look.gap))


def _rewind(view: View) -> Item:
    frame = view.hud.frame
    draw = lambda: panels.rewind_panel(view.look, frame, view.fps)  # noqa: E731
    return Item("rewind", frame, draw, _at_foot(view, 0.06))


def _paused(view: View) -> Item:
    keys = view.bindings.commands.get("pause", ())
    key = names.label(keys[0].input) if keys else "Menu"
    return Item("paused", key, lambda: panels.paused_panel(view.look, key), _centred(view))


def _failure(view: View) -> Item:
    key = (view.hud.failure, view.hud.messages)
    return Item("failure", key, lambda: panels.failure_panel(view.look, *key), _centred(view))


def _prompt(view: View) -> Item:
    line = view.line
    width = min(view.look.px(760), view.size[0] - 2 * view.look.gap)
    return Item(
        "prompt",
        (line.text, line.caret, line.composing, view.caret),
        lambda: prompt_panel(view.look, width, line, view.presets, caret=view.caret),
        _at_foot(view, 0.05),
    )


def _menu(view: View, menu: Menu) -> list[Item]:
    shade = Item("shade", None, lambda: panels.shade(view.size), lambda _: (0, 0))
    return [shade, Item("menu", menu, lambda: drawn_menu(view, menu).picture, _centred(view))]


def _centred(view: View) -> Callable[[Size], Size]:
    return lambda size: ((view.size[0] - size[0]) // 2, (view.size[1] - size[1]) // 2)


def _at_foot(view: View, margin: float) -> Callable[[Size], Size]:
    width, height = view.size
    return lambda size: ((width - size[0]) // 2, height - size[1] - round(height * margin))
