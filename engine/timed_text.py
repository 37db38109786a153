"""The grammar of actions in time, as scripts and scenes write them: stretches and what they hold.

    0-23: move_forward; 24-47: look_yaw=-60, run     # a comment
    +2s: move_forward

Parts are separated by `;` or new lines; `#` begins a comment. Not here: what bounds mean, which
channels there are, and the wording of mistakes; scripts (engine.input.scripted) know frames alone,
scenes (engine.scenes.tracks) know times too.

    for part in parts("0-23: move_forward, look_yaw=-60"): part.bounds, part.held
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRETCH = re.compile(r"\+ *(?P<length>[\w.]+)|(?P<start>[\w.]+)(?: *- *(?P<stop>[\w.]+))?")
_PIECE = re.compile(r"[^;\n]+")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The texts of a stretch: `start`, `start - stop`, or `+ length` after the part before."""

    start: str = ""
    stop: str = ""
    length: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One stretch as it was written."""

    text: str
    """All of it, without the space around."""
    offset: int
    """Where it stands in the text."""
    line: int
    """The first line is 1."""
    colon: bool
    """Whether a colon parts stretch and channels."""
    stretch: str
    """What stands before the colon."""
    bounds: Bounds | None
    """The stretch, if it is one."""
    held: tuple[tuple[str, str | None], ...]
    """Channels and the texts of their values; None where there is no `=`."""


def parts(text: str) -> Iterator[Part]:
    """The parts of a text, in its order; nothing is refused here."""
    bare = re.sub("#[^\n]*", lambda comment: " " * len(comment[0]), text)
    for piece in _PIECE.finditer(bare):
        if words := piece[0].strip():
            offset = piece.start() + piece[0].index(words)
            yield _part(words, offset, line=1 + text.count("\n", 0, offset))


def number(text: str) -> float | None:
    """The value of a text; None for what is no number."""
    try:
        return float(text)
    except ValueError:
        return None


def _part(words: str, offset: int, *, line: int) -> Part:
    stretch, colon, channels = words.partition(":")
    match = _STRETCH.fullmatch(stretch.strip())
    return Part(
        text=words,
        offset=offset,
        line=line,
        colon=bool(colon),
        stretch=stretch.strip(),
        bounds=Bounds(**{k: v or "" for k, v in match.groupdict().items()}) if match else None,
        held=tuple(_held(entry) for entry in channels.split(",") if entry.strip()),
    )


def _held(entry: str) -> tuple[str, str | None]:
    name, equals, value = (word.strip() for word in entry.partition("="))
    return name, value if equals else None
