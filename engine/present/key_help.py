"""The key help (F1): what every key does in this world, from the bindings in force."""

from collections.abc import Sequence

import pygame

from engine.input import names
from engine.input.bindings import Binding, Bindings
from engine.present import theme
from engine.present.theme import Theme

DIRECTIONS = {
    "move_forward": ("Forward", "Back"),
    "strafe": ("Right", "Left"),
    "look_yaw": ("Look right", "Look left"),
    "look_pitch": ("Look up", "Look down"),
}
"""What the two ends of well-known axes are called."""

COMMANDS = {
    "prompt": "Say what happens",
    "rewind": "Hold to rewind",
    "pause": "Pause",
    "save": "Save",
    "load": "Load",
    "screenshot": "Screenshot",
    "video": "Video on/off",
    "record": "Record rollout",
    "hud": "Numbers",
    "help": "This help",
    "settings": "Settings",
    "fullscreen": "Full screen",
    "menu": "Menu",
}
"""Commands in the order of the help."""


def title(name: str) -> str:
    """A channel's name for the player."""
    return name.replace("_", " ").capitalize()


def ends(channel: str, bound: Sequence[Binding]) -> list[tuple[str, list[Binding]]]:
    """A channel as the lines of a list: one per direction, motion and sticks with the first."""
    forward, backward = DIRECTIONS.get(channel, (title(channel), f"{title(channel)} −"))
    negative = [b for b in bound if b.scale < 0]
    positive = [b for b in bound if b.scale > 0]
    if channel not in DIRECTIONS and not negative:
        return [(forward, positive)]
    return [(forward, positive), (backward, negative)]


def help_panel(
    look: Theme, bindings: Bindings, presets: Sequence[str], room: int
) -> pygame.Surface:
    """Channels in one column, commands in another."""
    walk = [
        _line(look, text, [b.input for b in inputs])
        for channel, bound in bindings.channels.items()
        for text, inputs in ends(channel, bound)
    ]
    if not walk:
        walk = [look.wrapped("This world plays by text.", look.px(200), "small", theme.ACCENT)]
    keys = [
        _line(look, text, [b.input for b in bindings.commands[name][:1]])
        for name, text in COMMANDS.items()
        if bindings.commands.get(name)
    ]
    if presets:
        keys.append(_line(look, "Preset prompts", [f"1 – {min(9, len(presets))}"]))
    columns = [_column(look, "Moving", walk), _column(look, "Everything else", keys)]
    total = sum(c.get_width() for c in columns) + look.px(40)
    content = _top_row(columns, look.px(40)) if total < room else theme.stack(columns, look.px(16))
    pad = look.px(18)
    size = (content.get_width() + 2 * pad, content.get_height() + 2 * pad)
    panel = look.panel(*size, (13, 15, 20, 224))
    panel.blit(content, (pad, pad))
    return panel


def _column(look: Theme, head: str, lines: list[pygame.Surface]) -> pygame.Surface:
    return theme.stack([look.text(head, "body", theme.ACCENT, bold=True), *lines], look.px(5))


def _top_row(columns: list[pygame.Surface], gap: int) -> pygame.Surface:
    height = max(c.get_height() for c in columns)
    grown = []
    for column in columns:
        taller = theme.blank(column.get_width(), height)
        taller.blit(column, (0, 0))
        grown.append(taller)
    return theme.row(grown, gap)


def _line(look: Theme, text: str, inputs: Sequence[str]) -> pygame.Surface:
    """What it does, then its keys."""
    width = look.px(132)
    surface = theme.blank(width, look.line("small"))
    surface.blit(look.text(text, "small", theme.MUTED), (0, look.px(1)))
    caps = [look.key(names.label(name)) for name in inputs] or [
        look.text("not bound", "small", theme.FAINT)
    ]
    return theme.row([surface, *caps], look.px(5))
