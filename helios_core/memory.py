"""What the model remembers: a history of constant size, and where its frames sit in time.

The newest latent frames stay sharp, older ones are compressed, and one anchor frame is kept for
the whole shot. Frame indices are relative to the chunk being made, so no number grows with play
time. Pure functions over values; who keeps the frames is `helios_core.world`. Not here: the
patchers that turn history into tokens (helios_core.transformer).

    sizes = (16, 2, 1)
    frames = blank_frames(sizes, (1, 24, 8, 12))            # text to video: a history of zeros
    history = make_history(frames, anchor=None, sizes=sizes)
    frames = append_frames(frames, new_latents)              # same length as before

Dimensions: B batch, C channels, h w latent rows and columns, K = sum(sizes) kept latent frames,
T latent frames of a chunk.
"""

from collections.abc import Sequence
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

    def to(self, *args, **kwargs) -> "History":
        """The same history on another device or in another dtype."""

        def move(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.to(*args, **kwargs)

        return History(
            short=self.short.to(*args, **kwargs),
            mid=move(self.mid),
            long=move(self.long),
            indices=self.indices,
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


def blank_frames(
    sizes: HistorySizes,
    shape: tuple[int, int, int, int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """History of nothing, [B,C,K,h,w] zeros, for a latent shape (B, C, h, w)."""
    batch, channels, rows, columns = shape
    return torch.zeros(batch, channels, sum(sizes), rows, columns, dtype=dtype, device=device)


def append_frames(kept: Tensor, new: Tensor) -> Tensor:
    """The newest K frames of kept [B,C,K,h,w] followed by new [B,C,T,h,w]."""
    size = kept.shape[2]
    if new.shape[2] >= size:
        return new[:, :, new.shape[2] - size :]
    return torch.cat([kept[:, :, new.shape[2] :], new], dim=2)


def join_groups(groups: Sequence[Tensor], sizes: HistorySizes, like: Tensor) -> Tensor:
    """The newest K frames of chunks [B,C,T_i,h,w], zeros in front when there are fewer.

    `like` [B,C,*,h,w] gives shape, dtype and device of the zeros.
    """
    frames, needed = [], sum(sizes)
    for group in reversed(groups):
        if needed == 0:
            break
        frames.insert(0, group[:, :, -needed:])
        needed -= frames[0].shape[2]
    if needed:
        batch, channels, _, rows, columns = like.shape
        frames.insert(0, like.new_zeros(batch, channels, needed, rows, columns))
    return torch.cat(frames, dim=2)


def groups_needed(lengths: Sequence[int], sizes: HistorySizes) -> int:
    """How many of the newest groups hold K frames: what a state keeps, no more."""
    total = 0
    for count, length in enumerate(reversed(lengths), start=1):
        total += length
        if total >= sum(sizes):
            return count
    return len(lengths)


def make_history(
    kept: Tensor, anchor: Tensor | None, sizes: HistorySizes, *, use_anchor: bool = True
) -> History:
    """The model's view of kept [B,C,K,h,w] and anchor [B,C,1,h,w] (None = zeros)."""
    if kept.shape[2] != sum(sizes):
        raise ValueError(
            f"the history holds {kept.shape[2]} latent frames; this model wants {sum(sizes)}: "
            "build it with blank_frames, append_frames or join_groups"
        )
    long, mid, recent = kept.split(sizes, dim=2)
    if use_anchor:
        front = torch.zeros_like(kept[:, :, :1]) if anchor is None else anchor
        recent = torch.cat([front, recent], dim=2)
    return History(long=long, mid=mid, short=recent)


def reanchor(kept: Tensor) -> Tensor:
    """A new anchor [B,C,1,h,w]: the newest clean frame."""
    return kept[:, :, -1:]


def cut(
    kept: Tensor, anchor: Tensor | None, *, keep_anchor: bool, keep_last: int
) -> tuple[Tensor, Tensor | None]:
    """A new shot: only the anchor and the newest `keep_last` frames survive, as asked."""
    size = kept.shape[2]
    if not 0 <= keep_last <= size:
        raise ValueError(f"keep_last = {keep_last}: give 0 to {size} latent frames")
    fresh = torch.zeros_like(kept)
    fresh[:, :, size - keep_last :] = kept[:, :, size - keep_last :]
    return fresh, anchor if keep_anchor else None
