"""How much tensor memory a piece of code holds at its peak, counted storage by storage.

Works on real tensors and, under `FakeTensorMode`, on tensors that were never allocated: so a 14B
training step can be measured on a laptop. It counts what tensors ask for, on the device that the
code names; an allocator's own slack comes on top.

    with Tracker() as tracker:
        loss(model(x)).backward()
    tracker.peak
"""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tracker(TorchDispatchMode):
    """Counts living bytes of every storage that it sees made."""

    def __init__(self, *known: torch.Tensor) -> None:
        """`known` tensors, such as a model's weights, count from the start."""
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()
        for tensor in known:
            self._note(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf)
        return out

    def count(self, size: int) -> None:
        """Bytes that come or (negative) go without a tensor being made."""
        self.now += size
        self.peak = max(self.peak, self.now)

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._seen:
            return
        self._seen.add(key)
        size = storage.nbytes()
        self.count(size)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size
