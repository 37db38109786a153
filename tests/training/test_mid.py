"""Pyramid flow: its points, its proportions, and a world that learns through it."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from helios_core.sampling.schedule import pyramid_stages
from tests.training import tiny
from training.data.windows import WindowConfig, gather, part_of
from training.losses.pyramid import split_batch, stage_line, stage_time
from training.rollout import pyramid_chunk
from training.stages.mid import MidConfig, MidStage
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

STAGES = pyramid_stages(3)


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mean2(x):
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def test_lines_begin_and_end_as_the_released_training_has_them():
    clean, noise = rand(1, 2, 1, 8, 8), rand(1, 2, 1, 8, 8, seed=1)
    small = {2: clean, 1: mean2(clean), 0: mean2(mean2(clean))}
    noises = {2: noise, 1: 2 * mean2(noise), 0: 4 * mean2(mean2(noise))}
    for k, stage in enumerate(STAGES):
        line = stage_line(clean, noise, STAGES, k)
        end = stage.end * noises[k] + (1 - stage.end) * small[k]
        assert torch.allclose(line.end, end, atol=1e-5)
        start = noises[0]
        if k:
            below = small[k - 1].repeat_interleave(2, 3).repeat_interleave(2, 4)
            start = stage.start * noises[k] + (1 - stage.start) * below
        assert torch.allclose(line.start, start, atol=1e-5)
    last = stage_line(clean, noise, STAGES, 2)
    assert torch.equal(last.end, clean)
    half = torch.tensor([0.5])
    assert torch.allclose(last.at(half), (last.start + last.end) / 2)
    assert torch.allclose(last.at(half) - 0.5 * last.velocity, last.end, atol=1e-6)


def test_timesteps_span_the_stage():
    for stage in STAGES:
        ends = stage_time(stage, torch.tensor([0.0, 1.0]))
        assert torch.allclose(ends, torch.tensor([stage.t_min, stage.t_max]).float())


def test_batches_are_split_in_proportion():
    parts = split_batch(16, (1, 2, 1), torch.rand(16))
    assert [len(p) for p in parts] == [4, 8, 4]
    assert Counter(torch.cat(parts).tolist()) == Counter(range(16))


@pytest.fixture
def stage(tmp_path):
    tiny.data(tmp_path, scale=2)
    config = MidConfig(
        latents="latents", held="held", codec="codec", text=tiny.TEXT,
        model={**tiny.MODEL, "prediction": "velocity"}, windows=WindowConfig(history=7),
        batch=8, optimiser=OptimiserConfig(lr=3e-3, warmup=0, decay=0, ema=0),
    )  # fmt: skip
    torch.manual_seed(0)
    return MidStage(config, tiny.context(tmp_path), LoopConfig())


def test_one_batch_is_overfitted_in_every_stage(stage):
    first = stage.backward("world", Draw(0, 0), 0)
    for step in range(60):
        stage.player.step(step, 10**6)
        last = stage.backward("world", Draw(0, 0), 0)
    for k in range(3):
        assert last[f"stage{k}"] < 0.6 * first[f"stage{k}"], k


def gradients(stage):
    stage.world.zero_grad()
    stage.backward("world", Draw(0, 1), 0)
    return {n: p.grad.clone() for n, p in stage.player.params.items() if p.grad is not None}


def test_gradients_equal_those_of_samples_alone(stage):
    """Running a stage's samples together is the same as one by one."""
    with torch.no_grad():
        for p in stage.world.parameters():
            p.add_(0.02 * torch.randn_like(p))
    stage.config = replace(stage.config, misspelled=0.0)  # words would be drawn in another order
    together, loss_of = gradients(stage), stage._stage_loss

    def one_by_one(index, window, past, clean, noise, sigma, draw):
        losses = [
            loss_of(index, part_of(window, [i], torch.tensor([i])), past[i : i + 1],
                    clean[i : i + 1], noise[i : i + 1], sigma[i : i + 1], draw)
            for i in range(len(clean))
        ]  # fmt: skip
        return torch.cat(losses)

    stage._stage_loss = one_by_one
    for name, grad in gradients(stage).items():
        assert torch.allclose(together[name], grad, atol=2e-5), name


def test_the_pyramid_samples_at_full_size(stage):
    figures = stage.evaluate()
    assert figures["next"] > 0
    window = stage.data.sample(2, stage.judge.windows, Draw(0, 0))
    given = stage.world.conditions(window, gather(stage.data.latents, window.past), Draw(0, 0))
    made = pyramid_chunk(stage.world, given, rand(2, 4, 1, 8, 8), stage.plan)
    assert made.shape == (2, 4, 1, 8, 8) and bool(torch.isfinite(made).all())
