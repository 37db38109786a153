"""The small values of a scene file: spans of world time, colours, names, names of files.

Each is a type that parses one YAML scalar, complains with a remedy, and describes itself as JSON
Schema. Not here: expressions and action tracks, which are languages of their own.

    Span.parse("1m30s").frames_at(20)  # 1800
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from engine.scenes.problems import quoted

Ease = Literal["linear", "smooth", "in", "out"]
"""How a change spreads over its duration: evenly, softly at both ends, late, or early."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s|f)")
_FRAME = re.compile(r"frames? (\d+)|(\d+) frames?")
_LONGEST = 1e6
ASSETS = Path(__file__).resolve().parents[2] / "assets"
"""What ships with the engine; a scene may name files below it as `assets/...`."""


@dataclass(frozen=True)
class Reference:
    """Marks a text that must be the name of something: `Annotated[str, Reference("prompt")]`."""

    kind: Literal["prompt", "macro", "phase", "channel", "key", "variable"]


@dataclass(frozen=True)
class Range:
    """Marks a number's smallest and largest value."""

    low: float
    high: float

    def check(self, value: float) -> None:
        if not self.low <= value <= self.high:
            raise ValueError(f"{value:.12g} is outside {self.low:.12g} to {self.high:.12g}")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A length of world time, in seconds and frames; never wall time."""

    seconds: float = 0.0
    frames: int = 0

    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^((\d+(\.\d+)?(ms|h|m|s|f))+|frames? \d+|\d+ frames?)$",
        "examples": ["12s", "1m30s", "500ms", "frame 288", "40f"],
    }
    MEANS: ClassVar[str] = "time"

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value).strip()
        whole = _FRAME.fullmatch(text)
        if whole:
            return cls._checked(0.0, int((whole[1] or whole[2])[:12]))
        parts = _PART.findall(text)
        if not parts or "".join(n + u for n, u in parts) != text.replace(" ", ""):
            hint = f"; did you mean {text}s?" if _is_number(text) else ""
            raise ValueError(
                f"{quoted(value)} is not a time{hint or '; write 12s, 1m30s, 500ms or frame 288'}"
            )
        seconds = sum(float(n) * _UNITS[u] for n, u in parts if u != "f")
        return cls._checked(seconds, sum(int(float(n)) for n, u in parts if u == "f"))

    @classmethod
    def _checked(cls, seconds: float, frames: int) -> Self:
        if seconds > _LONGEST or frames > _LONGEST * 60:
            raise ValueError("longer than a million seconds; use `every` or a phase instead")
        return cls(seconds=seconds, frames=frames)

    def frames_at(self, fps: int) -> int:
        """Pixel frames of world time."""
        return round(self.seconds * fps) + self.frames

    def seconds_at(self, fps: int) -> float:
        return self.seconds + self.frames / fps

    def __str__(self) -> str:
        seconds = f"{self.seconds:g}s" if self.seconds or not self.frames else ""
        return seconds + (f"{self.frames}f" if self.frames else "")


_COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (190, 30, 30),
    "green": (40, 140, 60),
    "blue": (40, 80, 180),
    "grey": (128, 128, 128),
    "gold": (230, 180, 60),
    "night": (8, 10, 30),
}


@dataclass(frozen=True)
class Colour:
    """Red, green and blue from 0 to 255."""

    red: int
    green: int
    blue: int

    SCHEMA: ClassVar[dict[str, Any]] = {
        "anyOf": [{"enum": list(_COLOURS)}, {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}]
    }
    MEANS: ClassVar[str] = "colour"

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value)
        if text in _COLOURS:
            return cls(*_COLOURS[text])
        if re.fullmatch("#[0-9a-fA-F]{6}", text):
            return cls(*bytes.fromhex(text[1:]))
        names = ", ".join(_COLOURS)
        raise ValueError(f'{quoted(value)} is not a colour; write "#20304f" or one of {names}')

    @property
    def rgb(self) -> tuple[int, int, int]:
        return (self.red, self.green, self.blue)


@dataclass(frozen=True)
class Named:
    """Marks a text that must have the form of a name."""

    pattern: ClassVar[str] = "^[a-z][a-z0-9_]{0,39}$"

    def check(self, text: str) -> None:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(
                f"{quoted(text)} is not a name; use lower case letters, digits and _, "
                "at most 40, starting with a letter"
            )


Name = Annotated[str, Named()]
"""A name that the scene gives to something, usable in expressions."""


class FileName(str):
    """A file in the scene's own folder or below it, or one that ships: `assets/...`."""

    SCHEMA: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 120}
    MEANS: ClassVar[str] = "file"

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value)
        path = PurePosixPath(text)
        bad = len(text) > 120 or set(text) & set("\\:\0~*?\n") or ".." in path.parts
        if bad or path.is_absolute() or not path.parts:
            raise ValueError(
                f"{quoted(value)} is not a file beside the scene; a scene names files in its own "
                "folder, such as sounds/wind.ogg, or shipped ones, such as assets/fonts/x.ttf"
            )
        return cls(text)

    def resolve_in(self, folder: Path) -> Path:
        """Where the file is; a ValueError if links lead it out of the folder it belongs to."""
        parts = PurePosixPath(self).parts
        shipped = parts[0] == "assets" and not (folder / "assets").is_dir()
        root = (ASSETS.parent if shipped else folder).resolve()
        path = root.joinpath(*parts).resolve()
        if not path.is_relative_to((ASSETS if shipped else root).resolve()):
            raise ValueError(f"{self!s} leads out of the scene's folder")
        return path


def eased(share: float, ease: Ease) -> float:
    """Progress 0..1 of a change, after a share 0..1 of its duration."""
    share = min(1.0, max(0.0, share))
    if ease == "smooth":
        return share * share * (3 - 2 * share)
    if ease == "in":
        return share * share
    if ease == "out":
        return share * (2 - share)
    return share


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
