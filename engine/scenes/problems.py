"""What is wrong with a scene file, and where: one value per mistake, all of them at once.

Not here: finding the mistakes (source, variables, build, names).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One mistake, at a line and column that count from 1."""

    file: str
    line: int
    column: int
    text: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.level == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {mark}{self.text}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class SceneError(ValueError):
    """A scene that cannot be played; its text names every mistake on a line of its own."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(p for p in problems if p.level == "error"))
        count = f"{len(self.problems)} mistakes" if len(self.problems) > 1 else "a mistake"
        super().__init__("\n".join([f"the scene has {count}:", *map(str, self.problems)]))


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the likeliest one, or all there are."""
    names = sorted(known)
    near = get_close_matches(name[:80], names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not names:
        return "; this scene has none"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; there is {shown}"


def quoted(value: object) -> str:
    """A value as a message shows it, never longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "...'"
