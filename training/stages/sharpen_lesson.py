"""What the world learns from in a turn of `sharpen`, as values, and how far each goal pulls.

A lesson is tensors alone, so that a turn can be a CUDA graph (training.graphed). Not here: how
windows are drawn and how world and critic take turns (training.stages.sharpen).

Legend: B windows, C channels, h w rows and columns, E width of what the critic is told.
"""

from typing import NamedTuple

from torch import Tensor

from training.stages.readings import Deeds, Words
from training.stages.sharpen_critic import Shown
from training.stages.world import Told

STRONGEST = 3.0
"""Most that one window may follow the critic, over the median window: the critic's slope is
largest where a window has run away."""


class Trust(NamedTuple):
    """How far the truth is a goal for each window, [B]."""

    details: Tensor
    means: Tensor
    """Of each row of a picture."""


class Lesson(NamedTuple):
    """What the world learns from in one turn, of B windows."""

    asked: Told
    """With the past as the world sees it."""
    noise: Tensor
    """[B,C,1,h,w]"""
    seen: Tensor
    """[B,1,1,1,1] 0 where the critic does not see what came before"""
    real: Shown
    """With the truth last."""
    told: Tensor
    """[B,E] what the critic is told of what is made"""
    trust: Trust
    deeds: Deeds | None
    words: Words | None


class Learned(NamedTuple):
    """What a turn of the world gave, beside gradients."""

    values: dict[str, Tensor]
    made: Tensor
    """[B,C,1,h,w]"""
    three: Tensor
    """[B,C,3,h,w] as the critic sees it."""


class Wish(NamedTuple):
    """Something beside the truth that a world is to please."""

    weight: float
    loss: Tensor


def trusted_error(made: Tensor, truth: Tensor, trust: Trust) -> Tensor:
    """Squared error of [B,C,1,h,w], split into the means of rows and what is left of them."""
    apart = made - truth
    means = apart.mean(-1, keepdim=True)
    of_details, of_means = (x.square().mean((1, 2, 3, 4)) for x in (apart - means, means))
    return (of_details * trust.details + of_means * trust.means).mean()


def bounded(pull: Tensor) -> Tensor:
    """Slopes [B,...], none more than STRONGEST times as large as the median window's."""
    sizes = pull.flatten(1).norm(dim=1)
    some = (sizes > 0).sum()
    middle = len(sizes) - some + (some - 1) // 2  # of those above 0; nanmedian would wait for it
    median = sizes.sort().values.gather(0, middle[None])
    bound = (STRONGEST * median / (sizes + 1e-12)).clamp(max=1)
    return pull * bound.view(-1, *[1] * (pull.ndim - 1))
