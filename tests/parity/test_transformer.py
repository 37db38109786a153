"""Every forward equals the reference's, over random configurations, histories and flags.

Also: each mechanism, switched off in ours, breaks that equality. Run:
`pytest tests/parity/test_transformer.py`.
"""

import random
from dataclasses import replace

import pytest
import torch

from helios_core.config import TransformerConfig
from helios_core.memory import History, frame_indices
from helios_core.transformer import HeliosTransformer
from tests.parity.reference import (
    random_history,
    random_model,
    reference_forward,
    reference_of,
    relative_error,
)

COUNT = 48
HISTORIES = [(), ("short",), ("mid", "short"), ("long", "short"), ("long", "mid", "short")]
AMPLIFY = ("none", "scalar", "per_head")


def random_config(rng: random.Random, number: int) -> TransformerConfig:
    rope = tuple(2 * rng.randint(1, 4) for _ in range(3))
    channels = rng.choice((1, 3, 4))
    return TransformerConfig(
        heads=rng.randint(1, 4),
        head_dim=sum(rope),
        layers=rng.randint(1, 3),
        in_channels=channels,
        out_channels=rng.choice((channels, 2)),
        text_dim=rng.choice((8, 17)),
        freq_dim=rng.choice((16, 34)),
        ffn_dim=rng.choice((24, 50)),
        history_sizes=rng.choice(((16, 2, 1), (8, 2, 1), (4, 3, 2), (5, 1, 1))),
        rope_dim=rope,
        rope_theta=rng.choice((100.0, 10000.0)),
        eps=rng.choice((1e-6, 1e-5)),
        cross_attn_norm=bool(number & 1),
        guidance_cross_attn=bool(number & 2),
        zero_history_timestep=bool(number & 4),
        multi_term_memory=number % 9 != 8,
        amplify_history=AMPLIFY[number % 3],
    )


@pytest.mark.parametrize("number", range(COUNT))
@torch.no_grad()
def test_forward_equals_reference(number: int) -> None:
    rng = random.Random(number)
    config = random_config(rng, number)
    model = random_model(config, number)
    reference = reference_of(model)
    generator = torch.Generator().manual_seed(number)
    batch, frames = rng.randint(1, 3), rng.randint(1, 4)
    rows, columns = 2 * rng.randint(1, 7), 2 * rng.randint(1, 7)
    parts = HISTORIES[number % 5] if config.multi_term_memory else ()
    history = random_history(config, (batch, rows, columns), generator, parts=parts)
    noisy = torch.randn(batch, config.in_channels, frames, rows, columns, generator=generator)
    timestep = torch.randint(0, 1000, (batch,), generator=generator)
    text = torch.randn(batch, rng.randint(1, 9), config.text_dim, generator=generator)
    theirs = reference_forward(reference, noisy, timestep, text, history, config.history_sizes)
    ours = model(noisy, timestep, text, history)
    assert theirs.abs().max() > 0.01, "the comparison would be empty"
    assert relative_error(ours, theirs) <= 1e-5


def test_sweep_covers_every_case() -> None:
    """The random sweep meets each history combination with each flag on and off."""
    seen = set()
    for number in range(COUNT):
        config = random_config(random.Random(number), number)
        parts = HISTORIES[number % 5] if config.multi_term_memory else ()
        seen |= {(parts, "norm", config.cross_attn_norm), (parts, config.amplify_history)}
        seen |= {(parts, "zero", config.zero_history_timestep)}
        seen |= {(parts, "guide", config.guidance_cross_attn)}
    assert len(seen) == len(HISTORIES) * (3 + 2 + 2 + 2)


# Each mechanism matters: switched off, equality is gone ---------------------------------------

BASE = TransformerConfig(
    heads=2,
    head_dim=12,
    layers=2,
    in_channels=3,
    out_channels=3,
    text_dim=10,
    freq_dim=16,
    ffn_dim=32,
    rope_dim=(4, 4, 4),
    amplify_history="per_head",
)


def broken(mechanism: str, model: HeliosTransformer, history: History) -> tuple:
    """Our model and history with one mechanism switched off."""
    if mechanism == "nothing":
        return model, history
    if mechanism == "memory_patches":
        for patcher in (model.patch_mid, model.patch_long):
            patcher.weight.zero_()
        return model, history
    if mechanism == "relative_indices":
        absolute = frame_indices(BASE.history_sizes, 2)
        shifted = absolute._replace(noisy=tuple(i + 900 for i in absolute.noisy))
        return model, replace(history, indices=shifted)
    if mechanism == "anchor":
        short = torch.cat([torch.zeros_like(history.short[:, :, :1]), history.short[:, :, 1:]], 2)
        return model, replace(history, short=short)
    changes = {
        "guidance_attention": {"guidance_cross_attn": False},
        "zero_timestep": {"zero_history_timestep": False},
        "amplification": {"amplify_history": "none"},
        "restriction": {"restrict_history": True},
    }[mechanism]
    other = HeliosTransformer(replace(BASE, **changes)).requires_grad_(False)
    other.load_state_dict(model.state_dict(), strict=mechanism != "amplification")
    return other, history


MECHANISMS = (
    "memory_patches",
    "relative_indices",
    "anchor",
    "guidance_attention",
    "zero_timestep",
    "amplification",
    "restriction",
)


def mechanism_error(mechanism: str) -> float:
    model = random_model(BASE, 1)
    reference = reference_of(model)
    generator = torch.Generator().manual_seed(5)
    history = random_history(BASE, (1, 6, 10), generator)
    assert history is not None
    noisy = torch.randn(1, 3, 2, 6, 10, generator=generator)
    text = torch.randn(1, 5, 10, generator=generator)
    timestep = torch.tensor([612])
    theirs = reference_forward(reference, noisy, timestep, text, history, BASE.history_sizes)
    ours, changed = broken(mechanism, model, history)
    return relative_error(ours(noisy, timestep, text, changed), theirs)


@torch.no_grad()
def test_nothing_broken_is_equal() -> None:
    assert mechanism_error("nothing") <= 1e-5


@pytest.mark.parametrize("mechanism", MECHANISMS)
@torch.no_grad()
def test_switching_off_breaks_equality(mechanism: str) -> None:
    assert mechanism_error(mechanism) > 1e-3
