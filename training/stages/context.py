"""Where a step runs: the root of all its recipe's runs, its own folder, device and precision."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch

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

    def autocast(self) -> AbstractContextManager:
        """bf16 matrix products when the recipe asks for them."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()
