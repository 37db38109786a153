"""What lies over the picture while playing: the HUD, status tags, messages, pause and rewind.

Each function draws one panel from plain data; the window decides which are shown and when they
are drawn again.
"""

from collections.abc import Sequence
from functools import lru_cache

import pygame

from engine.present import theme
from engine.present.api import HudData
from engine.present.theme import Theme

PANEL_WIDTH = 292


class HudPanel:
    """Everything that F3 shows. It is drawn a few times a second while playing, so it keeps its
    surface and draws only the lines that changed."""

    def __init__(self) -> None:
        self._look: Theme | None = None
        self._base = self._surface = theme.blank(1, 1)
        self.changed = pygame.Rect(0, 0, 0, 0)
        """What the newest `draw` drew on."""
        self._heights: tuple[int, ...] = ()
        self._shown: dict[int, object] = {}
        """Per line, by its upper edge, what it says."""

    def draw(self, look: Theme, hud: HudData) -> pygame.Surface:
        """The panel as it is now; the next call draws on the same surface."""
        width, gap, step = look.px(PANEL_WIDTH), look.gap, look.line("small") + look.px(3)
        rows, foot = hud_rows(hud), _hud_foot(look, hud, width - 2 * gap)
        heights = (step,) * len(rows) + tuple(p.get_height() + look.px(5) for _, p in foot)
        self.changed = pygame.Rect(0, 0, 0, 0)
        if look is not self._look or heights != self._heights:
            self._heights = heights
            self._begin(look, [label for label, *_ in rows], (width, sum(heights) + 2 * gap))
        y = gap
        for _, value, colour in rows:
            if self._clears(pygame.Rect(width // 2, y, width - gap - width // 2, step), value, y):
                shown = look.text(value, "small", colour)
                self._surface.blit(shown, (width - gap - shown.get_width(), y))
            y += step
        for key, picture in foot:
            y += look.px(5)
            if self._clears(pygame.Rect(gap, y, width - 2 * gap, picture.get_height()), key, y):
                self._surface.blit(picture, (gap, y))
            y += picture.get_height()
        return self._surface

    def _begin(self, look: Theme, labels: Sequence[str], size: tuple[int, int]) -> None:
        """The empty panel with its labels."""
        gap, step = look.gap, look.line("small") + look.px(3)
        base = look.panel(*size)
        for i, label in enumerate(labels):
            base.blit(look.text(label, "small", theme.MUTED), (gap, gap + i * step))
        self._look, self._base, self._surface, self._shown = look, base, base.copy(), {}
        self._base.set_alpha(None)  # copied as it is, not blended
        self.changed = base.get_rect()

    def _clears(self, area: pygame.Rect, says: object, y: int) -> bool:
        """Whether a line must be drawn again; its area is empty then."""
        if self._shown.get(y) == says:
            return False
        self._shown[y] = says
        self._surface.blit(self._base, area, area)
        self.changed = self.changed.union(area) if self.changed else area
        return True


def _hud_foot(look: Theme, hud: HudData, width: int) -> list[tuple[object, pygame.Surface]]:
    """The prompt, how far the crossfade has come, and a word on worlds without actions; each with
    a key that tells it from what stood there before."""
    prompt = _shorten(hud.prompt) or "no prompt"
    parts: list[tuple[object, pygame.Surface]]
    parts = [(prompt, _paragraph(look, prompt, width, theme.TEXT))]
    if hud.prompt_weight < 1.0:
        parts.append((hud.prompt_weight, look.bar(width, hud.prompt_weight)))
    if hud.text_only:
        note = "This world takes no actions: press Enter and tell it what happens."
        parts.append((note, _paragraph(look, note, width, theme.ACCENT)))
    return parts


@lru_cache(maxsize=8)
def _paragraph(look: Theme, text: str, width: int, colour: theme.Colour) -> pygame.Surface:
    return look.wrapped(text, width, "small", colour)


def hud_rows(hud: HudData) -> list[tuple[str, str, theme.Colour]]:
    """Label, value and colour of every line; what needs attention is coloured."""
    slow = hud.real_time_factor > 1.0
    plain, alarm = theme.TEXT, theme.BAD
    return [
        ("World", hud.pack, plain),
        ("Shown", f"{hud.fps:.1f} fps", plain),
        ("Making a chunk", f"{hud.make_ms:.0f} ms", plain),
        ("Of real time", f"{hud.real_time_factor:.2f} ×", alarm if slow else theme.GOOD),
        ("Pace", f"{hud.policy} {hud.speed:.2f} ×", theme.ACCENT if hud.speed < 0.99 else plain),
        ("Age of input", f"{hud.age_ms:.0f} ms", plain),
        ("Underruns", str(hud.underruns), theme.ACCENT if hud.underruns else plain),
        ("Chunk · frame", f"{hud.chunk} · {hud.frame}", plain),
        ("Branch · seed", f"{hud.branch} · {hud.seed}", plain),
        ("Device", hud.device, plain),
        ("Memory", f"{hud.memory_mb:.0f} MB", plain),
    ]


def status_texts(hud: HudData, speed: float) -> tuple[tuple[str, theme.Colour], ...]:
    """What the tags say: what is being kept, and that the world is slower than it should be."""
    texts = [("Recording", theme.BAD)] if hud.recording else []
    texts += [("Video", theme.BAD)] if hud.video else []
    if speed < 0.99 and not hud.paused:
        texts.append((f"Slow motion {speed:.2f} ×", theme.ACCENT))
    return tuple(texts)


def status_tags(look: Theme, texts: Sequence[tuple[str, theme.Colour]]) -> pygame.Surface:
    """Small tags for the upper right corner."""
    return theme.row([_tag(look, text, colour) for text, colour in texts], look.px(8))


def message_stack(look: Theme, messages: tuple[str, ...]) -> pygame.Surface:
    """Short-lived lines for the player, the newest below."""
    return theme.stack([_toast(look, text) for text in messages[-4:]], look.px(6), centre=True)


def paused_panel(look: Theme, resume: str) -> pygame.Surface:
    """Two bars and the key that goes on."""
    bars = theme.blank(look.px(30), look.px(34))
    for x in (0, look.px(18)):
        bars.blit(theme.rounded(look.px(11), look.px(34), look.px(3), theme.TEXT, None), (x, 0))
    hint = theme.row([look.key(resume), look.text("goes on", "small", theme.MUTED)], look.px(8))
    content = theme.stack(
        [bars, look.text("Paused", "head", bold=True), hint], look.px(8), centre=True
    )
    return _framed(look, content, look.px(26))


def rewind_panel(look: Theme, frame: int, fps: int) -> pygame.Surface:
    """Shown while the frames run backwards."""
    arrows = theme.blank(look.px(44), look.px(26))
    for x in (0, look.px(21)):
        middle, tip = look.px(13), (x, look.px(13))
        points = [
            tip,
            (x + look.px(20), middle - look.px(12)),
            (x + look.px(20), middle + look.px(12)),
        ]
        pygame.draw.polygon(arrows, theme.ACCENT, points)
    seconds = frame / fps if fps else 0.0
    where = f"{int(seconds // 60)}:{seconds % 60:04.1f}"
    words = theme.stack(
        [
            look.text("Rewinding", "body", bold=True),
            look.text(f"{where} · frame {frame} · let go to branch off", "small", theme.MUTED),
        ],
        look.px(2),
    )
    return _framed(look, theme.row([arrows, words], look.px(14)), look.px(14))


def failure_panel(look: Theme, failure: str, messages: tuple[str, ...]) -> pygame.Surface:
    """What broke, in the player's words, and what became of the session."""
    width = look.px(640)
    closes = look.text("closes the window", "small", theme.MUTED)
    parts = [
        look.text("The world stopped", "head", theme.BAD, bold=True),
        look.wrapped(failure, width, "body"),
        *(look.wrapped(line, width, "small", theme.MUTED) for line in messages),
        theme.blank(1, look.px(4)),
        theme.row([look.key("Esc"), closes], look.px(8)),
    ]
    return _framed(look, theme.stack(parts, look.px(10)), look.px(28), theme.SOLID)


def loading_screen(look: Theme, size: tuple[int, int], what: str, share: float) -> pygame.Surface:
    """The whole window while a world is being loaded."""
    surface = backdrop(size)
    width = min(look.px(420), size[0] - 2 * look.gap)
    percent = look.text(f"{share * 100:.0f} %", "small", theme.MUTED)
    line = theme.blank(width, look.line("body"))
    line.blit(look.text(what, "body"), (0, 0))
    line.blit(percent, (width - percent.get_width(), look.px(2)))
    content = theme.stack(
        [look.text("Helios", "title", bold=True), line, look.bar(width, share)], look.px(12)
    )
    x, y = (size[0] - content.get_width()) // 2, (size[1] - content.get_height()) // 2
    surface.blit(content, (x, y))
    return surface


def backdrop(size: tuple[int, int]) -> pygame.Surface:
    """Plain dark, a little lighter above, as behind every full screen."""
    column = pygame.Surface((1, 2), pygame.SRCALPHA)
    column.set_at((0, 0), (30, 34, 44))
    column.set_at((0, 1), (12, 13, 17))
    return pygame.transform.smoothscale(column, size)


def shade(size: tuple[int, int]) -> pygame.Surface:
    """What dims the picture behind a menu."""
    surface = theme.blank(*size)
    surface.fill((6, 7, 10, 150))
    return surface


def _tag(look: Theme, text: str, colour: theme.Colour) -> pygame.Surface:
    dot = theme.rounded(look.px(9), look.px(9), look.px(5), colour, None)
    return _framed(
        look, theme.row([dot, look.text(text, "small", bold=True)], look.px(8)), look.px(9)
    )


def _toast(look: Theme, text: str) -> pygame.Surface:
    return _framed(look, look.wrapped(text, look.px(560), "small", centre=True), look.px(9))


def _framed(
    look: Theme, content: pygame.Surface, pad: int, fill: theme.Colour = theme.GLASS
) -> pygame.Surface:
    panel = look.panel(content.get_width() + 2 * pad, content.get_height() + 2 * pad, fill)
    panel.blit(content, (pad, pad))
    return panel


def _shorten(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
