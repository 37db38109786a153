"""Frozen weights that live in host memory and visit the device while they are used.

Several large models take turns on one GPU: what is frozen never changes, so leaving costs nothing
but dropping the device's copy, and coming is one copy from pinned memory that can begin early.

    teacher = Lodger(teacher_dit, device)
    teacher.prefetch()                 # the copy runs beside what the device does now
    with teacher.visiting(): ...

Trainable parameters (an adapter's, say) stay on the device throughout.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn


class Lodger:
    """One model's frozen parameters, at home or visiting."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.device = device
        self.params = [p for p in module.parameters() if not p.requires_grad]
        if not self.params:
            raise ValueError("nothing to move: only frozen weights leave the device; use adapters")
        pin = device.type == "cuda"
        self.home = [p.detach().to("cpu", copy=True) for p in self.params]
        if pin:
            self.home = [t.pin_memory() for t in self.home]
        self.stream = torch.cuda.Stream(device) if pin else None
        self.coming: list[Tensor] | None = None
        self.leave()

    @property
    def bytes(self) -> int:
        """What a visit takes of the device's memory."""
        return sum(t.numel() * t.element_size() for t in self.home)

    def prefetch(self) -> None:
        """Begin the copy; nothing waits for it yet."""
        if self.coming is not None:
            return
        if self.stream is None:
            self.coming = [t.to(self.device, copy=True) for t in self.home]
            return
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            self.coming = [t.to(self.device, non_blocking=True) for t in self.home]

    def arrive(self) -> None:
        """Put the device's copies in place, waiting for them if they are under way."""
        self.prefetch()
        assert self.coming is not None
        if self.stream is not None:
            now = torch.cuda.current_stream(self.device)
            now.wait_stream(self.stream)
            for tensor in self.coming:
                tensor.record_stream(now)
        for param, tensor in zip(self.params, self.coming, strict=True):
            param.data = tensor
        self.coming = None

    def leave(self) -> None:
        """Drop the device's copies."""
        for param, tensor in zip(self.params, self.home, strict=True):
            param.data = tensor

    @contextmanager
    def visiting(self) -> Iterator[None]:
        self.arrive()
        try:
            yield
        finally:
            self.leave()


class Resident:
    """Stands where a Lodger might: weights that never leave the device."""

    def prefetch(self) -> None:
        pass

    def visiting(self) -> AbstractContextManager[None]:
        return nullcontext()
