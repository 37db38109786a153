"""A scene on one sheet: rows of a time axis, its events, prompts and possible triggers.

Lays out rectangles, lines and texts and writes them as SVG; `engine.cli.timeline` draws the same
marks as PNG. Not here: files.
"""

from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import Any

from engine.scenes.effects import Effects
from engine.scenes.scene import MENU, Scene
from engine.scenes.timeline import TimedEvent
from engine.scenes.triggers import Trigger

WIDTH = 1100
MARGIN = 24
LABELS = 190
"""Width of the names left of the axis."""
ROW = 26
LETTER = 6.4
"""About the width of a letter."""
SHORTEST = 10.0
"""Seconds that the axis shows at least."""
MOST_REPEATS = 60
INK, PALE, PAPER = "#24303c", "#8a97a5", "#fbfaf7"
HUES = ("#3d7ea6", "#c26a3d", "#5b8c5a", "#8a5fa3", "#b5485d", "#6d7f36", "#3f8f8c", "#a67c2e")


@dataclass(frozen=True)
class Mark:
    """A rectangle, a line or a text; pixels from the top left."""

    kind: str
    x: float
    y: float
    w: float = 0.0
    h: float = 0.0
    colour: str = INK
    text: str = ""
    size: int = 12


@dataclass(frozen=True)
class Sheet:
    width: int
    height: int
    marks: tuple[Mark, ...]

    def svg(self) -> str:
        body = "\n".join(_svg(mark) for mark in self.marks)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="{PAPER}"/>\n{body}\n</svg>\n'
        )


def timeline_sheet(scene: Scene, fps: int) -> Sheet:
    """The whole scene: prompts, then its timeline and triggers, then each phase."""
    pen = _Pen(scene, fps)
    pen.title()
    pen.prompts()
    pen.part("the whole scene", scene.timeline, scene.triggers)
    for name, phase in scene.phases.items():
        pen.part(f"phase {name}", phase.timeline, phase.triggers, phase.enter)
    return Sheet(WIDTH, int(pen.y + MARGIN), tuple(pen.marks))


class _Pen:
    """Writes from the top of the sheet to its foot."""

    def __init__(self, scene: Scene, fps: int) -> None:
        self.scene, self.fps = scene, fps
        self.marks: list[Mark] = []
        self.y = float(MARGIN)
        self.hues = {name: HUES[i % len(HUES)] for i, name in enumerate(scene.prompts)}

    def title(self) -> None:
        self._text(MARGIN, self.scene.title, size=20)
        self.y += 30
        self._text(MARGIN, _short(self.scene.description, 150), PALE)
        self.y += 28

    def prompts(self) -> None:
        keys = list(self.scene.presets)[:MENU]
        for name, prompt in self.scene.prompts.items():
            self.marks.append(Mark("rect", MARGIN, self.y, 12, 12, self.hues[name]))
            key = f"{keys.index(name) + 1}  " if name in keys else ""
            self._text(MARGIN + 20, f"{key}{name}")
            self._text(LABELS, f"{_short(prompt.text, 110)}   ({prompt.crossfade})", PALE)
            self.y += 20
        self.y += 14

    def part(
        self,
        name: str,
        timeline: tuple[TimedEvent, ...],
        triggers: tuple[Trigger, ...],
        enter: Effects | None = None,
    ) -> None:
        if not (timeline or triggers or enter):
            return
        self._text(MARGIN, name, size=15)
        self.y += 24
        if enter is not None:
            self._row("on entering", None, enter)
        if timeline:
            self._axis(timeline)
        for trigger in triggers:
            limits = ["once"] if trigger.once else []
            limits += [f"every {trigger.cooldown} at most"] if trigger.cooldown else []
            note = f" ({', '.join(limits)})" if limits else ""
            self._row("when", f"{trigger.when.text}{note}", trigger)
        self.y += 16

    def _row(self, label: str, condition: str | None, effects: Effects) -> None:
        self._text(MARGIN + 8, label, PALE)
        text = summary(effects)
        self._text(LABELS, f"{condition}  →  {text}" if condition else text, self._hue(effects))
        self.y += 22

    def _axis(self, timeline: tuple[TimedEvent, ...]) -> None:
        """One row per event on a common time axis."""
        length = max(SHORTEST, *(self._end(event) for event in timeline)) * 1.08
        scale = (WIDTH - LABELS - MARGIN) / length
        top = self.y
        step = _nice(length / 8)
        for i in range(int(length / step) + 1):
            x = LABELS + i * step * scale
            self.marks.append(Mark("line", x, top + 14, 0, ROW * len(timeline) + 4, "#e3e0d8"))
            self.marks.append(Mark("text", x, top, colour=PALE, text=_clock(i * step), size=11))
        self.y += 20
        for event in timeline:
            self._event(event, scale, length)
        self.y += 8

    def _event(self, event: TimedEvent, scale: float, length: float) -> None:
        frames = range(round(length * self.fps))
        self._text(MARGIN + 8, _when(event), PALE)
        hue, first, last = self._hue(event), float(LABELS), float(LABELS)
        for n, moment in enumerate(islice(event.moments(self.fps, frames), MOST_REPEATS)):
            x = LABELS + moment / self.fps * scale
            width = max(3.0, _seconds(event, self.scene, self.fps) * scale)
            self.marks.append(Mark("rect", x, self.y + 1, width, 13, hue))
            first, last = first if n else x, x + width
        text = _short(summary(event), 110)
        before = first - LETTER * len(text) - 6
        full = last + 6 + LETTER * len(text) > WIDTH - 6
        self._text(before if full and before > LABELS else last + 6, text)
        self.y += ROW

    def _end(self, event: TimedEvent) -> float:
        """Seconds until which the axis should show an event."""
        moment = (event.at or event.every or event.until).seconds_at(self.fps)  # type: ignore[union-attr]
        repeats = 3 * event.every.seconds_at(self.fps) if event.every else 0.0
        end = event.until.seconds_at(self.fps) if event.until else moment + repeats
        return max(end, moment) + _seconds(event, self.scene, self.fps)

    def _hue(self, effects: Effects) -> str:
        return self.hues[effects.prompt.to] if effects.prompt else INK

    def _text(self, x: float, text: str, colour: str = INK, size: int = 12) -> None:
        self.marks.append(Mark("text", x, self.y, colour=colour, text=text, size=size))


def summary(effects: Effects) -> str:
    """What an event does, in a few words."""
    return ", ".join(_words(kind, getattr(effects, kind)) for kind in effects.kinds())


def _words(kind: str, what: Any) -> str:
    if kind in ("end",):
        return "end"
    if kind == "set":
        return "set " + ", ".join(f"{name} = {e.text}" for name, e in what.items())
    if kind == "scale":
        return "scale " + ", ".join(f"{name} × {f:g}" for name, f in what.channels.items())
    if kind == "inject":
        return f"inject {what.macro or _short(what.track.text, 30)}"
    if kind in ("caption", "title"):
        return f"{kind} “{_short(what.text, 40)}”"
    for name in ("to", "file", "do", "keep"):
        if hasattr(what, name):
            return f"{kind} {getattr(what, name)}"
    return f"{kind} {what}"


def _seconds(effects: Effects, scene: Scene, fps: int) -> float:
    """How long the longest thing lasts that an event begins."""
    spans = []
    if effects.prompt is not None:
        spans.append(effects.prompt.over or scene.prompts[effects.prompt.to].crossfade)
    for what in (effects.caption, effects.title, effects.scale):
        spans += [what.for_] if what is not None and what.for_ is not None else []
    spans += [effects.fade.over] if effects.fade is not None else []
    return max((span.seconds_at(fps) for span in spans), default=0.0)


def _when(event: TimedEvent) -> str:
    parts = [f"at {event.at}"] if event.at else []
    parts += [f"every {event.every}"] if event.every else []
    parts += [f"until {event.until}"] if event.until else []
    return " ".join(parts)


def _nice(step: float) -> float:
    """The round step at or above a length."""
    for base in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600):
        if base >= step:
            return float(base)
    return step


def _clock(seconds: float) -> str:
    return f"{seconds:g}s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def _short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _svg(mark: Mark) -> str:
    if mark.kind == "rect":
        return (
            f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" width="{mark.w:.1f}" '
            f'height="{mark.h:.1f}" rx="3" fill="{mark.colour}"/>'
        )
    if mark.kind == "line":
        x, y = f"{mark.x:.1f}", f"{mark.y:.1f}"
        return f'<path d="M{x} {y}l{mark.w:.1f} {mark.h:.1f}" stroke="{mark.colour}" fill="none"/>'
    return (
        f'<text x="{mark.x:.1f}" y="{mark.y + mark.size:.1f}" font-size="{mark.size}" '
        f'fill="{mark.colour}">{escape(mark.text)}</text>'
    )
