"""Prompts in force, encoded once: hidden states by text, and what the DiT makes of a blend.

Both are kept for the most recently used only, so that nothing grows with the number of prompts
typed. A prompt is always encoded alone, so that its bits do not depend on its company.

    cache = PromptCache(encoder, model.text_cache)
    text = cache.blend(track.blend)

L tokens, D text_dim.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from helios_core.text.api import TextEncoder

HIDDEN_KEPT = 32
"""Prompts whose hidden states are kept (4 MB each with UMT5 in bf16)."""
BLENDS_KEPT = 4
"""Blends whose keys and values are kept; one prompt in force is one blend."""
Value = TypeVar("Value")


class LastUsed(Generic[Value]):
    """A mapping that forgets what was not asked for longest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._items: OrderedDict[Hashable, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made when it is not there."""
        if key not in self._items:
            value = make()
            while len(self._items) >= self.size:
                self._items.popitem(last=False)
            self._items[key] = value
        self._items.move_to_end(key)
        return self._items[key]


class PromptCache:
    """Text encoder and the DiT's text projections behind two bounded caches."""

    def __init__(
        self,
        encoder: TextEncoder,
        project: Callable[[Tensor, Tensor | None], Any],
        *,
        turn: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        """`turn` brings the encoder onto the device while it is used."""
        self.encoder = encoder
        self._project = project
        self._turn = turn
        self._hidden: LastUsed[tuple[Tensor, Tensor | None]] = LastUsed(HIDDEN_KEPT)
        self._blends: LastUsed[Any] = LastUsed(BLENDS_KEPT)
        self._lock = Lock()

    def hidden(self, text: str) -> tuple[Tensor, Tensor | None]:
        """Hidden states [1, L, D] of a prompt, and its mask [1, L]."""

        def encode() -> tuple[Tensor, Tensor | None]:
            with self._turn():
                return self.encoder.encode([text])

        return self._hidden.get(text, encode)

    def blend(self, blend: tuple[tuple[str, float], ...]) -> Any:
        """What the DiT attends to for weighted texts."""
        with self._lock:
            return self._blends.get(blend, lambda: self._project(*self._mix(blend)))

    def _mix(self, blend: tuple[tuple[str, float], ...]) -> tuple[Tensor, Tensor | None]:
        if len(blend) == 1:
            return self.hidden(blend[0][0])
        parts = [self.hidden(text) for text, _ in blend]
        weighted = [hidden * weight for (hidden, _), (_, weight) in zip(parts, blend, strict=True)]
        masks = [mask for _, mask in parts if mask is not None]
        return torch.stack(weighted).sum(0), torch.stack(masks).any(0) if masks else None
