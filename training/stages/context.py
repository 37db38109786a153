"""Where a step runs: the root of all its recipe's runs, its own folder, device and precision."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import nn

from training.graphed import Graphed
from training.precision import Precision
from training.trainer.parallel import Ranks
from training.trainer.rundir import RunDir

StepName = Annotated[str, "step"]
"""Of a config's field: a step before this one, a folder, or `pack:NAME` where it is said; empty =
none."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """Handed to every step."""

    root: Path
    name: str
    device: torch.device
    precision: Precision = "fp32"
    ranks: Ranks = field(default_factory=Ranks)
    """This process among all that train together."""

    @property
    def rundir(self) -> RunDir:
        return RunDir(self.root / self.name)

    def folder(self, step: str) -> Path:
        """Folder of another step, by name, or any absolute path."""
        return self.root / step

    def final(self, step: str) -> Path:
        """What another step published."""
        return self.folder(step) / "final"

    def graphed(self, function: Callable[..., Any], parameters: Iterable[nn.Parameter]) -> Graphed:
        """A function as a CUDA graph, refused where there can be none."""
        if self.device.type != "cuda" or self.ranks.count > 1:
            raise ValueError("graphs are CUDA's, of one process: leave them false here")
        return Graphed(function, parameters)

    def autocast(self) -> AbstractContextManager:
        """bf16 matrix products when the recipe asks for them."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()
