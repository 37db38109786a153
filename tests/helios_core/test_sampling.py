"""Schedules, solvers, noise and the sampling of a chunk, beside their parity with the reference.

Run: `pytest tests/helios_core/test_sampling.py`.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helios_core.conditioning import ActionConditioning
from helios_core.config import TransformerConfig
from helios_core.memory import make_history
from helios_core.sampling.chunk import Conditions, counted_tokens, sample_chunk
from helios_core.sampling.dmd import dmd
from helios_core.sampling.euler import euler
from helios_core.sampling.guidance import fitted_scale, guided, guided_zero_star
from helios_core.sampling.noise import SeededNoise, block_factor, block_noise
from helios_core.sampling.plan import BASE, DISTILLED, MID, SamplerPlan, few_steps
from helios_core.sampling.pyramid import check_pyramid, grow, shrink
from helios_core.sampling.schedule import (
    flow_steps,
    listed_steps,
    pyramid_stages,
    shift_amount,
    stage_steps,
)
from helios_core.sampling.unipc import unipc
from tests.helios_core.test_model import model_of

CONFIG = TransformerConfig(
    heads=2,
    head_dim=12,
    layers=2,
    in_channels=3,
    out_channels=3,
    text_dim=10,
    freq_dim=16,
    ffn_dim=32,
    rope_dim=(4, 4, 4),
    restrict_history=True,
    actions=ActionConditioning(channels=3, window=2, width=8),
)

# Schedules --------------------------------------------------------------------------------------


def test_stages_are_those_of_the_released_models() -> None:
    stages = pyramid_stages(3)
    near = {"abs": 1e-5}
    assert [s.start_before for s in stages] == pytest.approx([0.999, 0.66633, 0.33367], abs=5e-6)
    assert [s.start for s in stages] == pytest.approx([0.999, 0.79976, 0.50037], **near)
    assert [s.end for s in stages] == pytest.approx([0.66633, 0.33367, 0], abs=5e-6)
    assert [s.t_max for s in stages] == pytest.approx([999, 743.256, 385.614], abs=1e-3)
    assert stages[1].jump == pytest.approx((0.60012, 0.69261), **near)
    assert stages[2].jump == pytest.approx((0.74981, 0.43334), **near)


@pytest.mark.parametrize(
    ("count", "table"),
    [
        (1, [[998.53], [742.82], [385.41]]),
        (2, [[998.53, 833.96], [742.82, 547.19], [385.41, 253.99]]),
        (
            4,
            [
                [998.53, 902.22, 833.96, 783.07],
                [742.82, 640.00, 547.19, 463.00],
                [385.41, 328.62, 253.99, 151.53],
            ],
        ),
    ],
)
def test_few_step_tables_as_trained(count: int, table: list[list[float]]) -> None:
    for stage, tokens, row in zip(pyramid_stages(3), (540, 2160, 8640), table, strict=True):
        steps = stage_steps(stage, count, drop_last=True, shift="linear", tokens=tokens)
        assert steps.timesteps == pytest.approx(row, abs=6e-3)
        assert len(steps.sigmas) == count + 1
        assert steps.sigmas[-1] == 0


def test_shift_amount_by_tokens() -> None:
    assert [shift_amount(n) for n in (540, 2160, 8640)] == pytest.approx(
        [0.548, 0.822, 1.919], abs=1e-3
    )


def test_shift_counts_the_size_before_or_after_the_jump() -> None:
    model = model_of(CONFIG)
    shape = (1, 3, 9, 48, 80)
    published = replace(DISTILLED, shift_size="as_published")
    assert [counted_tokens(model, DISTILLED, shape, i) for i in range(3)] == [540, 2160, 8640]
    assert [counted_tokens(model, published, shape, i) for i in range(3)] == [540, 540, 2160]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_any_number_of_stages_falls_from_noise_to_clean(count: int) -> None:
    stages = pyramid_stages(count)
    assert len(stages) == count
    assert stages[0].start == pytest.approx(0.999)
    assert stages[-1].end == 0
    times = [t for s in stages for t in (s.t_max, s.t_min)]
    assert times == sorted(times, reverse=True)


def test_one_stage_is_the_plain_flow() -> None:
    steps = flow_steps(4, shift="none", tokens=1)
    assert steps.sigmas == pytest.approx((0.999, 0.74925, 0.4995, 0.24975, 0.0))
    assert steps.timesteps == pytest.approx([1000 * s for s in steps.sigmas[:-1]])


# Noise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.3333, 1 / 3])
def test_block_factor_has_the_wanted_covariance(gamma: float) -> None:
    factor = block_factor(4, gamma).double()
    wanted = (1 + gamma) * torch.eye(4) - gamma
    assert torch.allclose(factor @ factor.T, wanted.double(), atol=1e-6)
    assert torch.equal(factor, factor.tril())


def test_block_factor_is_the_numeric_one_where_that_exists() -> None:
    wanted = (1 + 0.3) * torch.eye(4, dtype=torch.float64) - 0.3
    assert torch.allclose(block_factor(4, 0.3).double(), torch.linalg.cholesky(wanted), atol=1e-6)


def test_block_noise_sums_to_zero_and_has_unit_variance() -> None:
    noise = block_noise(SeededNoise([(0, 0)]), "jump1", (1, 4, 3, 32, 32), 1 / 3)
    blocks = noise.unfold(3, 2, 2).unfold(4, 2, 2).flatten(5)
    assert blocks.sum(-1).abs().max() < 1e-5
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    pair = (blocks[..., 0] * blocks[..., 3]).mean().item()
    assert pair == pytest.approx(-1 / 3, abs=0.03)


def test_noise_depends_on_world_chunk_and_name_only() -> None:
    shape = (1, 2, 3)
    draw = SeededNoise([(7, 2)]).normal("start", shape)
    assert torch.equal(draw, SeededNoise([(7, 2)]).normal("start", shape))
    others = [((8, 2), "start"), ((7, 3), "start"), ((7, 2), "jump1")]
    assert not any(torch.equal(draw, SeededNoise([w]).normal(n, shape)) for w, n in others)
    both = SeededNoise([(7, 2), (8, 2)]).normal("start", (2, 2, 3))
    assert torch.equal(both[:1], draw)


# Solvers ----------------------------------------------------------------------------------------


def curved(x: Tensor, timestep: float, step: int) -> Tensor:
    """The exact velocity of a flow whose clean end is normal with deviation 0.5."""
    sigma = timestep / 1000
    variance = sigma**2 + 0.25 * (1 - sigma) ** 2
    return x * (sigma - 0.25 * (1 - sigma)) / variance


def end_error(solver, count: int) -> float:
    """How far a solver's end is from the exact one, which is half the start."""
    steps = flow_steps(count, shift="none", tokens=1)
    start = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
    first = steps.sigmas[0]
    exact = 0.5 / math.sqrt(first**2 + 0.25 * (1 - first) ** 2)
    return abs(solver(start, steps, curved).item() - exact)


def test_orders_of_the_solvers() -> None:
    """Doubling the steps halves Euler's error and quarters (at least) that of UniPC."""
    assert end_error(euler, 40) / end_error(euler, 80) == pytest.approx(2, abs=0.3)
    assert end_error(unipc, 40) / end_error(unipc, 80) > 3.5
    assert end_error(unipc, 20) < end_error(euler, 20) / 5


def test_unipc_refuses_pure_noise() -> None:
    with pytest.raises(ValueError, match="start below 1"):
        unipc(torch.ones(1, 1, 1, 1, 1), listed_steps((1.0, 0.5)), curved)


def test_dmd_mixes_the_start_or_fresh_noise() -> None:
    start = torch.full((1, 1, 1, 1, 1), 3.0)
    steps = listed_steps((1.0, 0.5))

    def to_one(x: Tensor, timestep: float, step: int) -> Tensor:
        seen.append(x.item())
        return (x - 1) / (timestep / 1000)

    seen: list[float] = []
    assert dmd(start, steps, to_one).item() == pytest.approx(1)
    assert seen == pytest.approx([3, 0.5 * 1 + 0.5 * 3])
    seen.clear()
    dmd(start, steps, to_one, renoise=lambda i: torch.full_like(start, 7.0))
    assert seen == pytest.approx([3, 0.5 * 1 + 0.5 * 7])


# Guidance ---------------------------------------------------------------------------------------


def test_guidance_rules() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 1, 1, 2, 2, generator=draw) for _ in range(2))
    assert torch.allclose(guided(a, b, 1.0), a, atol=1e-6)
    scale = fitted_scale(a, b)
    left = ((a - scale * b) * b).flatten(1).sum(1)
    assert left.abs().max() < 1e-5, "what is left is orthogonal to the unguided velocity"
    assert torch.allclose(guided_zero_star(3 * b, b, 5.0), 3 * b, atol=1e-5)


# A chunk ----------------------------------------------------------------------------------------


def conditions(model, batch: int = 1, rows: int = 8) -> Conditions:
    draw = torch.Generator().manual_seed(2)
    history = make_history(torch.zeros(batch, 3, 19, rows, 8), None, CONFIG.history_sizes)
    text = torch.randn(batch, 4, 10, generator=draw)
    actions = torch.randn(batch, 2, 2, 3, generator=draw)
    return Conditions(
        text=model.text_cache(text),
        negative=model.text_cache(torch.zeros_like(text)),
        history=model.history_cache(history),
        actions=model.action_cache(actions, batch=batch, frames=2),
    )


PLANS = {
    "base": replace(BASE, steps=(3,)),
    "mid": replace(MID, steps=(3, 2)),
    "distilled": DISTILLED,
    "few_dmd": few_steps(1, 0.75, 0.4),
    "few_euler": few_steps(1, 0.75, 0.4, solver="euler"),
    "few_fresh": few_steps(1, 0.75, 0.4, renoise="fresh"),
}


@pytest.mark.parametrize("name", PLANS)
def test_same_seed_same_bits_and_worlds_do_not_mix(name: str) -> None:
    model, plan = model_of(CONFIG), PLANS[name]
    given = conditions(model)
    first = sample_chunk(model, plan, SeededNoise([(1, 0)]), (1, 3, 2, 8, 8), given)
    again = sample_chunk(model, plan, SeededNoise([(1, 0)]), (1, 3, 2, 8, 8), given)
    other = sample_chunk(model, plan, SeededNoise([(2, 0)]), (1, 3, 2, 8, 8), given)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)
    assert first.shape == (1, 3, 2, 8, 8)
    assert first.isfinite().all()


def test_amplified_first_chunk_takes_twice_the_steps() -> None:
    model, plan = model_of(CONFIG), replace(DISTILLED, steps=(1, 2))
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    given = conditions(model)
    for first in (False, True):
        sample_chunk(model, plan, SeededNoise([(1, 0)]), (1, 3, 2, 8, 8), given, first_chunk=first)
    assert len(calls) == 3 + 6


def test_zero_star_asks_nothing_while_it_stands_still() -> None:
    model, plan = model_of(CONFIG), replace(MID, steps=(3, 2), zero_steps=2)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    sample_chunk(model, plan, SeededNoise([(1, 0)]), (1, 3, 2, 8, 8), conditions(model))
    assert len(calls) == 2 * (1 + 2)


def test_pyramid_sizes_go_down_and_up() -> None:
    x = torch.randn(2, 3, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    assert shrink(x).shape == (2, 3, 4, 4, 6)
    assert shrink(x).std().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(grow(x)[..., ::2, ::2], x)


def test_refused_sizes_and_plans() -> None:
    with pytest.raises(ValueError, match=r"480x832 .* nearest: 448x832, 512x832"):
        check_pyramid(60, 104, stages=3, patch=(1, 2, 2), spatial=8)
    check_pyramid(48, 80, stages=3, patch=(1, 2, 2), spatial=8)
    model = model_of(CONFIG)
    with pytest.raises(ValueError, match="negative prompt"):
        given = replace(conditions(model), negative=None)
        sample_chunk(model, PLANS["base"], SeededNoise([(1, 0)]), (1, 3, 2, 8, 8), given)
    bad = [
        {"steps": ()},
        {"steps": (2, 0)},
        {"sigmas": (1.0, 0.5)},
        {"solver": "heun"},
        {"solver": "unipc", "amplify_first": True},
        {"guidance": 0.5},
        {"gamma": 0.5},
    ]
    for settings in bad:
        with pytest.raises(ValueError, match=r"give|only"):
            SamplerPlan(**settings)
    with pytest.raises(ValueError, match="falling"):
        few_steps(0.4, 1.0)
    with pytest.raises(ValueError, match="unknown keys sigma"):
        SamplerPlan.from_dict({"sigma": 1})


@pytest.mark.parametrize("name", PLANS)
def test_plans_survive_a_manifest(name: str) -> None:
    assert SamplerPlan.from_dict(PLANS[name].to_dict()) == PLANS[name]
