"""Backward passes through several losses of one sample, with one loss's activations at a time.

    values = backward_through(sample, {"regression": f, "adversarial": g})

`backward_together` is the plain way, which keeps all graphs until the end; `backward_each` and
`backward_sum` are the same two for losses without a sample in common. Each pair leaves the same
gradients; tests compare them.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor

Term = Callable[[Tensor], Tensor]
"""A loss as a function of the sample."""


def backward_through(
    sample: Tensor,
    terms: Mapping[str, Term],
    *,
    during: AbstractContextManager[None] | None = None,
) -> dict[str, Tensor]:
    """Each term's gradient at the sample is taken and its graph freed; then one pass below it.

    The peak is the sample's own graph plus the largest term, not plus the sum of the terms.
    `during` holds for the terms alone: what only they need may be gone for the pass below.
    """
    leaf = sample.detach().requires_grad_(True)
    with during or nullcontext():
        values = backward_each({n: partial(term, leaf) for n, term in terms.items()})
    assert leaf.grad is not None, "no term depends on the sample"
    sample.backward(leaf.grad)
    return values


def backward_together(
    sample: Tensor,
    terms: Mapping[str, Term],
    *,
    during: AbstractContextManager[None] | None = None,
) -> dict[str, Tensor]:
    """Sum of all terms, one backward pass, all of it `during`."""
    with during or nullcontext():
        return backward_sum({n: partial(term, sample) for n, term in terms.items()})


def backward_each(losses: Mapping[str, Callable[[], Tensor]]) -> dict[str, Tensor]:
    """Losses with no sample in common: each computed when the graph before it is gone."""
    values = {}
    for name, loss in losses.items():
        value = loss()
        value.backward()
        values[name] = value.detach()
        del value
    return values


def backward_sum(losses: Mapping[str, Callable[[], Tensor]]) -> dict[str, Tensor]:
    """All of them, then one backward pass."""
    values = {name: loss() for name, loss in losses.items()}
    torch.stack(list(values.values())).sum().backward()
    return {name: value.detach() for name, value in values.items()}
