"""Stage `forecast`: teaches the convolutions that guess the next latents, before `base`.

They learn by mean squared error over several chunks on their own guesses, a hundred times as many
windows a second as the transformer around them takes: what moves with the keys is learnt here, and
`base` (`init: forecast`) begins from it. Text, memory and everything that cannot be foreseen are
left to `base`. Not a world yet: its other weights are fresh.

    helios train wilds-nano --only forecast

Legend: B windows, C channels, T unrolled latents, h w rows and columns.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helios_core.text.small import SmallTextConfig
from training.data.corruption import CorruptionConfig, corrupt
from training.data.windows import LatentSet, Window, WindowConfig, gather
from training.stages import world as worlds
from training.stages.context import StepContext, StepName
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player

JUDGED = 256
"""Held-out windows that the figures come from."""


@dataclass(frozen=True, kw_only=True)
class ForecastConfig:
    """The model whose forecast is trained, its data and how."""

    latents: StepName
    """Step whose folder holds training latents."""
    held: StepName
    """Step whose folder holds held-out latents."""
    model: dict[str, Any] = field(default_factory=dict)
    """As in `base`, with a forecast."""
    actions: worlds.ActionPath = field(default_factory=worlds.ActionPath)
    text: SmallTextConfig = field(default_factory=SmallTextConfig)
    words: StepName = ""
    """Step that published a text encoder, which stays as it is; empty = a new one of `text`."""
    unroll: int = 4
    """Latents guessed in a row, each from the guesses before it."""
    judged: int = 12
    """Latents in a row when judged."""
    corruption: CorruptionConfig = field(default_factory=lambda: CorruptionConfig(clean=0.5))
    batch: int = 64
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        if not any(worlds.check_model(self.model, self.actions, self.text).forecast):
            raise ValueError("this model has no forecast: give model.forecast = [width, blocks]")


class ForecastStage:
    """Trains `forecast` and the action encoder of a fresh world."""

    def __init__(self, config: ForecastConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        self.held = LatentSet.load(context.folder(config.held), context.device)
        text = worlds.text_of(config.words, config.text, context)
        made = worlds.fresh(config.model, config.actions, text, self.data)
        self.world = made.to(context.device)
        dit = self.world.dit
        if dit.forecast is None or dit.actions is None:
            raise ValueError("these latents come without actions, which a forecast is told")
        taught = nn.ModuleDict({"forecast": dit.forecast, "actions": dit.actions})
        self.player = Player(taught.named_parameters(), config.optimiser)
        self.windows = WindowConfig(
            targets=config.unroll, history=2, text_to_video=0.0, anchor_dropped=0.0
        )

    def modules(self) -> dict[str, nn.Module]:
        return {"world": self.world}

    def players(self) -> dict[str, Player]:
        return {"world": self.player}

    def turn(self, step: int) -> str:
        return "world"

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        window = self.data.sample(self.config.batch, self.windows, draw)
        past = corrupt(gather(self.data.latents, window.past), self.config.corruption, draw)
        truth = gather(self.data.latents, window.target)
        known = (window.past[:, -1] >= 0).float()  # nothing is foreseen where a clip begins
        error = (self._guess(window, past) - truth).square().mean((1, 2, 3, 4))
        loss = (error * known).sum() / known.sum().clamp(min=1)
        loss.backward()
        return {"loss": loss.detach()}

    def _guess(self, window: Window, past: Tensor) -> Tensor:
        """Guesses [B,C,T,h,w] after a past [B,C,1 + K,h,w]."""
        dit = self.world.dit
        assert dit.actions is not None and dit.forecast is not None
        batch, frames = window.target.shape
        with self.context.autocast():
            embedded = dit.actions.embed(window.actions, window.action_mask, batch, frames)
            told = dit.actions.mixed(embedded)
            assert told is not None
            return dit.forecast(past[:, :, -2:], told)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Errors of the next and of many guesses in a row, over repeating the last latent."""
        plain = WindowConfig(
            targets=self.config.judged,
            history=2,
            text_to_video=0.0,
            image_to_video=0.0,
            partial=0.0,
            action_dropped=0.0,
        )
        window = self.held.sample(JUDGED, plain, Draw(2, 0, self.context.device))
        past, truth = (gather(self.held.latents, i) for i in (window.past, window.target))
        error = (self._guess(window, past) - truth).square().mean((0, 1, 3, 4))
        idle = (past[:, :, -1:] - truth).square().mean((0, 1, 3, 4))
        figures = {
            "next_over_repeat": float(error[0] / idle[0]),
            "rollout_over_repeat": float(error.mean() / idle.mean()),
        }
        return {**figures, "score": float(error.mean())}

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        assert not tensors

    def publish(self, folder: Path) -> None:
        worlds.save(folder, self.world)
