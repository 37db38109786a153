"""The line in which the player types what should happen next.

`PromptLine` is its state and its editing, without pygame; `draw` is its picture. Words that the
world was never taught are dimmed and the nearest known one is offered. Not here: what a prompt
does to the world.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

HISTORY = 200
"""Lines remembered, in memory and in the file."""
LONGEST = 600
"""Characters of a prompt."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


class UnknownWord(NamedTuple):
    """A word that the world was never taught."""

    start: int
    end: int
    suggestion: str
    """The nearest known word, or empty."""


def unknown_words(text: str, known: frozenset[str] | None) -> list[UnknownWord]:
    """Words of a text that a world does not know; none for a world that takes any language."""
    if known is None:
        return []
    found = []
    for match in _WORD.finditer(text):
        word = match.group().lower()
        parts = re.split(r"['’-]", word)
        if word in known or all(part in known for part in parts):
            continue
        found.append(UnknownWord(match.start(), match.end(), _nearest(word, known)))
    return found


@lru_cache(maxsize=256)
def _nearest(word: str, known: frozenset[str]) -> str:
    """Kept, since the line is drawn again and again while it is open."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return near[0] if near else ""


@dataclass(frozen=True)
class Submitted:
    """The player finished the line; empty text means that she thought better of it."""

    text: str


class PromptLine:
    """Editing, history and suggestions of one line of text."""

    def __init__(
        self,
        *,
        known: frozenset[str] | None = None,
        history: Sequence[str] = (),
        history_file: Path | None = None,
    ) -> None:
        self.known = known
        self.text = ""
        self.caret = 0
        self.composing = ""
        """What an input method is putting together at the caret; not yet part of the text."""
        self.problem = ""
        """Why the last line is not remembered in the file, if it is not."""
        self._file = history_file
        self.history = [*(_read(history_file) if history_file else []), *history][-HISTORY:]
        self._at = len(self.history)
        self._draft = ""

    @property
    def unknown(self) -> list[UnknownWord]:
        return unknown_words(self.text, self.known)

    def insert(self, text: str) -> None:
        """Typed, pasted or composed text; line breaks become spaces."""
        clean = _clean(text[: max(0, LONGEST - len(self.text))])
        self.text = self.text[: self.caret] + clean + self.text[self.caret :]
        self.caret += len(clean)
        self.composing = ""

    def compose(self, text: str) -> None:
        self.composing = text

    def key(self, name: str, *, ctrl: bool = False) -> Submitted | None:
        """An editing key; the answer is not None when the line is over."""
        if self.composing:
            return None  # the input method has the keys until it is done
        if name in ("return", "enter"):
            return self._submit()
        if name == "escape":
            return Submitted("")
        edit = {
            "backspace": lambda: self._delete(self._left(ctrl), self.caret),
            "delete": lambda: self._delete(self.caret, self._right(ctrl)),
            "left": lambda: self._move(self._left(ctrl)),
            "right": lambda: self._move(self._right(ctrl)),
            "home": lambda: self._move(0),
            "end": lambda: self._move(len(self.text)),
            "up": lambda: self._recall(-1),
            "down": lambda: self._recall(1),
            "tab": self.accept_suggestion,
        }.get(name)
        if edit:
            edit()
        elif ctrl and name in ("a", "e"):
            self._move(0 if name == "a" else len(self.text))
        elif ctrl and name == "u":
            self._delete(0, self.caret)
        return None

    def accept_suggestion(self) -> None:
        """Put the offered word in the place of the first unknown one that has an offer."""
        for word in self.unknown:
            if word.suggestion:
                self.text = self.text[: word.start] + word.suggestion + self.text[word.end :]
                self.caret = word.start + len(word.suggestion)
                return

    def open(self) -> None:
        """A fresh line."""
        self.text, self.caret, self.composing = "", 0, ""
        self._at, self._draft = len(self.history), ""

    def _submit(self) -> Submitted:
        text = " ".join(self.text.split())
        if text and (not self.history or self.history[-1] != text):
            self.history = [*self.history, text][-HISTORY:]
            self.problem = self._remember(text)
        return Submitted(text)

    def _remember(self, text: str) -> str:
        """Keep a line beside what other windows have kept meanwhile; why not, where the file
        cannot be written. The line counts anyway."""
        try:
            if self._file is not None:
                _write(self._file, [*_read(self._file), text][-HISTORY:])
        except OSError as error:
            return f"prompts are not remembered: {error}"
        return ""

    def _move(self, to: int) -> None:
        self.caret = min(len(self.text), max(0, to))

    def _delete(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.caret = start

    def _left(self, word: bool) -> int:
        if not word:
            return max(0, self.caret - 1)
        before = self.text[: self.caret].rstrip()
        return before.rfind(" ") + 1

    def _right(self, word: bool) -> int:
        if not word:
            return min(len(self.text), self.caret + 1)
        after = re.match(r"\s*\S*", self.text[self.caret :])
        return self.caret + (after.end() if after else 0)

    def _recall(self, step: int) -> None:
        if self._at == len(self.history):
            self._draft = self.text
        self._at = min(len(self.history), max(0, self._at + step))
        self.text = self._draft if self._at == len(self.history) else self.history[self._at]
        self.caret = len(self.text)


def _read(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = map(_clean, path.read_text(encoding="utf-8", errors="replace").splitlines())
    return [line[:LONGEST] for line in lines if line.strip()]


def _clean(text: str) -> str:
    """Without signs that cannot be shown, as a damaged file may hold."""
    return "".join(c if c.isprintable() else " " for c in text)


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)
