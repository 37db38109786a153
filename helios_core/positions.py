"""Where every token of a chunk sits, as rotary tables, for one model config.

Positions depend on sizes and frame indices only, which are few per session, so tables are made
once and the newest few are kept. Not here: how a table is computed (rope) or used (attention).

Dimensions: N tokens, P = head width / 2, W pixel frames per latent frame.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from helios_core.config import TransformerConfig, token_grid
from helios_core.memory import FrameIndices, frame_indices
from helios_core.rope import rotary_table

TABLES_KEPT = 32
"""Sizes, stages and devices of a session are fewer."""

Frames = tuple[float, ...]


class Positions:
    """Rotary tables [N,P,2] of a model, made when first asked for."""

    def __init__(self, config: TransformerConfig) -> None:
        self.config = config
        self._tables: dict[tuple, Tensor] = {}

    def indices(self, given: FrameIndices | None, frames: int) -> FrameIndices:
        """The indices that came with a history, or those of the config."""
        sizes, anchor = self.config.history_sizes, self.config.anchor
        return given or frame_indices(sizes, frames, anchor=anchor)

    def noisy(self, given: FrameIndices | None, frames: int) -> Frames:
        """Frame indices of the noisy latent frames."""
        found = self.indices(given, frames).noisy
        if len(found) != frames:
            raise ValueError(
                f"{frames} noisy latent frames but {len(found)} frame indices: "
                "give the history none, or as many"
            )
        return found

    def grid(self, frames: Frames, rows: int, columns: int, pool: int, device) -> Tensor:
        """Tokens of latent frames of rows x columns, averaged over `pool` tokens per axis."""
        dims, theta = self.config.rope_dim, self.config.rope_theta
        size = token_grid(self.config, rows, columns)
        return self._kept(
            (frames, size, pool, device),
            lambda: rotary_table(frames, *size, dims=dims, theta=theta, pool=pool, device=device),
        )

    def time(self, frames: Frames, repeats: int, device) -> Tensor | None:
        """Each latent frame `repeats` times, turned by time only.

        None for a single frame: a turn that queries and keys share changes no attention.
        """
        if len(frames) == 1:
            return None
        dims, theta = self.config.rope_dim, self.config.rope_theta
        places = tuple(frame for frame in frames for _ in range(repeats))
        return self._kept(
            (frames, repeats, device),
            lambda: rotary_table(places, 1, 1, dims=dims, theta=theta, device=device),
        )

    def _kept(self, key: tuple, make: Callable[[], Tensor]) -> Tensor:
        if key not in self._tables:
            if len(self._tables) >= TABLES_KEPT:
                self._tables.pop(next(iter(self._tables)))
            with torch.inference_mode(False):  # a training step may use it later
                self._tables[key] = make()
        return self._tables[key]


def earlier_or_same(frames: int, queries: int, keys: int, device) -> Tensor | None:
    """Mask [frames * queries, frames * keys]: who belongs to this latent frame or one before.

    None where one frame sees everything there is.
    """
    if frames == 1:
        return None
    own = torch.arange(frames, device=device)
    return own.repeat_interleave(queries)[:, None] >= own.repeat_interleave(keys)[None, :]
