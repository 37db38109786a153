"""Action to photon against the latch formula, on a fake clock; flatness of long play."""

import time

import numpy as np
import pytest
import torch

from engine.clock import FakeClock
from engine.measure import formula, measure_flatness, measure_latch
from engine.synthetic import SyntheticWorld, frame_action, frame_number
from helios_core.null_world import NullWorld
from helios_core.packs import load_world
from tests.engine.playing import play


@pytest.mark.parametrize("chunk_frames", [4, 33])
@pytest.mark.parametrize("make", [0.05, 0.15, 0.4])
def test_action_to_photon_follows_the_latch_formula(make, chunk_frames):
    result = measure_latch(make=make, chunk_frames=chunk_frames, events=60, clock=FakeClock())
    assert result.error < 0.001
    assert len(result.measured) == 60 and np.isfinite(result.measured).all()
    period = max(make, chunk_frames / 20)
    assert min(result.measured) >= make
    assert max(result.measured) <= period + make + result.margin + 0.005


def test_the_formula_takes_the_first_chunk_that_is_latched_after_the_event():
    starts = [(1.0, 0.01), (1.2, 0.01), (1.4, 0.01)]
    fast = {"make": 0.05, "chunk_seconds": 0.2}
    assert formula(1.13, starts, **fast) == pytest.approx(0.07)
    assert formula(1.15, starts, **fast) == pytest.approx(0.25)
    slow = {"make": 0.3, "chunk_seconds": 0.2}
    assert formula(1.13, starts, **slow) == pytest.approx(0.37)
    assert formula(1.5, starts, **slow) == np.inf


def test_a_synthetic_picture_says_what_it_was_made_from():
    world = SyntheticWorld(FakeClock(), make=0.1)
    state = world.start(seed=0)
    for _ in range(300):
        state, _ = world.generate(state, None)
    actions = world.info.spec.build(4, strafe=-1.0)
    _, frames = world.advance(state, actions)
    assert frame_number(frames[2]) == 1202
    assert frame_action(frames[0], 1) == pytest.approx(-1.0, abs=0.01)
    assert world.clock.now() == pytest.approx(301 * 0.1 - 300 * 0.02)


def flat(samples) -> None:
    first, last = samples[2], samples[-1]
    assert last.resident <= first.resident * 1.01
    assert (last.threads, last.files) == (first.threads, first.files)


def test_headless_memory_is_flat():
    flat(measure_flatness(NullWorld(height=64, width=96), frames=6000, on_frame=lambda n: None))


@pytest.mark.full
def test_headless_memory_is_flat_over_100_000_frames():
    flat(measure_flatness(NullWorld(), frames=100_000, on_frame=lambda n: None))


@pytest.mark.full
def test_chunk_2000_of_a_random_helios_costs_what_chunk_100_does():
    """States are values, so both chunks are made in turns: the machine's moods hit both alike."""
    torch.set_num_threads(1)
    world = load_world("random")
    state = world.start(seed=0, prompt=world.info.presets[0].prompt)
    action = world.info.spec.zeros(4)
    kept = {}
    for n in range(2001):
        kept[n] = state if n in (100, 2000) else None
        state, _ = world.advance(state, action)
    costs = {100: [], 2000: []}
    for turn in range(600):
        for n in (100, 2000) if turn % 2 else (2000, 100):
            started = time.thread_time()
            world.advance(kept[n], action)
            costs[n].append(time.thread_time() - started)
    assert np.quantile(costs[2000], 0.3) <= 1.02 * np.quantile(costs[100], 0.3)
    assert len(world.save_state(kept[2000])) == len(world.save_state(kept[100]))


def test_windowed_memory_and_files_are_bounded_however_long_it_runs(tmp_path):
    """Minutes of play on a fake clock: nothing in the session grows but its files on disk."""
    run = play(tmp_path, frames=12_000, memory_seconds=10.0, disk_bytes=200_000)
    session = run.session
    inner = run.window.show

    def show(frame, hud, overlays) -> None:
        inner(frame, hud, overlays)
        del run.window.shown[:-1]

    run.window.show = show
    sizes: list[tuple[int, int]] = []
    session.store.close = session.log.close = lambda: None
    run.world._before_generate = lambda chunk: sizes.append(
        (len(session.store._recent), len(session.store._reels))
    )
    run.loop.run()
    assert max(kept for kept, _ in sizes) <= 51 and max(reels for _, reels in sizes) <= 4
    assert session.store.disk_bytes <= 260_000
    assert session.log.chunks == 3_000
    assert len(run.loop.meter.times) <= 4096


def test_a_play_that_dies_without_a_word_is_told_with_its_command(monkeypatch):
    from engine.cli import bench_play

    monkeypatch.setattr(bench_play.sys, "executable", "false")
    with pytest.raises(ValueError, match=r"--pack null .*: ended with code 1 and said nothing"):
        bench_play.command_to_first_frame("null", {})
