"""Run by test_parallel in each of two processes: train a few steps sharded, save, load, report."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from tests.training import tiny
from training.data.windows import WindowConfig
from training.stages.base import BaseConfig, BaseStage
from training.trainer import parallel
from training.trainer.checkpoints import module_tensors
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig, Trainer
from training.trainer.player import OptimiserConfig

STEPS = 4


def make(root: Path, ranks: parallel.Ranks) -> BaseStage:
    config = BaseConfig(
        latents="latents", held="held", codec="codec", model=tiny.MODEL, text=tiny.TEXT,
        windows=WindowConfig(history=7), batch=8, draws=2, misspelled=0.0,
        optimiser=OptimiserConfig(lr=1e-3, warmup=0, decay=0, ema=0.9, clip=0.5),
    )  # fmt: skip
    torch.manual_seed(0)
    return BaseStage(config, replace(tiny.context(root), ranks=ranks), LoopConfig())


def train(stage: BaseStage, first: int, last: int) -> None:
    for step in range(first, last):
        stage.backward("world", Draw(0, step), 0)
        stage.player.step(step * 8, 10**6)


def trainer_of(root: Path, ranks: parallel.Ranks, samples: int) -> Trainer:
    """A trainer over the same data in a folder of its own."""
    stage = make(root, ranks)
    stage.evaluate = lambda: {"score": 0.0}  # the loop is under test, not the judge
    stage.judge.picture = lambda path: None
    context = replace(tiny.context(root, "looped"), ranks=ranks)
    loop = LoopConfig(samples=samples, log_every=1, seed=0)
    return Trainer(stage, loop, context.rundir, context.device, "looped", ranks)


def main(root: Path) -> None:
    torch.set_num_threads(1)
    ranks = parallel.start(torch.device("cpu"))
    stage = make(root, ranks)
    train(stage, 0, STEPS)
    held = sum(parallel.local(p).numel() for p in stage.world.parameters())
    every = sum(p.numel() for p in stage.world.parameters())
    assert held < 0.6 * every, (held, every)
    state = module_tensors(stage.modules())
    full = {k: parallel.whole(v).clone() for k, v in state.items()}
    if ranks.primary:
        save_file(full, root / "two.safetensors")
    part = trainer_of(root, ranks, STEPS * 8)
    part._step()
    part._step()
    part.save()
    again = trainer_of(root, ranks, STEPS * 8)
    assert again.run() == "done"  # resumed from the sharded checkpoint
    assert again.clock.step == STEPS
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
