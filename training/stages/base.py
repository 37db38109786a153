"""Stage `base`: flow matching of the next chunk with the unified history.

Text, image and video to video are one task: histories are dropped in part or whole. History and
anchor are corrupted, text and actions dropped for guidance, and from some point on the model's
own predictions stand in histories. Each window is learnt at several noise levels at once, for
with a restricted history the past is then computed once.

Legend: B windows, K noise draws per window, C channels, T target latents, h w rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helios_core.text.small import SmallTextConfig
from training.data.bank import OwnBank
from training.data.corruption import CorruptionConfig, corrupt
from training.data.streams import StreamConfig, Streams
from training.data.windows import LatentSet, Window, WindowConfig, gather, join, rows_of
from training.losses.flow import TimeConfig, flow_loss, mix, sample_sigma
from training.rollout import FEW_STEPS, euler_chunk
from training.stages import world as worlds
from training.stages.context import StepContext, StepName
from training.stages.judge import Judge
from training.stages.origin import Origin, open_world
from training.stages.world import Told
from training.trainer import parallel
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player


@dataclass(frozen=True, kw_only=True)
class OwnHistory:
    """Own pictures in histories."""

    start: float = 0.1
    """Share of the run after which they are made and used; from the beginning where the run lands
    on a budget of minutes, whose number of samples is not known before."""
    share: float = 0.2
    """Share of the windows beside the streams that meet what streams left behind."""
    streams: StreamConfig = field(default_factory=StreamConfig)
    sigmas: tuple[float, ...] = FEW_STEPS
    """Noise levels of the Euler steps that make them."""


@dataclass(frozen=True, kw_only=True)
class BaseConfig:
    """The model, its data and how it is trained."""

    latents: StepName
    """Step whose folder holds training latents."""
    held: StepName
    """Step whose folder holds held-out latents."""
    codec: StepName
    """Step that published the codec; used for pictures."""
    model: dict[str, Any] = field(default_factory=dict)
    """Arguments of a preset of helios_core.config; `preset` names it (small)."""
    init: StepName = ""
    """Step whose published weights to go on from, or `pack:NAME`, instead of a fresh model."""
    actions: worlds.ActionPath | None = field(default_factory=worlds.ActionPath)
    text: SmallTextConfig = field(default_factory=SmallTextConfig)
    words: StepName = ""
    """Step that published a text encoder, which stays as it is; empty = a new one of `text`."""
    near_only: bool = False
    """Train the convolutions around the tokens alone, as a start for the whole: many times as many
    windows a second. Set windows.history to 2, which is all they see."""
    teach_text: bool = True
    """Train the text encoder too. False keeps its random features: text is noise to a young DiT,
    and an encoder that learns from noise ends up saying the same of every prompt."""
    misspelled: float = 0.03
    """Share of words with a typing error."""
    windows: WindowConfig = field(default_factory=WindowConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    times: TimeConfig = field(default_factory=TimeConfig)
    own: OwnHistory = field(default_factory=OwnHistory)
    batch: int = 32
    """Windows per step."""
    draws: int = 2
    """Noise levels per window and step (K)."""
    compile: bool = False
    """Compile the blocks; worth its minutes on a GPU, slower than not on a CPU."""
    graphs: bool = False
    """Launch a step's kernels at once, as CUDA graphs, where the text encoder is not taught: a
    small world leaves a GPU waiting."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; give at least 1 noise level per window")
        if self.graphs and (self.teach_text or self.compile):
            raise ValueError("graphs want teach_text: false, and nothing compiled")
        if self.own.streams.count >= self.batch:
            raise ValueError(
                f"own.streams.count = {self.own.streams.count}: give fewer than batch "
                f"({self.batch}), or 0"
            )
        if not self.init:
            worlds.check_model(self.model, self.actions, self.text)


class BaseStage:
    """Trains one world by flow matching."""

    def __init__(self, config: BaseConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        if config.init:
            origin = Origin.named(config.init, config.actions)
            self.world = open_world(origin, context, self.data)
        else:
            text = worlds.text_of(config.words, config.text, context)
            made = worlds.fresh(config.model, config.actions, text, self.data)
            self.world = made.to(context.device)
        if not config.teach_text:
            self.world.text.requires_grad_(False)  # type: ignore[attr-defined] - a module of ours
        self.world.dit.near_only = config.near_only
        if config.compile:
            for block in self.world.dit.blocks:
                block.compile()
        parallel.shard(self.world, context.ranks)
        self.player = Player(self.world.named_parameters(), config.optimiser)
        self._learn, self._make = self._passes()
        self.bank = OwnBank(self.data.latents)
        self.streams = Streams(self.data, self.bank, config.own.streams, config.windows.targets)
        self.due: tuple[Window, Tensor] | None = None  # the streams' windows of this step
        lands = loop.land and loop.budget_minutes > 0
        self.own_from = 0 if lands else int(loop.samples * config.own.start)
        self.judge = Judge(
            context,
            self.world,
            config.held,
            config.codec,
            config.windows,
            sigmas=config.own.sigmas,
            sample=euler_chunk,
        )

    def _passes(self) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
        """How a step learns and how runs go on, as graphs where they are asked for."""
        if not self.config.graphs:
            return self._learn_from, self._make_from
        graphed, params = self.context.graphed, self.player.params.values()
        return graphed(self._learn_from, params), graphed(self._make_from, ())

    def modules(self) -> dict[str, nn.Module]:
        return {"world": self.world}

    def players(self) -> dict[str, Player]:
        return {"world": self.player}

    def turn(self, step: int) -> str:
        return "world"

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        config = self.config
        streamed = samples >= self.own_from and config.own.streams.count > 0
        window, past, own = self._windows(samples, streamed, draw)
        clean = gather(self.data.latents, window.target).repeat_interleave(config.draws, 0)
        sigma = sample_sigma(len(clean), config.times, draw)
        noise = draw.normal(*clean.shape)
        if self.context.ranks.count > 1:  # every rank drew the same; each learns its own rows
            mine, windows = self._mine(len(clean)), self._mine(config.batch)
            clean, sigma, noise = clean[mine], sigma[mine], noise[mine]
            past, own, window = past[windows], own[windows], rows_of(window, windows)
        with self.context.autocast():
            told = self.world.told(window, past, draw, config.misspelled)
        loss = self._learn(told, clean, sigma, noise)
        values = {"loss": loss.mean(), "own": own.any(1).float().mean(), **_by_level(loss, sigma)}
        if streamed:
            self._stream(draw)
        return values

    def _learn_from(self, told: Told, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """Losses [B * K]: the same operations every time, on tensors alone."""
        with self.context.autocast():
            given = self.world.conditions_from(told)
            velocity = self.world(mix(clean, noise, sigma), sigma, given)
        loss = flow_loss(velocity, clean, noise)
        loss.mean().backward()
        return loss.detach()

    def _windows(self, samples: int, streamed: bool, draw: Draw) -> tuple[Window, Tensor, Tensor]:
        """A batch, its past [B, C, 1 + K, h, w] and where that is the model's own [B, 1 + K]."""
        config, latents = self.config, self.data.latents
        count = config.own.streams.count if streamed else 0
        window = self.data.sample(config.batch - count, config.windows, draw)
        share = config.own.share if samples >= self.own_from else 0.0
        past, own = self.bank.mixed_history(latents, window.past, share, draw)
        past = corrupt(past, config.corruption, draw)
        if not streamed:
            return window, past, own
        runs = self.streams.window(config.windows, draw)
        theirs = self.streams.history(runs)
        made = torch.ones_like(runs.past, dtype=torch.bool)
        self.due = runs, theirs
        return join(window, runs), torch.cat([past, theirs]), torch.cat([own, made])

    def _mine(self, batch: int) -> slice:
        return self.context.ranks.rows(batch)

    @torch.no_grad()
    def _stream(self, draw: Draw) -> None:
        """Make the next chunk of every run as at play, from what it was trained with just now."""
        assert self.due is not None
        window, past = self.due
        noise = draw.normal(*gather(self.data.latents, window.target).shape)
        with self.context.autocast():
            told = self.world.told(window, past, draw)
        self.streams.advance(window, self._make(told, noise))

    def _make_from(self, told: Told, noise: Tensor) -> Tensor:
        with self.context.autocast():
            given = self.world.conditions_from(told)
            return euler_chunk(self.world, given, noise, self.config.own.sigmas)

    def evaluate(self) -> dict[str, float]:
        run = self.judge.rollout()
        self.judge.picture(self.context.rundir.samples / "latest.png", run)
        return self.judge.figures(run)

    def extra_state(self) -> dict[str, Tensor]:
        return {**self.bank.state(), **self.streams.state()}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        self.bank.load(tensors)
        self.streams.load(tensors)

    def publish(self, folder: Path) -> None:
        worlds.save(folder, self.world)
        self.judge.picture(self.context.rundir.samples / "final.png")


def _by_level(loss: Tensor, sigma: Tensor) -> dict[str, Tensor]:
    """Losses at low and high noise, which say different things."""
    high = (sigma >= 0.7).float()

    def mean(of: Tensor) -> Tensor:
        return (loss * of).sum() / of.sum().clamp(min=1)

    return {"loss_high": mean(high), "loss_low": mean(1 - high)}
