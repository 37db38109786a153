"""The model's own predictions, latent by latent, to be met again as history.

The cure for drift: a model that only ever continues real footage leaves the training distribution
after seconds of continuing its own. One slot per latent of the data set, so that a window reads
own predictions wherever there are some and the truth elsewhere; targets are always the truth.

Legend: M latents of the data set, C channels, h w rows and columns, B batch, n history latents.
"""

import torch
from torch import Tensor

from training.data.windows import gather
from training.trainer.draw import Draw


class OwnBank:
    """Half-precision predictions and which of them exist."""

    def __init__(self, like: Tensor) -> None:
        """`like` [M, C, h, w]: the data set's latents."""
        self.values = torch.zeros_like(like, dtype=torch.float16)
        self.known = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    def write(self, index: Tensor, latents: Tensor) -> None:
        """Store predictions [N, C, h, w] at `index` [N]."""
        self.values[index] = latents.detach().to(self.values.dtype)
        self.known[index] = True

    def mixed_history(
        self, truth: Tensor, past: Tensor, share: float, draw: Draw
    ) -> tuple[Tensor, Tensor]:
        """History [B, C, n, h, w], a share of it from own predictions, and where [B, n]."""
        usable = (past >= 0) & self.known[past.clamp(min=0)]
        chosen = draw.chance(share, len(past), 1) & usable
        return self.history(truth, past, chosen), chosen

    def history(self, truth: Tensor, past: Tensor, chosen: Tensor) -> Tensor:
        """History [B, C, n, h, w] from own predictions where `chosen` [B, n], else real."""
        real = gather(truth, past)
        if chosen.device.type == "cpu" and not bool(chosen.any()):  # elsewhere, asking would wait
            return real
        return torch.where(chosen[:, None, :, None, None], gather(self.values, past), real)

    def state(self, wanted: Tensor | None = None) -> dict[str, Tensor]:
        """Only what exists, so that an empty bank costs nothing; or the latents `wanted` [N]."""
        index = self.known.nonzero().flatten() if wanted is None else wanted
        return {"bank_index": index, "bank_values": self.values[index]}

    def load(self, tensors: dict[str, Tensor]) -> None:
        if "bank_index" in tensors:
            index = tensors["bank_index"].to(self.values.device)
            self.write(index, tensors["bank_values"].to(self.values.device))
