"""A trainable world: DiT and text encoder, and how a window of data becomes their inputs.

Shared by every stage that trains the DiT. Not the world that plays (helios_core.world): no state,
no sampler choice, no pack.

Legend: B windows, K noise draws per window, C channels, T target latents, h w rows and columns.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from helios_core import config as presets
from helios_core.actions import ActionSpec
from helios_core.conditioning import ActionConditioning
from helios_core.memory import History, make_history
from helios_core.plain import refuse_unknown
from helios_core.text.api import TextEncoder
from helios_core.text.small import SmallTextConfig, SmallTextEncoder, misspell, vocabulary_of
from helios_core.transformer import ActionCache, HeliosTransformer, HistoryCache, TextCache
from training import artifacts
from training.data.windows import LatentSet, Window
from training.stages.context import StepContext
from training.stages.sayings import Sayings
from training.trainer.draw import Draw

PRESETS = {"small": ("channels", "text_dim", "width", "layers"), "helios_14b": ()}
"""Presets of helios_core.config and what they want to be told."""
CAPTIONS_KEPT = 50_000
"""Captions whose words stay looked up."""


@dataclass(frozen=True, kw_only=True)
class ActionPath:
    """How actions reach the DiT; channels and window come from the data."""

    width: int = 128
    cross_attention: bool = True
    modulation: bool = True

    def conditioning(self, channels: int, window: int) -> ActionConditioning:
        """With what the data give: action channels, and frames per latent."""
        return ActionConditioning(
            channels=channels,
            window=window,
            width=self.width,
            cross_attention=self.cross_attention,
            modulation=self.modulation,
        )


class Told(NamedTuple):
    """What a batch of windows is told, of which `conditions_from` makes conditions."""

    hidden: Tensor
    """[B,L,D] states of the texts"""
    mask: Tensor | None
    """[B,L]"""
    past: Tensor
    """[B,C,1+K,h,w] the anchor in front of the history"""
    actions: Tensor
    action_mask: Tensor


@dataclass(frozen=True)
class Conditions:
    """What one batch of windows is conditioned on, before it is repeated per noise draw."""

    hidden: Tensor
    mask: Tensor | None
    history: History
    actions: Tensor
    action_mask: Tensor

    @property
    def windows(self) -> int:
        """Batch size before it is repeated per noise draw."""
        return len(self.hidden)


class Given(NamedTuple):
    """Conditions as the blocks take them."""

    text: TextCache
    history: History | HistoryCache
    actions: ActionCache | None

    @property
    def windows(self) -> int:
        """Batch size before it is repeated per noise draw."""
        past = self.history
        return len(past.latest if isinstance(past, HistoryCache) else past.short)


class TrainWorld(nn.Module):
    """The DiT and its text encoder, trained together where the encoder is a small one of ours."""

    text: TextEncoder | SmallTextEncoder

    def __init__(
        self, dit: HeliosTransformer, text: TextEncoder | SmallTextEncoder, spec: ActionSpec
    ) -> None:
        super().__init__()
        self.dit, self.spec = dit, spec
        self._known: dict[str, tuple[Tensor, Tensor]] = {}  # letter groups and mask
        self._said = Sayings(self._read_plainly)  # by a frozen encoder
        if isinstance(text, nn.Module):
            self.text = text
        else:  # another library's encoder: used, never trained or saved
            object.__setattr__(self, "text", text)

    def conditions(
        self, window: Window, past: Tensor, draw: Draw, misspelled: float = 0.0
    ) -> Conditions:
        """`past` [B, C, 1 + K, h, w] holds the anchor in front of the history."""
        return self.conditions_from(self.told(window, past, draw, misspelled))

    def told(self, window: Window, past: Tensor, draw: Draw, misspelled: float = 0.0) -> Told:
        """What conditions follow from, with some words of the texts misspelt: tensors alone."""
        texts = window.texts
        if misspelled:
            texts = [misspell(t, draw.host, misspelled) if t else t for t in texts]
        return Told(*self.encode(texts), past, window.actions, window.action_mask)

    def conditions_from(self, told: Told) -> Conditions:
        """The same operations whatever is told."""
        hidden, mask, past, actions, action_mask = told
        shape = self.dit.config
        if self.dit.near_only:  # they see the newest two latents and no more
            history = History(short=past[:, :, -1:], mid=past[:, :, -2:-1])
        else:
            history = make_history(
                past[:, :, 1:], past[:, :, :1], shape.history_sizes, use_anchor=shape.anchor
            )
        return Conditions(hidden, mask, history, actions, action_mask)

    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor | None]:
        """Hidden states and mask of texts; what a frozen encoder says of a caption is kept."""
        if not isinstance(self.text, SmallTextEncoder):
            return self.text.encode(texts)
        return self._said.states(texts) if self._reads_the_same() else self._read(texts)

    def gist(self, texts: list[str]) -> Tensor:
        """Mean hidden state of each text, one row each: what convolutions are told of it."""
        if self._reads_the_same():
            return self._said.gist(texts)
        return self.encode(texts)[0].float().mean(1)

    def _reads_the_same(self) -> bool:
        """Whether the encoder is one of ours, and frozen."""
        if not isinstance(self.text, SmallTextEncoder):
            return False
        return not any(p.requires_grad for p in self.text.parameters())

    def _read_plainly(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """In one precision, whoever asks first: inside autocast or outside of it."""
        assert isinstance(self.text, SmallTextEncoder)
        with torch.autocast(self.text.whole.device.type, enabled=False):
            return self._read(texts)

    def _read(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """As the encoder does, with the words of each caption looked up once."""
        assert isinstance(self.text, SmallTextEncoder)
        pairs = [self._tokens(text) for text in texts]
        most = max(rows.shape[1] for rows, _ in pairs)
        table = torch.zeros(len(pairs), pairs[0][0].shape[0], most, dtype=torch.long)
        for i, (rows, _) in enumerate(pairs):
            table[i, :, : rows.shape[1]] = rows
        device = self.text.whole.device
        mask = torch.stack([mask for _, mask in pairs]).to(device)
        return self.text(table.to(device), mask), mask

    def _tokens(self, text: str) -> tuple[Tensor, Tensor]:
        """Letter groups [L-1, N] and mask [L] of one caption; the table stays bounded."""
        assert isinstance(self.text, SmallTextEncoder)
        if text not in self._known:
            if len(self._known) >= CAPTIONS_KEPT:
                self._known.clear()
            rows, mask = self.text.looked_up([text])
            self._known[text] = (rows[0], mask[0])
        return self._known[text]

    def given(self, conditions: Conditions, frames: int) -> Given:
        """What all forward passes on one window share: keys and values of text, past, actions.

        With restricted history the past is computed here, once, however many passes follow.
        """
        actions = None
        if self.dit.actions is not None:
            actions = self.dit.action_cache(
                conditions.actions,
                conditions.action_mask,
                batch=len(conditions.hidden),
                frames=frames,
            )
        past: History | HistoryCache = conditions.history
        if self.dit.config.restrict_history:
            past = self.dit.history_cache(conditions.history)
        actions = self.dit.foresee(actions, past)
        return Given(self.dit.text_cache(conditions.hidden, conditions.mask), past, actions)

    def forward(self, noisy: Tensor, sigma: Tensor, given: Conditions | Given) -> Tensor:
        """Velocity of noisy [B * K, C, T, h, w], K draws of each window in a row."""
        windows = given.windows
        if isinstance(given, Conditions):
            given = self.given(given, noisy.shape[2])
        draws = len(noisy) // windows
        if draws > 1:
            given = Given(*(repeat(part, draws) for part in given))
        return self.dit(noisy, sigma * 1000, given.text, given.history, given.actions).float()


def repeat(value: Any, times: int) -> Any:
    """Every batch item `times` times in a row, through caches and histories."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value.repeat_interleave(times, 0)
    if isinstance(value, TextCache):
        return TextCache(
            _layers(value.layers, times), repeat(value.mask, times), repeat(value.pooled, times)
        )
    if isinstance(value, HistoryCache):
        layers = _layers(value.layers, times)
        return HistoryCache(layers, value.indices, repeat(value.latest, times))
    if isinstance(value, ActionCache):
        layers = None if value.layers is None else _layers(value.layers, times)
        tensors = (value.modulation, value.mixed, value.guess)
        return ActionCache(layers, *(repeat(tensor, times) for tensor in tensors))
    assert isinstance(value, History)
    parts = {k: repeat(getattr(value, k), times) for k in ("short", "mid", "long")}
    return replace(value, **parts)


def _layers(layers: tuple, times: int) -> tuple:
    return tuple(type(kv)(repeat(kv[0], times), repeat(kv[1], times)) for kv in layers)


def shape_of(
    model: Mapping[str, Any], channels: int, text_dim: int, actions: ActionConditioning | None
) -> presets.TransformerConfig:
    """The config that a recipe's `model` stands for; mistakes in it are named."""
    settings = dict(model)
    preset = settings.pop("preset", "small")
    if preset not in PRESETS:
        raise ValueError(f"model.preset is {preset!r}; give one of {', '.join(PRESETS)}")
    known = [f.name for f in fields(presets.TransformerConfig)]
    known += [*PRESETS["small"]] if preset == "small" else []
    refuse_unknown(settings, known, "model")
    if preset == "small":
        settings = {"channels": channels, "text_dim": text_dim, **settings}
        missing = [key for key in PRESETS["small"] if key not in settings]
        if missing:
            raise ValueError(f"model: {', '.join(missing)} missing")
    if actions is not None:
        settings["actions"] = actions
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    try:
        return getattr(presets, preset)(**tuples)
    except TypeError as error:
        raise ValueError(f"model: {error}; give each key a value of its kind") from error


def check_model(
    model: Mapping[str, Any], path: ActionPath | None, text: SmallTextConfig
) -> presets.TransformerConfig:
    """What can be known of `fresh` before there are data; the config, of a data set made up."""
    return shape_of(model, 16, text.text_dim, path and path.conditioning(1, 4))


def fresh(
    model: dict[str, Any],
    path: ActionPath | None,
    text: SmallTextConfig | SmallTextEncoder,
    data: LatentSet,
) -> TrainWorld:
    """A new world for a data set: its latents give channels, its spec the action channels.

    `text` is an encoder that has learned already, or the sizes of a new one.
    """
    actions = None
    if path is not None and data.spec.size:
        actions = path.conditioning(data.spec.size, data.actions.shape[1])
    made = shape_of(model, data.latents.shape[1], text.text_dim, actions)
    if isinstance(text, SmallTextConfig):
        words = vocabulary_of(t for group in data.texts for t in group)
        text = SmallTextEncoder(replace(text, vocabulary=words))
    return TrainWorld(HeliosTransformer(made), text, data.spec)


def text_of(words: str, sizes: SmallTextConfig, context: StepContext) -> Any:
    """For `fresh`: the encoder that the step named `words` published, or sizes if it is empty."""
    if not words:
        return sizes
    return artifacts.load(context.final(words), "text", context.device)


def save(folder: Path, world: TrainWorld) -> None:
    """Publish DiT, text encoder (where it is ours) and action spec."""
    artifacts.save(folder, "transformer", "helios", world.dit)
    if isinstance(world.text, SmallTextEncoder):
        artifacts.save(folder, "text", "small_text", world.text)
    if artifacts.writes():
        (folder / "spec.json").write_text(json.dumps(world.spec.to_dict(), indent=1))


def read_spec(folder: Path) -> ActionSpec:
    """The action channels that a published world was trained with."""
    return ActionSpec.from_dict(json.loads((folder / "spec.json").read_text()))


def load(folder: Path, device: torch.device) -> TrainWorld:
    """A published world, trainable."""
    dit, text = (artifacts.load(folder, n, device) for n in ("transformer", "text"))
    assert isinstance(dit, HeliosTransformer) and isinstance(text, SmallTextEncoder)
    return TrainWorld(dit, text, read_spec(folder)).train().requires_grad_(True)
