"""What the model remembers: a history of constant size, and where its frames sit in time.

The newest latent frames stay sharp, older ones are compressed, and one anchor frame is kept for
the whole shot. Frame indices are relative to the chunk being made, so no number grows with play
time. Not here: who keeps the frames, renews the anchor and cuts (helios_core.state and world), and
the patchers that turn history into tokens (helios_core.transformer).

    history = make_history(kept, anchor, (16, 2, 1))   # the newest 19 frames, oldest first

Dimensions: B batch, C channels, h w latent rows and columns, K = sum(sizes) kept latent frames,
T latent frames of a chunk.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

HistorySizes = tuple[int, int, int]
"""Kept latent frames: (long, mid, recent), oldest first."""


class FrameIndices(NamedTuple):
    """Positions in time of every latent frame that the model sees."""

    long: tuple[float, ...]
    mid: tuple[float, ...]
    short: tuple[float, ...]
    noisy: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """What a chunk is continued from; a part may be missing, but mid and long need short."""

    short: Tensor
    """[B,C,1+recent,h,w] with an anchor in front, [B,C,recent,h,w] without."""
    mid: Tensor | None = None
    """[B,C,mid,h,w]"""
    long: Tensor | None = None
    """[B,C,long,h,w]"""
    indices: FrameIndices | None = None
    """Where the frames sit in time; None = `frame_indices` of the model's sizes."""
    recent: int = 1
    """Recent latents in `short`, without the anchor."""

    @property
    def latest(self) -> Tensor:
        """The two latents right before the chunk [B,C,2,h,w]; zeros where a session begins."""
        recent = self.short[:, :, -1:]
        before = torch.zeros_like(recent) if self.mid is None else self.mid[:, :, -1:]
        if self.recent > 1:
            before = self.short[:, :, -2:-1]
        return torch.cat([before, recent], dim=2)

    def to(self, *args, **kwargs) -> "History":
        """The same history on another device or in another dtype."""

        def move(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.to(*args, **kwargs)

        return History(
            short=self.short.to(*args, **kwargs),
            mid=move(self.mid),
            long=move(self.long),
            indices=self.indices,
            recent=self.recent,
        )


def frame_indices(sizes: HistorySizes, frames: int, *, anchor: bool = True) -> FrameIndices:
    """Anchor 0, then long, mid, recent and the noisy frames, counted through."""
    long, mid, recent = sizes
    first = 1 if anchor else 0
    ends = [first, first + long, first + long + mid, first + long + mid + recent]
    span = [tuple(float(i) for i in range(a, b)) for a, b in pairwise(ends)]
    noisy = tuple(float(i) for i in range(ends[-1], ends[-1] + frames))
    return FrameIndices(
        long=span[0], mid=span[1], short=((0.0,) if anchor else ()) + span[2], noisy=noisy
    )


def make_history(
    kept: Tensor, anchor: Tensor | None, sizes: HistorySizes, *, use_anchor: bool = True
) -> History:
    """The model's view of kept [B,C,K,h,w] and anchor [B,C,1,h,w] (None = zeros)."""
    if kept.shape[2] != sum(sizes):
        raise ValueError(
            f"the history holds {kept.shape[2]} latent frames; this model wants {sum(sizes)}: "
            "put zeros in front of a shorter one"
        )
    long, mid, recent = kept.split(sizes, dim=2)
    if use_anchor:
        front = torch.zeros_like(kept[:, :, :1]) if anchor is None else anchor
        recent = torch.cat([front, recent], dim=2)
    return History(long=long, mid=mid, short=recent, recent=sizes[2])
