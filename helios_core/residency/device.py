"""What the executor asks of a device: buffers, copies beside the computation, and waiting.

`CudaDevice` copies on a side stream from pinned memory. Tests use a fake one that keeps accounts.
"""

from typing import Any, Protocol

import torch
from torch import Tensor


class Device(Protocol):
    """Somewhere weights can be brought to."""

    def pin(self, host: Tensor) -> Tensor:
        """A host buffer from which copies can run beside the computation."""
        ...

    def allocate(self, size: int) -> Tensor:
        """A device buffer of so many bytes."""
        ...

    def free(self, buffer: Tensor) -> None:
        """The buffer is no longer needed once running work is done."""
        ...

    def copy(self, host: Tensor, buffer: Tensor, after: Any) -> Any:
        """Begin to copy beside the computation, after an event; returns the event of its end."""
        ...

    def wait(self, event: Any) -> None:
        """Computation asked for from now on starts after the event."""
        ...

    def mark(self) -> Any:
        """The event at which the computation asked for so far is done."""
        ...


class CudaDevice:
    """A CUDA GPU with one stream for copies."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._side = torch.cuda.Stream(device)

    def pin(self, host: Tensor) -> Tensor:
        return host.pin_memory()

    def allocate(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, device=self.device)

    def free(self, buffer: Tensor) -> None:
        # The allocator gives it to others only once work queued on both streams is done.
        buffer.record_stream(torch.cuda.current_stream(self.device))
        buffer.record_stream(self._side)

    def copy(self, host: Tensor, buffer: Tensor, after: Any) -> Any:
        with torch.cuda.stream(self._side):
            self._side.wait_event(after)
            buffer[: host.numel()].copy_(host, non_blocking=True)
            event = torch.cuda.Event()
            event.record(self._side)
        return event

    def wait(self, event: Any) -> None:
        torch.cuda.current_stream(self.device).wait_event(event)

    def mark(self) -> Any:
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return event
