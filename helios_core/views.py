"""Views of a pack: pictures of places, each with words, for a world that has nothing but a text.

A small world paints a first picture badly and goes on well from one. So where nothing is behind a
chunk - at a start from text, after a cut to nothing - it begins from the view whose words are
nearest to the prompt's, as the pack's own text encoder hears both; what the view does not show yet
is painted in from there. Which of several views with the same words it is, the seed says. Not here:
presets (a prompt and its own picture), files (helios_core.packs).

    views = Views(pictures, texts, encoder)
    picture = views.pictures[views.nearest("a beach at dusk", seed=0)]

V views, S sentences, L tokens, D text width, H W pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from helios_core.text.api import TextEncoder

SENTENCES_AT_ONCE = 64
"""Sentences that are encoded in one pass."""


class Views:
    """Pictures [V, H, W, 3] and how they may be called; all of it fixed."""

    def __init__(
        self, pictures: np.ndarray, texts: Sequence[Sequence[str]], encoder: TextEncoder
    ) -> None:
        if len(pictures) != len(texts) or not all(texts):
            raise ValueError(f"{len(pictures)} views and words for {len(texts)}: give each some")
        self.pictures = pictures
        self._encoder = encoder
        self._called: dict[str, list[int]] = {}
        for view, names in enumerate(texts):
            for name in names:
                self._called.setdefault(name, []).append(view)
        self._names = list(self._called)
        self._heard = self._hear(self._names)  # [S, D]

    def nearest(self, prompt: str, *, seed: int) -> int:
        """The view to begin from; any of them if nothing is asked for."""
        if not prompt.strip():
            return seed % len(self.pictures)
        likeness = self._hear([prompt])[0] @ self._heard.T
        views = self._called[self._names[int(likeness.argmax())]]
        return views[seed % len(views)]

    @torch.inference_mode()
    def _hear(self, texts: Sequence[str]) -> Tensor:
        """Directions [S, D] of the mean hidden states, on the CPU."""
        rows = []
        for i in range(0, len(texts), SENTENCES_AT_ONCE):
            hidden, _ = self._encoder.encode(list(texts[i : i + SENTENCES_AT_ONCE]))
            rows.append(functional.normalize(hidden.float().mean(1), dim=1).cpu())
        return torch.cat(rows)
