"""Whether a world's latents read as the true ones do: its actions, and what its text says.

A frozen reader (training.stages.reader) looks at what the world made and at what is true under the
same actions and the same text. A world is never asked to show more than the truth does, for a
reader can be pleased by exaggeration. Not here: how the reader learns, how much its wishes weigh.

Legend: B windows, S >= B sentences, C channels, h w rows and columns, A action channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.windows import LatentSet, Window, gather
from training.stages.context import StepContext
from training.stages.reader import (
    Reader,
    Sentences,
    mistaken,
    sentences,
    spread_of,
    three_of,
)
from training.stages.world import TrainWorld
from training.trainer.draw import Draw

OTHERS = 480
"""Sentences of other moments that a latent might say instead: so many that dozens are of the same
place, and only the weather or the hour tells them apart."""


class Deeds(NamedTuple):
    """What the actions of a batch truly look like."""

    three: Tensor
    """[B,C,3,h,w] two true latents and the one after them."""
    count: Tensor
    """[B] whether the window follows footage or a run of its own, and was told its actions."""


class Words(NamedTuple):
    """What the texts of a batch truly look like, and what else might have been said."""

    true: Tensor
    """[B,C,h,w]"""
    said: Tensor
    """[S,text] the mean state of each sentence, those of the windows first."""
    among: Sentences


class Readings:
    """A reader, and the true latents that it compares with."""

    def __init__(
        self, reader: Reader, data: LatentSet, world: TrainWorld, context: StepContext
    ) -> None:
        self.reader, self.data, self.world, self.context = reader, data, world, context
        self.spread = spread_of(data)

    def deeds(self, window: Window) -> Deeds:
        follows = window.past[:, -2] == window.target[:, 0] - 2
        return Deeds(three_of(self.data, window), follows & window.action_mask)

    @torch.no_grad()
    def words(self, window: Window, says: Tensor, draw: Draw) -> Words:
        """`says` [B]: a latent of the data that is truly as each window's text says."""
        others = draw.integers(0, len(self.data.latents), OTHERS)
        texts = window.texts + self.data.texts_at(others, 0.0, draw)
        true = gather(self.data.latents, says[:, None])[:, :, 0]
        among = sentences(texts, len(true), true.device)
        return Words(true, self.world.gist(texts), among)

    def actions(self, deeds: Deeds, own: Tensor, made: Tensor) -> Tensor:
        """How far apart the actions read; own past [B,C,2,h,w], made [B,C,1,h,w]."""
        with self.context.autocast():
            with torch.no_grad():
                wanted = self.reader.actions(deeds.three)
            read = self.reader.actions(torch.cat([own, made], 2))
        apart = functional.smooth_l1_loss(
            read / self.spread, wanted / self.spread, reduction="none"
        ).mean(1)
        return (apart * deeds.count).sum() / deeds.count.sum().clamp(min=1)

    def text(self, words: Words, made: Tensor) -> Tensor:
        """How much less what was made [B,C,1,h,w] says its text than the truth would."""
        true, said, among = words
        told = among.said[: len(made)] >= 0
        with self.context.autocast():
            with torch.no_grad():
                fair = mistaken(self.reader.match(true, said), among)
            less = functional.relu(mistaken(self.reader.match(made[:, :, 0], said), among) - fair)
        return (less * told).sum() / told.sum().clamp(min=1)
