"""Stage `words`: a text encoder learns that what is said in many ways is one thing.

A world that learns on a CPU meets a phrasing now and then; of words alone an encoder reads a
thousand sentences a second. So it learns beforehand, from sentences that come with the plainest one
of the same meaning (training.worlds.wilds.sayings): its states of a sentence shall be, to any
reader that pools them, what a fixed encoder says of the plain one. That encoder is one of random
features, or the one of a world that has learned already and goes on with the new one.

    helios train wilds-nano --only words

Legend: B sentences, L tokens, D width of the states, F features of a pooling reader.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from helios_core.text.small import (
    SmallTextConfig,
    SmallTextEncoder,
    TextLayer,
    misspell,
    vocabulary_of,
)
from training import artifacts
from training.stages.context import StepContext, StepName
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player
from training.worlds.wilds import phrases
from training.worlds.wilds.sayings import Saying, saying

JUDGED = 1024
"""Sentences that the figures come from."""
READERS = 512
"""F: random readers that the states are compared by."""


@dataclass(frozen=True, kw_only=True)
class WordsConfig:
    """The encoder, whom it agrees with and how it learns."""

    text: SmallTextConfig = field(default_factory=SmallTextConfig)
    """Its sizes; `vocabulary` is what the sayings hold."""
    like: StepName = ""
    """Step that published a world whose encoder says what plain sentences are; empty = random
    features without layers. Its sizes are those of `text`, all but the layers."""
    misspelled: float = 0.03
    """Share of words with a typing error."""
    batch: int = 256
    """Sentences per step."""
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=2e-3, warmup=25_000, decay=0.4, ema=0.99)
    )


class WordsStage:
    """Teaches one text encoder."""

    def __init__(self, config: WordsConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.plain = self._plain().to(context.device)
        self.encoder = _grown(self.plain, config.text).to(context.device)
        self.player = Player(self.encoder.named_parameters(), config.optimiser)
        random = torch.Generator().manual_seed(0)
        self.readers = torch.randn(config.text.text_dim, READERS, generator=random)
        self.readers = (self.readers / config.text.text_dim**0.5).to(context.device)

    def _plain(self) -> SmallTextEncoder:
        if not self.config.like:
            made = SmallTextEncoder(replace(self.config.text, layers=0))
            return made.eval().requires_grad_(False)
        found = artifacts.load(self.context.final(self.config.like), "text", self.context.device)
        assert isinstance(found, SmallTextEncoder)
        return found

    def modules(self) -> dict[str, nn.Module]:
        return {"text": self.encoder}

    def players(self) -> dict[str, Player]:
        return {"text": self.player}

    def turn(self, step: int) -> str:
        return "text"

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        loss = self._apart(_sayings(self.batch, draw), draw, self.config.misspelled)
        loss.backward()
        return {"loss": loss.detach()}

    def _apart(self, sayings: list[Saying], draw: Draw, misspelled: float) -> Tensor:
        """How far what is pooled differs from the plain sentences', over how far those differ."""
        said = [misspell(s.said, draw.host, misspelled) for s in sayings]
        heard = self.pooled(self.encoder, said)
        with torch.no_grad():
            meant = self.pooled(self.plain, [s.plain for s in sayings])
            spread = meant.var(0).sum()
        return (heard - meant).square().sum(1).mean() / spread

    def pooled(self, encoder: SmallTextEncoder, texts: list[str]) -> Tensor:
        """Means over a text's tokens of its states and of what random readers see in them,
        [B,D+F]: two texts that agree here are one to a DiT, which pools and attends."""
        hidden, mask = encoder.encode(texts)
        assert mask is not None
        seen = torch.cat([hidden, functional.gelu(2 * hidden @ self.readers)], 2)
        weight = mask.to(seen.dtype).unsqueeze(-1)
        return (seen * weight).sum(1) / weight.sum(1)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The loss, and how often the plain sentence of its own is the nearest of all."""
        draw = Draw(2, 0, self.context.device)
        sayings = _sayings(JUDGED, draw)
        heard = self.pooled(self.encoder, [s.said for s in sayings])
        plain = list(dict.fromkeys(s.plain for s in sayings))
        nearest = torch.cdist(heard, self.pooled(self.plain, plain)).argmin(1).tolist()
        hits = [plain[i] == s.plain for i, s in zip(nearest, sayings, strict=True)]
        apart = float(self._apart(sayings, draw, 0.0))
        return {"apart": apart, "hits": sum(hits) / len(hits), "score": apart}

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        assert not tensors

    def publish(self, folder: Path) -> None:
        artifacts.save(folder, "text", "small_text", self.encoder)


def _sayings(count: int, draw: Draw) -> list[Saying]:
    rng = np.random.default_rng(int(draw.integers(0, 2**62, 1)))
    return [saying(rng) for _ in range(count)]


def _grown(plain: SmallTextEncoder, text: SmallTextConfig) -> SmallTextEncoder:
    """The plain encoder with layers that change nothing yet, and the words of all phrasings."""
    words = vocabulary_of(phrases.TRAINING.texts())
    known = tuple(sorted(plain.known_words.union(words)))
    made = SmallTextEncoder(replace(text, vocabulary=known))
    for layer in made.layers:
        assert isinstance(layer, TextLayer)
        for last in (layer.out, layer.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    extra = made.load_state_dict(plain.state_dict(), strict=False)
    assert not extra.unexpected_keys
    return made.train()
