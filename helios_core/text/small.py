"""The small text encoder of the shipped packs: words as hashed letter groups, then layers.

A word is the mean of embeddings of its letter groups (and of itself), found by hashing, so that
`medow` lands near `meadow` and no word is out of vocabulary. Word positions are learned. It is
trained together with the DiT, or before it on sentences alone (training.stages.words), lives in the
pack's safetensors, and needs no download.

    encoder = SmallTextEncoder(SmallTextConfig())
    hidden, mask = encoder.encode(["a meadow at noon"])

B prompts, L tokens (one for the whole prompt, then one a word), N letter groups of a word,
W width, D text_dim.
"""

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helios_core.text.api import words_of


@dataclass(frozen=True, kw_only=True)
class SmallTextConfig:
    """Sizes of the encoder, and the words that it was taught."""

    text_dim: int = 256
    """Width of the hidden states that the DiT reads."""
    width: int = 128
    """Width of the layers."""
    layers: int = 2
    """Transformer layers over the words."""
    heads: int = 4
    """Attention heads; they divide the width."""
    max_words: int = 31
    """Words of a prompt that are read; later ones are reported, not read."""
    buckets: int = 4096
    """Rows of the embedding that letter groups hash into."""
    longest_group: int = 4
    """Letter groups have 2 up to so many letters."""
    vocabulary: tuple[str, ...] = ()
    """Words of the captions it was trained on; empty claims to know none."""

    def __post_init__(self) -> None:
        sizes = (self.text_dim, self.width, self.heads, self.max_words, self.longest_group - 1)
        if min(sizes) < 1 or self.layers < 0 or self.buckets < 2:
            raise ValueError("a text encoder's sizes are positive, with 2 buckets or more")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")


@lru_cache(maxsize=8192)
def letter_groups(word: str, buckets: int, longest: int) -> tuple[int, ...]:
    """Rows (1 up to buckets - 1) of the word's letter groups and of the word itself."""
    marked = f"<{word}>"
    groups = [
        marked[i : i + size]
        for size in range(2, longest + 1)
        for i in range(len(marked) - size + 1)
    ]
    groups.append(marked)
    return tuple(1 + zlib.crc32(group.encode()) % (buckets - 1) for group in groups)


class TextLayer(nn.Module):
    """Pre-norm attention over the words, then a feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, L, W] with mask [B, L] to [B, L, W]."""
        parts = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # [B, heads, L, W / heads] each
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class SmallTextEncoder(nn.Module):
    """Prompts to hidden states, in plain torch."""

    def __init__(self, config: SmallTextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_dim = config.text_dim
        self.max_tokens = config.max_words + 1
        self.known_words = frozenset(config.vocabulary)
        self.groups = nn.Embedding(config.buckets, config.width)
        self.whole = nn.Parameter(torch.randn(config.width))
        self.positions = nn.Parameter(0.3 * torch.randn(self.max_tokens, config.width))
        self.layers = nn.ModuleList(
            TextLayer(config.width, config.heads) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, config.text_dim)

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Hidden states [B, L, D], zero past each prompt's words, and that mask [B, L]."""
        rows, mask = self.tokenize(texts)
        return self(rows, mask), mask

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Letter groups [B, L-1, N] (0 is none) and the mask [B, L], on the model's device."""
        rows, mask = self.looked_up(texts)
        return rows.to(self.whole.device), mask.to(self.whole.device)

    def looked_up(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """As `tokenize`, on the host."""
        config = self.config
        words = [words_of(text)[: config.max_words] for text in texts]
        groups = [
            [letter_groups(word, config.buckets, config.longest_group) for word in row]
            for row in words
        ]
        most = max((len(ids) for row in groups for ids in row), default=1)
        table = np.zeros((len(texts), config.max_words, most), np.int64)
        mask = np.zeros((len(texts), self.max_tokens), bool)
        for b, row in enumerate(groups):
            mask[b, : len(row) + 1] = True
            for i, ids in enumerate(row):
                table[b, i, : len(ids)] = ids
        return torch.from_numpy(table), torch.from_numpy(mask)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """[B, L-1, N] letter groups and mask [B, L] to hidden states [B, L, D]."""
        # Divided by the root of the count, a word's length leaves its variance alone.
        count = (rows > 0).sum(2, keepdim=True).clamp(min=1)
        bags = F.embedding_bag(
            rows.flatten(0, 1), self.groups.weight, mode="sum", padding_idx=0
        )  # fmt: skip
        words = bags.unflatten(0, rows.shape[:2]) / count.sqrt()
        whole = self.whole.expand(len(rows), 1, -1)
        x = torch.cat([whole.to(words.dtype), words], 1) + self.positions
        for layer in self.layers:
            x = layer(x, mask)
        # Of one size, always: left free, training shrinks the hidden states towards nothing while
        # they are still noise to the DiT, and text is never learned after that.
        hidden = F.layer_norm(self.leave(self.norm(x)), (self.text_dim,))
        return hidden * mask.unsqueeze(-1)


def vocabulary_of(captions: Iterable[str]) -> tuple[str, ...]:
    """Every word of a caption set, sorted: what `SmallTextConfig.vocabulary` wants."""
    return tuple(sorted({word for caption in captions for word in words_of(caption)}))


def misspell(text: str, rng: "torch.Generator", rate: float) -> str:
    """The text with some of its words mistyped by one letter, for training."""
    return " ".join(
        _mistype(word, rng) if _uniform(rng) < rate and len(word) > 3 else word
        for word in text.split(" ")
    )


def _uniform(rng: torch.Generator) -> float:
    return float(torch.rand((), generator=rng))


def _mistype(word: str, rng: torch.Generator) -> str:
    """Drop, double, swap or replace one letter after the first."""
    i = 1 + math.floor(_uniform(rng) * (len(word) - 2))
    letter = chr(ord("a") + math.floor(_uniform(rng) * 26))
    kinds = (
        word[:i] + word[i + 1 :],
        word[:i] + word[i] + word[i:],
        word[:i] + word[i + 1] + word[i] + word[i + 2 :],
        word[:i] + letter + word[i + 1 :],
    )
    return kinds[math.floor(_uniform(rng) * len(kinds))]
