"""What a chunk costs, counted from a config: tokens, floating-point operations and bytes.

Arithmetic only; nothing is allocated or run. Two operations per multiply-add, one world. `Way`
says which work is done once instead of every step. Timing is in helios_core.bench.

    costs = chunk_costs(helios_14b(), Size(48, 80, 9), steps=(2, 2, 2), text_tokens=512)

Dimensions: h w latent rows and columns, T latent frames, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil, prod
from typing import NamedTuple

from helios_core.config import TransformerConfig, tokens_per_frame
from helios_core.sampling.pyramid import stage_sizes


class Size(NamedTuple):
    """Latent rows, columns and frames of a chunk."""

    rows: int
    columns: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which work is shared by the steps of a chunk."""

    cache_text: bool = False
    """Text keys and values once per prompt (not counted)."""
    cache_history: bool = False
    """History once per chunk; needs a model with restricted attention."""
    trim_last: bool = False
    """The last block leaves out the history work that no output depends on, as our code does."""


RELEASED = Way()
"""The released maths: everything at every step."""
WAYS = {
    "released maths": RELEASED,
    "text cached": Way(cache_text=True),
    "history cached": Way(cache_history=True),
    "both cached": Way(cache_text=True, cache_history=True),
    "both cached, last block trimmed": Way(cache_text=True, cache_history=True, trim_last=True),
}


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Operations of one forward, by kind."""

    self_linear: float = 0
    """Query, key, value and output projections of the self-attention."""
    ffn: float = 0
    cross_linear: float = 0
    """Query and output projections of the cross-attention."""
    cross_key_value: float = 0
    """Text keys and values."""
    cross_attention: float = 0
    self_attention: float = 0

    @property
    def total(self) -> float:
        return sum(getattr(self, f.name) for f in fields(self))


class Tokens(NamedTuple):
    """Tokens of one forward."""

    long: int
    mid: int
    short: int
    noisy: int

    @property
    def history(self) -> int:
        return self.long + self.mid + self.short

    @property
    def all(self) -> int:
        return self.history + self.noisy


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """One pyramid stage of a chunk."""

    rows: int
    columns: int
    steps: int
    tokens: Tokens
    flops: Flops
    """Of one step."""


@dataclass(frozen=True, kw_only=True)
class ChunkCost:
    """All stages, and what is done once."""

    stages: tuple[StageCost, ...]
    once: Flops
    """History keys and values, where they are cached."""

    @property
    def total(self) -> float:
        """Operations of the chunk."""
        return self.once.total + sum(stage.steps * stage.flops.total for stage in self.stages)


def tokens_of(config: TransformerConfig, full: Size, rows: int, columns: int) -> Tokens:
    """Tokens when noisy frames have rows x columns and history has the full size."""
    noisy = full.frames * tokens_per_frame(config, rows, columns)
    if not config.multi_term_memory:
        return Tokens(0, 0, 0, noisy)
    long, mid, recent = config.history_sizes
    return Tokens(
        _compressed(config, full, long, 4),
        _compressed(config, full, mid, 2),
        _compressed(config, full, recent + config.anchor, 1),
        noisy,
    )


def forward_flops(
    config: TransformerConfig, tokens: Tokens, text_tokens: int, way: Way = RELEASED
) -> Flops:
    """One forward; with cached history only the noisy tokens are worked on."""
    layers, square = config.layers, config.dim**2
    sequence = tokens.noisy if way.cache_history else tokens.all
    queries = sequence * layers
    if way.trim_last and not way.cache_history:
        queries -= tokens.history
    guided = config.guidance_cross_attn or way.cache_history
    reached = tokens.noisy * layers if guided else queries
    pairs = queries * tokens.all
    if config.restrict_history and not way.cache_history:
        pairs -= (queries - tokens.noisy * layers) * tokens.noisy
    return Flops(
        self_linear=4 * square * (queries + sequence * layers),
        ffn=4 * queries * config.dim * config.ffn_dim,
        cross_linear=4 * reached * square,
        cross_key_value=0 if way.cache_text else 4 * text_tokens * layers * square,
        cross_attention=4 * reached * text_tokens * config.dim,
        self_attention=4 * pairs * config.dim,
    )


def history_flops(config: TransformerConfig, tokens: Tokens, way: Way) -> Flops:
    """History alone, done once per chunk."""
    if not way.cache_history:
        return Flops()
    queries = tokens.history * (config.layers - way.trim_last)
    return Flops(
        self_linear=4 * config.dim**2 * (queries + tokens.history * config.layers),
        ffn=4 * queries * config.dim * config.ffn_dim,
        self_attention=4 * queries * tokens.history * config.dim,
    )


def chunk_costs(
    config: TransformerConfig,
    size: Size,
    *,
    steps: Sequence[int],
    text_tokens: int,
    way: Way = RELEASED,
) -> ChunkCost:
    """A chunk sampled with so many steps per stage, coarse to fine."""
    sizes = stage_sizes(size.rows, size.columns, len(steps))
    stages = []
    for (rows, columns), count in zip(sizes, steps, strict=True):
        tokens = tokens_of(config, size, rows, columns)
        flops = forward_flops(config, tokens, text_tokens, way)
        stages.append(
            StageCost(rows=rows, columns=columns, steps=count, tokens=tokens, flops=flops)
        )
    return ChunkCost(stages=tuple(stages), once=history_flops(config, stages[-1].tokens, way))


def memory_saving(config: TransformerConfig, size: Size) -> float:
    """How many times fewer history tokens than frames concatenated at full size."""
    kept = (config.kept_frames + config.anchor) * tokens_per_frame(config, size.rows, size.columns)
    return kept / tokens_of(config, size, size.rows, size.columns).history


def pyramid_saving(config: TransformerConfig, size: Size, steps: Sequence[int]) -> float:
    """How many times fewer noisy tokens than the same steps all at full size."""
    stages = chunk_costs(config, size, steps=steps, text_tokens=0).stages
    spent = sum(stage.steps * stage.tokens.noisy for stage in stages)
    return sum(steps) * stages[-1].tokens.noisy / spent


def naive_flops(config: TransformerConfig, size: Size, history: int, text_tokens: int) -> float:
    """One full-size forward with `history` latent frames concatenated uncompressed."""
    each = tokens_per_frame(config, size.rows, size.columns)
    tokens = Tokens(0, 0, history * each, size.frames * each)
    return forward_flops(config, tokens, text_tokens).total


def weight_count(config: TransformerConfig) -> int:
    """Parameters of the model without action conditioning."""
    d, wide = config.dim, config.ffn_dim
    volume = config.in_channels * prod(config.patch)
    patchers = [1] + ([1, 8, 64] if config.multi_term_memory else [])
    embedding = sum(d * volume * factor + d for factor in patchers)
    time = d * config.freq_dim + d + d * d + d + 6 * d * d + 6 * d
    text = d * config.text_dim + d + d * d + d
    block = 2 * (4 * d * d + 4 * d + 2 * d) + 2 * d * wide + wide + d + 6 * d
    block += 2 * d * config.cross_attn_norm
    block += {"none": 0, "scalar": 1, "per_head": config.heads}[config.amplify_history]
    out = 2 * d + config.out_channels * prod(config.patch) * (d + 1)
    return embedding + time + text + config.layers * block + out


def history_cache_bytes(config: TransformerConfig, tokens: Tokens, width: int) -> int:
    """Cached history keys and values, `width` bytes per number."""
    return 2 * config.layers * tokens.history * config.dim * width


def modulation_bytes(config: TransformerConfig, rows: int, width: int) -> int:
    """The block modulation of so many rows: a few as we keep it, one per token if expanded."""
    return rows * 6 * config.dim * width


def state_bytes(config: TransformerConfig, size: Size, width: int = 4) -> int:
    """Latents that a world state keeps: history and anchor."""
    frames = config.kept_frames + config.anchor
    return frames * config.in_channels * size.rows * size.columns * width


def _compressed(config: TransformerConfig, size: Size, frames: int, factor: int) -> int:
    _, ph, pw = config.patch
    rows, columns = ceil(size.rows / (ph * factor)), ceil(size.columns / (pw * factor))
    return ceil(frames / factor) * rows * columns
