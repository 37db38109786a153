"""What a stage must offer to the training loop."""

from typing import Protocol

from torch import Tensor, nn

from training.trainer.draw import Draw
from training.trainer.player import Player


class Stage(Protocol):
    """A trainable thing: modules, who optimises them, and how a batch makes gradients."""

    batch: int
    """Samples that one step consumes."""

    def modules(self) -> dict[str, nn.Module]:
        """Everything whose weights a checkpoint holds."""
        ...

    def players(self) -> dict[str, Player]: ...

    def turn(self, step: int) -> str:
        """Name of the player that step `step` belongs to."""
        ...

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        """Accumulate gradients of one batch; returns scalars to log, among them `loss`."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Held-out figures, `score` among them: lower is better. Weights are the averages."""
        ...

    def extra_state(self) -> dict[str, Tensor]:
        """Tensors beside weights that a bit-exact resume needs."""
        ...

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None: ...

    def publish(self, folder: "object") -> None:
        """Write what the next stage or a pack takes; weights are the averages."""
        ...
