"""One chunk on several devices: every one computes its share of the tokens.

The history is cut into runs of tokens and every noisy latent frame into as many parts, so that a
share looks like a whole, smaller chunk: history first, then noisy tokens frame by frame. Only two
things are exchanged: keys and values in every self-attention, gathered by all, and the tokens of
the last layer. Weights, text and action tokens are on every device; the result is that of one
device but for the rounding of shorter matrix products. For inference: the exchange has no gradient.

    torch.distributed.init_process_group("nccl")           # started by torchrun, one per device
    share_context(model)                                   # the same model in every process
    latents = sample_chunk(model, plan, noise, shape, conditions)   # the same call, the same result

Not here: splitting weights. A process may decode on another device than it denoises on
(codecs.beside).

Dimensions: B batch, T latent frames, N tokens of one share, D width, S shares.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from helios_core.attention import KeyValue
from helios_core.transformer import HeliosTransformer


class Shares:
    """What this process computes, and how it learns the rest."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.rank, self.count = dist.get_rank(group), dist.get_world_size(group)

    def own(self, x: Tensor, table: Tensor, head: int, frames: int) -> tuple[Tensor, Tensor, int]:
        """This process's tokens of all [B,S*N,D], their table, and how many are history."""
        if frames and (x.shape[1] - head) % (frames * self.count):
            span = (x.shape[1] - head) // frames
            raise ValueError(f"{span} tokens of a latent frame {self._refusal(span)}")
        if head % self.count:
            raise ValueError(f"{head} tokens of history {self._refusal(head)}")
        return self._cut(x, 1, head, frames), self._cut(table, 0, head, frames), head // self.count

    def _refusal(self, tokens: int) -> str:
        fitting = max(n for n in range(1, self.count) if tokens % n == 0)
        return f"do not split over {self.count} processes: start {fitting}"

    def _cut(self, x: Tensor, dim: int, head: int, frames: int) -> Tensor:
        parts = []
        if head:
            parts.append(x.narrow(dim, 0, head).chunk(self.count, dim)[self.rank])
        if frames:
            noisy = x.narrow(dim, head, x.shape[dim] - head).unflatten(dim, (frames, -1))
            mine = noisy.chunk(self.count, dim + 1)[self.rank]
            parts.append(mine.flatten(dim, dim + 1))
        return torch.cat(parts, dim)

    def all_frames(self, x: Tensor, frames: int) -> Tensor:
        """Everybody's noisy tokens [B,N,D] as the whole, frame by frame."""
        parts = [part.unflatten(1, (frames, -1)) for part in self._gather(x)]
        return torch.cat(parts, 2).flatten(1, 2)

    def all_keys(self, own: KeyValue, head: int) -> tuple[KeyValue, int]:
        """Everybody's keys and values, history first, and how many are history."""
        everybody = self._gather(torch.stack(own))
        parts = [part[:, :, :head] for part in everybody] + [
            part[:, :, head:] for part in everybody
        ]
        key, value = torch.cat(parts, 2)
        return KeyValue(key, value), head * self.count

    def _gather(self, x: Tensor) -> list[Tensor]:
        if x.requires_grad:
            raise ValueError("shared forwards have no gradient: run them under no_grad")
        x = x.contiguous()
        parts = [torch.empty_like(x) for _ in range(self.count)]
        dist.all_gather(parts, x, group=self.group)
        return parts


def share_context(model: HeliosTransformer, group: dist.ProcessGroup | None = None) -> Shares:
    """Let the processes of a group compute every forward of the model together."""
    if model.local is not None:
        raise ValueError(
            "a model with local convolutions is too small to share: run it in one process"
        )
    shares = Shares(group)
    model.shares = shares
    for block in model.layers:
        block.attn1.shares = shares
    return shares
