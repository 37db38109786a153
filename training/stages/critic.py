"""Teacher and critic in one set of weights: real scores, fake scores, and heads that judge.

The teacher's weights are frozen. With the adapter off they give the real score; with it on they
are the critic, which follows the student's samples; heads on several of its blocks tell samples
from real clips.

Legend: B batch, C channels, T latents, h w rows and columns, N noisy tokens, D width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from helios_core.config import token_grid
from training.lora import Adapter, AdapterConfig
from training.losses.adversarial import Head
from training.stages.world import Conditions, Given, TrainWorld


class Critic(nn.Module):
    """The trainable part: an adapter on the teacher's DiT, and one head per watched block."""

    teacher: TrainWorld

    def __init__(
        self, teacher: TrainWorld, config: AdapterConfig, blocks: Sequence[int], width: int
    ) -> None:
        super().__init__()
        object.__setattr__(self, "teacher", teacher)  # not a sub-module: its weights are not ours
        self.blocks = tuple(blocks)
        self.adapter = Adapter(teacher.dit, config)
        dim = teacher.dit.config.dim
        self.heads = nn.ModuleList(Head(dim, width) for _ in self.blocks)
        self.to(next(teacher.parameters()).device)

    def velocity(self, noisy: Tensor, level: Tensor, given: Conditions | Given) -> Tensor:
        """The critic's prediction: of the student's distribution."""
        with self.adapter.switched(True):
            return self.teacher(noisy, level, given)

    @torch.no_grad()
    def scores(
        self,
        noisy: Tensor,
        level: Tensor,
        conditions: Conditions,
        blank: Conditions | None,
        scale: float,
    ) -> tuple[Tensor, Tensor]:
        """Velocities that teacher (guided away from `blank`) and critic predict."""
        with self.adapter.switched(False):
            real = self.teacher(noisy, level, conditions)
            if blank is not None:
                real = real + scale * (real - self.teacher(noisy, level, blank))
        return real, self.velocity(noisy, level, conditions)

    def logits(self, noisy: Tensor, level: Tensor, given: Conditions | Given) -> list[Tensor]:
        """How real every head finds each noisy sample: [B] per head."""
        with self._watching() as seen:
            self.velocity(noisy, level, given)
        rows, columns = token_grid(self.teacher.dit.config, *noisy.shape[3:])
        grid = (noisy.shape[2] // self.teacher.dit.config.patch[0], rows, columns)
        count = grid[0] * rows * columns
        pairs = zip(self.heads, seen, strict=True)
        return [head(tokens[:, -count:], grid) for head, tokens in pairs]

    def verdicts(
        self, draws: Sequence[Tensor], level: Tensor, given: Conditions | Given
    ) -> list[list[Tensor]]:
        """Logits of several draws of the same windows: per draw, then per head [B]."""
        # As draws of one window they share its history, which is then computed once.
        together = torch.stack(list(draws), 1).flatten(0, 1)
        logits = self.logits(together, level.repeat_interleave(len(draws)), given)
        apart = [logit.unflatten(0, (-1, len(draws))).unbind(1) for logit in logits]
        return [list(of_draw) for of_draw in zip(*apart, strict=True)]

    @contextmanager
    def _watching(self) -> Iterator[list[Tensor]]:
        """Collect the outputs of the watched blocks, in their order."""
        seen: list[Any] = []
        layers = [self.teacher.dit.blocks[i] for i in sorted(self.blocks)]
        handles = [b.register_forward_hook(lambda _m, _i, out: seen.append(out)) for b in layers]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradients for a module's parameters, though they flow through it."""
    before = [(p, p.requires_grad) for p in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for param, needed in before:
            param.requires_grad_(needed)
