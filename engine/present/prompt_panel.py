"""The picture of the prompt line: text, caret, dimmed words, suggestion and presets."""

from collections.abc import Sequence
from itertools import pairwise

import pygame

from engine.present import theme
from engine.present.prompt_line import PromptLine
from engine.present.theme import Theme


def prompt_panel(
    look: Theme, width: int, line: PromptLine, presets: Sequence[str], *, caret: bool
) -> pygame.Surface:
    """The panel at the foot of the window; `caret` is whether it is in its bright phase."""
    inner = width - 2 * look.px(16)
    parts = [_line(look, inner, line, caret), theme.rounded(inner, 1, 0, theme.LINE, None)]
    parts.append(_advice(look, inner, line))
    if presets and not line.text:
        parts += [_preset(look, inner, i, text) for i, text in enumerate(presets[:9], start=1)]
    content = theme.stack(parts, look.px(7))
    panel = look.panel(width, content.get_height() + 2 * look.px(13), theme.SOLID)
    panel.blit(content, (look.px(16), look.px(13)))
    return panel


def _line(look: Theme, width: int, line: PromptLine, caret: bool) -> pygame.Surface:
    """The text in its colours, slid so that the caret stays in sight."""
    mark = look.text("›", "head", theme.ACCENT, bold=True)
    room = width - mark.get_width() - look.px(10)
    text, at = _coloured(look, line)
    surface = theme.blank(width, look.line("head"))
    surface.blit(mark, (0, -look.px(1)))
    view = theme.blank(room, look.line("head"))
    slide = max(0, at - room + look.px(4))
    if not line.text and not line.composing:
        view.blit(look.text("What happens next?", "body", theme.FAINT), (look.px(6), look.px(4)))
    view.blit(text, (-slide, look.px(4)))
    if caret:
        view.fill(theme.ACCENT, (at - slide, look.px(3), look.px(2), look.px(22)))
    surface.blit(view, (mark.get_width() + look.px(10), 0))
    return surface


def _coloured(look: Theme, line: PromptLine) -> tuple[pygame.Surface, int]:
    """The line's picture, unknown words dim and composed text underlined; and the caret's x."""
    before, after = line.text[: line.caret], line.text[line.caret :]
    shown = before + line.composing + after
    shift = len(line.composing)
    dim = [
        (w.start + shift * (w.start >= line.caret), w.end + shift * (w.end > line.caret))
        for w in line.unknown
    ]
    surface = theme.blank(look.width(shown or " ") + look.px(4), look.line("body") + look.px(2))
    cuts = sorted({0, len(shown), *(c for pair in dim for c in pair)})
    for start, end in pairwise(cuts):
        faint = any(start >= a and end <= b for a, b in dim)
        piece = look.text(shown[start:end], "body", theme.FAINT if faint else theme.TEXT)
        surface.blit(piece, (look.width(shown[:start]), 0))
    at = look.width(before + line.composing)
    if line.composing:
        left = look.width(before)
        surface.fill(theme.ACCENT, (left, look.px(21), at - left, look.px(1)))
    return surface, at


def _advice(look: Theme, width: int, line: PromptLine) -> pygame.Surface:
    """What to do about an unknown word, else the keys."""
    unknown = line.unknown
    if not unknown:
        hints = [("Enter", "sends"), ("↑ ↓", "earlier prompts"), ("Esc", "back")]
        return theme.row(
            [p for k, t in hints for p in (look.key(k), look.text(t, "small", theme.MUTED))],
            look.px(7),
        )
    offered = next((w for w in unknown if w.suggestion), unknown[0])
    word = line.text[offered.start : offered.end]
    note = look.text(f"This world was never taught “{word}”", "small", theme.MUTED)
    if not offered.suggestion:
        return note
    better = look.text(offered.suggestion, "small", theme.ACCENT, bold=True)
    takes = [look.key("Tab"), look.text("takes", "small", theme.MUTED), better]
    return theme.row([note, *takes], look.px(7))


def _preset(look: Theme, width: int, number: int, text: str) -> pygame.Surface:
    key = look.key(str(number))
    room = width - key.get_width() - look.px(10)
    shown = look.text(look.cut(text, room, "small"), "small", theme.MUTED)
    return theme.row([key, shown], look.px(10))
