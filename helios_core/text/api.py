"""What the world and the training know of a text encoder, and the report on a prompt's words.

An encoder returns hidden states of a fixed length that are zero past the prompt's own tokens, and
a mask of those that the DiT attends to. The released model attends to all, zeros included: its
mask is None.

    [r for r in report_words("a medow at noon", known) if not r.known]

B prompts, L tokens, D text_dim.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from torch import Tensor

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


class TextEncoder(Protocol):
    """Prompts to hidden states."""

    text_dim: int
    """D."""
    max_tokens: int
    """L, the same for every prompt."""
    known_words: frozenset[str] | None
    """Words that it was taught; None when it takes any language."""

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Hidden states [B, L, D], zero past each prompt's tokens, and the mask [B, L] or None."""
        ...


@dataclass(frozen=True, kw_only=True)
class WordReport:
    """What an encoder makes of one word of a prompt."""

    word: str
    """As typed."""
    span: tuple[int, int]
    """Where it stands in the prompt, in characters."""
    known: bool
    """Whether the encoder was taught it."""
    suggestion: str | None
    """The nearest taught word of an unknown one, if any is near."""


def words_of(text: str) -> list[str]:
    """The words of a prompt, lower case, without punctuation."""
    return [match.group().lower() for match in WORD.finditer(text)]


def report_words(text: str, known: Collection[str] | None) -> list[WordReport]:
    """Every word of a prompt, with whether it is known; all are when `known` is None."""
    rows = []
    for match in WORD.finditer(text):
        word = match.group().lower()
        fine = known is None or word in known
        near = [] if fine or known is None else get_close_matches(word, known, 1, 0.7)
        suggestion = near[0] if near else None
        rows.append(
            WordReport(word=match.group(), span=match.span(), known=fine, suggestion=suggestion)
        )
    return rows
