"""Weights as one flat buffer, so that they move with a single copy.

Weights never change while a world plays: to leave a device is to point at the host buffer again,
without copying back. The host buffer is pinned where the device can use that.

    flat = Flat(block.parameters(), pin=lambda buffer: buffer.pin_memory())
    flat.point(flat.host.to("cuda"))
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

ALIGN = 64
"""Every tensor begins at a multiple of so many bytes."""


class Part(NamedTuple):
    """Where one tensor lies in the buffer."""

    tensor: Tensor
    """The parameter or buffer itself; its data is pointed elsewhere."""
    start: int
    size: int
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


class Flat:
    """Some weights in one buffer of bytes."""

    def __init__(
        self, tensors: Iterable[Tensor], *, pin: Callable[[Tensor], Tensor] = lambda b: b
    ) -> None:
        """Takes the weights over: they point into the host buffer from now on."""
        self.parts: list[Part] = []
        total = 0
        for tensor in {id(tensor): tensor for tensor in tensors}.values():
            data = tensor.data
            size = data.numel() * data.element_size()
            self.parts.append(Part(tensor, total, size, data.shape, data.stride(), data.dtype))
            total += -(-size // ALIGN) * ALIGN
        self.bytes = total
        self.host = pin(torch.empty(total, dtype=torch.uint8))
        for part in self.parts:
            _view(part, self.host).copy_(part.tensor.data)
        self.point(self.host)

    def point(self, buffer: Tensor) -> None:
        """Let the weights be those in a buffer laid out like the host's."""
        for part in self.parts:
            part.tensor.data = _view(part, buffer)

    def home(self) -> None:
        """Let the weights be the host's."""
        self.point(self.host)

    def drop_host(self) -> None:
        """Give the host's buffer back; the weights have to be elsewhere by now."""
        self.host = self.host[:0].clone()


def _view(part: Part, buffer: Tensor) -> Tensor:
    piece = buffer[part.start : part.start + part.size].view(part.dtype)
    return piece.as_strided(part.shape, part.stride, piece.storage_offset())
