"""Randomness of one step, as a function of (seed, step) alone.

No random state is ever saved: resuming at a step draws what the uninterrupted run would have.
"""

import hashlib

import torch
from torch import Tensor


def stream_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts."""
    text = "/".join(str(p) for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class Draw:
    """Random numbers of one step. `host` decides (indices, choices), `device` makes noise."""

    def __init__(self, seed: int, step: int, device: torch.device | str = "cpu") -> None:
        self.seed = stream_seed(seed, step)
        self.at = torch.device(device)
        self.host = torch.Generator().manual_seed(self.seed)
        self.device = self.host
        if self.at.type != "cpu":
            self.device = torch.Generator(self.at).manual_seed(self.seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.device, device=self.at)

    def uniform(self, *shape: int) -> Tensor:
        """In [0, 1), on the device."""
        return torch.rand(*shape, generator=self.device, device=self.at)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Boolean mask on the device."""
        return self.uniform(*shape) < probability

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """In [low, high), on the host: they index data."""
        return torch.randint(low, high, shape, generator=self.host)

    def host_uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.host)
