"""A CUDA graph that is only pretended: operations noted down below autograd, and done again.

As on a GPU, a replay runs no Python of the function, reads and writes the very tensors of the
capture, and what a capture refuses is refused: reading a value, making a tensor from Python's
numbers, and, on a pretended GPU (tests.training.pretend_cuda), copies from the host or to it. Not
seen: streams, a private pool of memory.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

REFUSED = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "lift_fresh",
           "masked_select", "_unique2", "nanmedian", "rand", "randn", "randint", "rand_like",
           "randn_like", "normal_", "uniform_", "bernoulli_", "multinomial"}  # fmt: skip
"""What waits for the GPU, comes from the host, or differs from call to call."""


class Tape(TorchDispatchMode):
    """Notes what is done, to do it again."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[Callable, tuple, dict, list[Tensor]]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in REFUSED or by_mask:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        out = func(*args, **kwargs)
        tensors = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.notes.append((func, args, kwargs, tensors))
        return out

    def replay(self) -> None:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for func, args, kwargs, tensors in self.notes:
                again = [x for x in tree_leaves(func(*args, **kwargs)) if isinstance(x, Tensor)]
                for mine, new in zip(tensors, again, strict=True):
                    if mine.numel() and mine.data_ptr() != new.data_ptr():
                        mine.copy_(new)


def capturing() -> bool:
    """Whether a tape notes what is being done."""
    return isinstance(_get_current_dispatch_mode(), Tape)


def by_tape(plainly: Callable[[], Any], run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """In the place of `training.graphed.by_cuda`."""
    plainly()
    tape = Tape()
    with tape:
        out = run()
    return out, tape.replay
