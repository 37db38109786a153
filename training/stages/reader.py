"""Stage `reader`: learns to read what was pressed and what was typed off true latents.

What a critic of realism is slow to ask for, a reader asks for at once: whether a new latent shows
the step that was taken and the weather that was named. It learns from true latents alone, worsened
a little so that its slopes stay smooth, and from their captions alone, whatever the game. `sharpen`
makes its world's latents read as the true ones do. Nothing of it is shipped.

    helios train wilds-nano --only reader

Legend: B windows, C channels, h w rows and columns, A action channels, E width in which pictures
and sentences are compared.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from helios_core.local import channels_last
from training import artifacts
from training.data.corruption import CorruptionConfig, corrupt
from training.data.windows import LatentSet, Window, WindowConfig, gather
from training.stages.context import StepContext, StepName
from training.stages.origin import Origin, open_world
from training.stages.world import ActionPath
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player

JUDGED = 256
"""Held-out windows that the figures come from."""
SEEN = 3
"""Latents in a row that actions are read off."""


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """The reader, its data and how it learns."""

    latents: StepName
    """Step whose folder holds training latents."""
    held: StepName
    """Step whose folder holds held-out latents."""
    origin: StepName
    """Step that published the world whose text encoder says what sentences are, or `pack:NAME`."""
    width: int = 96
    """Channels of the two towers."""
    blocks: int = 2
    """Residual blocks at the latents' size, and as many at half of it."""
    shared: int = 64
    """Width in which pictures and sentences are compared."""
    corruption: CorruptionConfig = field(
        default_factory=lambda: CorruptionConfig(clean=0.3, noise=0.3)
    )
    batch: int = 128
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=1e-3, warmup=6400, decay=0.4, ema=0.99)
    )


class Block(nn.Module):
    """x + conv(silu(conv(silu(x)))), the last one starting at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(functional.silu(self.conv1(functional.silu(x))))


class Tower(nn.Module):
    """Latents to one vector: blocks at full size, at half, and the mean of each quarter."""

    def __init__(self, channels: int, width: int, count: int, out: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.large = nn.Sequential(*(Block(width) for _ in range(count)))
        self.halve = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.small = nn.Sequential(*(Block(width) for _ in range(count)))
        self.leave = nn.Linear(4 * width, out)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """[B,.,h,w] to [B,out]."""
        x = self.large(self.enter(x.contiguous(memory_format=torch.channels_last)))
        x = functional.silu(self.small(self.halve(x)))
        return self.leave(functional.adaptive_avg_pool2d(x, 2).flatten(1)).float()


@dataclass(frozen=True, kw_only=True)
class ReaderShape:
    """Sizes of a reader."""

    channels: int
    """Of latents."""
    text: int
    """Width of the text encoder's states."""
    actions: int
    """Action channels."""
    width: int
    """Channels of the two towers."""
    blocks: int
    """Residual blocks at the latents' size, and as many at half of it."""
    shared: int
    """Width in which pictures and sentences are compared."""


class Reader(nn.Module):
    """Actions off three latents in a row; the newest one and a sentence into one space."""

    def __init__(self, config: ReaderShape) -> None:
        super().__init__()
        self.config = config
        width, count, shared = config.width, config.blocks, config.shared
        self.motion = Tower(SEEN * config.channels, width, count, config.actions)
        self.sight = Tower(config.channels, width, count, shared)
        self.words = nn.Sequential(
            nn.Linear(config.text, 2 * shared), nn.SiLU(), nn.Linear(2 * shared, shared)
        )
        self.scale = nn.Parameter(torch.tensor(2.0))

    def actions(self, three: Tensor) -> Tensor:
        """What was done between the last two latents: [B,C,3,h,w] to [B,A]."""
        return self.motion(three.flatten(1, 2))

    def match(self, latent: Tensor, said: Tensor) -> Tensor:
        """How well each latent [B,C,h,w] fits each sentence [S,text]: logits [B,S]."""
        seen = functional.normalize(self.sight(latent), dim=1)
        meant = functional.normalize(self.words(said.float()).float(), dim=1)
        return self.scale.exp() * seen @ meant.T


class Sentences(NamedTuple):
    """Which of S sentences may be mistaken for each other: what they say, as numbers."""

    said: Tensor
    """[S] alike where they are the same, -1 where nothing is said"""
    idle: Tensor
    """[B,S] True where sentence j is no wrong answer for window i"""


def sentences(texts: list[str], windows: int, device: torch.device) -> Sentences:
    """Of S texts, the first B of which belong to the windows.

    The same sentence said elsewhere, and no sentence at all, are no wrong answers.
    """
    index = {word: i for i, word in enumerate(dict.fromkeys(texts))} | {"": -1}
    said = torch.tensor([index[word] for word in texts]).to(device, non_blocking=True)
    idle = (said[:windows, None] == said[None]) | (said[None] < 0)
    idle.diagonal().fill_(False)
    return Sentences(said, idle)


def mistaken(match: Tensor, among: Sentences) -> Tensor:
    """Surprise [B] that window i says sentence i, of logits [B,S] against S >= B sentences."""
    own = torch.arange(len(match), device=match.device)
    fair = match.masked_fill(among.idle, -torch.inf)
    return functional.cross_entropy(fair, own, reduction="none")


def spread_of(data: LatentSet) -> Tensor:
    """[A] how much each channel varies from latent to latent; one that is never used counts 1."""
    spread = data.actions.mean(1).std(0)
    return torch.where(spread > 1e-3, spread, 1.0)


def three_of(data: LatentSet, window: Window) -> Tensor:
    """The two true latents before the target and the target, [B,C,3,h,w]."""
    return gather(data.latents, torch.cat([window.past[:, -2:], window.target], 1))


class ReaderStage:
    """Trains a reader on true latents."""

    def __init__(self, config: ReaderConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        self.held = LatentSet.load(context.folder(config.held), context.device)
        self.world = open_world(Origin.named(config.origin, ActionPath()), context, self.data)
        self.world.requires_grad_(False)
        shape = ReaderShape(
            channels=self.data.latents.shape[1], text=self.world.dit.config.text_dim,
            actions=self.data.spec.size, width=config.width, blocks=config.blocks,
            shared=config.shared,
        )  # fmt: skip
        self.reader = Reader(shape).to(context.device)
        self.spread = spread_of(self.data)
        self.player = Player(self.reader.named_parameters(), config.optimiser)
        self.windows = WindowConfig(
            history=2, text_to_video=0.0, image_to_video=0.0, partial=0.0, anchor_dropped=1.0,
            text_dropped=0.0, action_dropped=0.0,
        )  # fmt: skip

    def modules(self) -> dict[str, nn.Module]:
        return {"reader": self.reader}

    def players(self) -> dict[str, Player]:
        return {"reader": self.player}

    def turn(self, step: int) -> str:
        return "reader"

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        window = self.data.sample(self.config.batch, self.windows, draw)
        three = corrupt(three_of(self.data, window), self.config.corruption, draw)
        wrong, surprise, _ = self._judge(three, window)
        loss = wrong.mean() + surprise
        loss.backward()
        return {"loss": loss.detach(), "actions": wrong.mean().detach(), "text": surprise.detach()}

    def _judge(self, three: Tensor, window: Window) -> tuple[Tensor, Tensor, Tensor]:
        """Squared error per action channel in units of its spread [A], that of text, its hits."""
        said = self.world.gist(window.texts)
        with self.context.autocast():
            read = self.reader.actions(three)
            match = self.reader.match(three[:, :, -1], said)
        told = window.actions.mean((1, 2))
        wrong = ((read - told) / self.spread).square().mean(0)
        among = sentences(window.texts, len(match), match.device)
        surprise = mistaken(match, among)
        hits = (surprise < 0.693).float()  # more likely than all others together
        return wrong, surprise.mean(), hits.mean()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Unexplained variance per channel, and how often the right sentence is
        more likely than 255 others together."""
        window = self.held.sample(JUDGED, self.windows, Draw(2, 0, self.context.device))
        wrong, text, hits = self._judge(three_of(self.held, window), window)
        names = self.data.spec.names
        figures = {f"left.{n}": float(w) for n, w in zip(names, wrong, strict=True)}
        score = float(wrong.mean() + text)
        return {**figures, "text": float(text), "text_hits": float(hits), "score": score}

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        assert not tensors

    def publish(self, folder: Path) -> None:
        artifacts.save(folder, "reader", "reader", self.reader)
