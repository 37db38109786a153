"""Stage `mid`: the pyramid flow. Coarse latents first, each stage half a size larger.

A step holds samples of every stage in the wished proportion. Samples of one stage have the same
number of tokens and run together, so that nothing is padded, and gradients add up as if all had
been packed into one sequence without seeing each other. History is at full size in every stage.

Legend: B windows, C channels, T target latents, h w rows and columns of a stage.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.pyramid import check_pyramid
from helios_core.sampling.schedule import pyramid_stages
from training.data.corruption import corrupt
from training.data.windows import Window, gather, part_of
from training.losses.pyramid import split_batch, stage_line, stage_time
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage
from training.stages.context import StepContext
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig


@dataclass(frozen=True, kw_only=True)
class MidConfig(BaseConfig):
    """As base, with stages; noise levels inside a stage are uniform."""

    stages: int = 3
    ratios: tuple[int, ...] = (1, 2, 1)
    """Samples of each stage, coarse to fine."""
    steps: int = 8
    """Steps per stage when judging."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.graphs:
            raise ValueError("mid has no graphs: its stages differ in shape from step to step")
        if len(self.ratios) != self.stages:
            raise ValueError(f"ratios {self.ratios}: give one for each of {self.stages} stages")


class MidStage(BaseStage):
    """Trains one world by pyramid flow."""

    config: MidConfig

    def __init__(self, config: MidConfig, context: StepContext, loop: LoopConfig) -> None:
        super().__init__(config, context, loop)
        self.stages = pyramid_stages(config.stages)
        rows, columns = self.data.latents.shape[2:]
        patch = self.world.dit.config.patch
        check_pyramid(rows, columns, stages=config.stages, patch=patch)
        self.plan = SamplerPlan(solver="euler", steps=(config.steps,) * config.stages, shift="none")

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        config = self.config
        window = self.data.sample(config.batch, config.windows, draw)
        past = corrupt(gather(self.data.latents, window.past), config.corruption, draw)
        clean = gather(self.data.latents, window.target)
        noise = draw.normal(*clean.shape)
        sigma = draw.uniform(config.batch)
        parts = split_batch(config.batch, config.ratios, draw.host_uniform(config.batch))
        values = {"loss": clean.new_zeros(())}
        for index, rows in enumerate(parts):
            if not len(rows):
                continue
            at = rows.to(clean.device)
            part = part_of(window, rows.tolist(), at)
            loss = self._stage_loss(index, part, past[at], clean[at], noise[at], sigma[at], draw)
            (loss.sum() / config.batch).backward()
            values[f"stage{index}"] = loss.mean().detach()
            values["loss"] = values["loss"] + loss.sum().detach() / config.batch
        return values

    def _stage_loss(
        self,
        index: int,
        window: Window,
        past: Tensor,
        clean: Tensor,
        noise: Tensor,
        sigma: Tensor,
        draw: Draw,
    ) -> Tensor:
        """Squared error of the stage's velocity per sample [B]."""
        line = stage_line(clean, noise, self.stages, index)
        level = stage_time(self.stages[index], sigma) / 1000
        with self.context.autocast():
            given = self.world.conditions(window, past, draw, self.config.misspelled)
            velocity = self.world(line.at(sigma), level, given)
        return (velocity - line.velocity).square().flatten(1).mean(1)

    def evaluate(self) -> dict[str, float]:
        return self.judge.pyramid_figures(self.plan)

    def publish(self, folder: Path) -> None:
        worlds.save(folder, self.world)
