"""What a piece of work makes torch do: launches, bytes, new memory and floating-point operations.

with Counted() as counted:
    world.advance(state, actions)
assert counted.launches < 1000
"""

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Counts:
    """Operations that made or changed numbers; views are free."""

    launches: Counter = field(default_factory=Counter)
    bytes: int = 0
    """Read and written by those operations, each tensor once."""
    allocations: int = 0
    """Storages that no input had."""


class Counted(TorchDispatchMode):
    """Counts while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()

    @property
    def launches(self) -> int:
        return self.counts.launches.total()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        out = func(*args, **(kwargs or {}))
        made = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        known = {place(t) for t in given}
        new = [t for t in made if place(t) not in known]
        if new or func._schema.is_mutable or not given:
            self.counts.launches[str(func)] += 1
            self.counts.allocations += len(new)
            self.counts.bytes += sum(size(t) for t in (*given, *new))
        return out


def place(tensor: Tensor) -> int:
    """Identity of the memory; weights that only oneDNN reads have none of their own."""
    return id(tensor) if tensor.is_mkldnn else tensor.untyped_storage()._cdata


def size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def flops(work) -> int:
    """Operations of the matrix products, convolutions and attentions of `work`."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        work()
    return counter.get_total_flops()
