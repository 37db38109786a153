"""What a frozen encoder says of captions, kept where it computes: tables, and a row for each text.

A batch is told hundreds of captions several times a step. Looked up one by one and put together
anew, that is a thousand tensors; as rows of a table it is one index. Not here: the encoder.

Legend: L tokens, D text_dim, N captions.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

KEPT = 50_000
"""Captions whose states stay."""

Read = Callable[[list[str]], tuple[Tensor, Tensor]]
"""Texts to states [B,L,D] and mask [B,L]."""


class Sayings:
    """States, mask and mean state of every caption met so far."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._rows: dict[str, int] = {}
        self._tables: tuple[Tensor, ...] = ()

    def states(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """[B,L,D] and mask [B,L]."""
        at = self._at(texts)
        return self._tables[0][at], self._tables[1][at]

    def gist(self, texts: list[str]) -> Tensor:
        """[B,D] mean states."""
        at = self._at(texts)
        return self._tables[2][at]

    def _at(self, texts: list[str]) -> Tensor:
        """The row of each text, on the tables' device; new ones are read first."""
        new = self._unread(texts)
        if new and len(self._rows) + len(new) > KEPT:
            self._rows.clear()
            new = self._unread(texts)
        if new:
            self._add(new)
        rows = torch.tensor([self._rows[text] for text in texts])
        return rows.to(self._tables[0].device, non_blocking=True)

    def _unread(self, texts: Iterable[str]) -> list[str]:
        return [text for text in dict.fromkeys(texts) if text not in self._rows]

    @torch.no_grad()
    def _add(self, new: list[str]) -> None:
        states, mask = self._read(new)
        first, last = len(self._rows), len(self._rows) + len(new)
        parts = states, mask, states.float().mean(1)
        self._tables = tuple(
            _with_room(self._tables[i] if first else part[:0], last) for i, part in enumerate(parts)
        )
        for table, part in zip(self._tables, parts, strict=True):
            table[first:last] = part
        self._rows.update(zip(new, range(first, last), strict=True))


def _with_room(table: Tensor, rows: int) -> Tensor:
    """The table, or one of twice the room that begins with it."""
    if rows <= len(table):
        return table
    larger = table.new_zeros(2 * rows, *table.shape[1:])
    larger[: len(table)] = table
    return larger
