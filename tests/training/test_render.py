"""Rendering: which worlds, and worker processes that end with the process that asked for it."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from helios_core.plain import build
from training import recipe, starts, views
from training.data import render
from training.data.render import RenderConfig, _begin_worker, jobs, world_seeds
from training.evaluation.oracle import HELD_OUT_SEEDS


def _work(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's background it is none
    _begin_worker()
    pipe.send("working")
    time.sleep(60)


def _parent(pipe: Connection) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=_work, args=(pipe,))
    worker.start()
    time.sleep(60)


def test_workers_end_when_their_parent_is_killed():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_parent, args=(theirs,))
    parent.start()
    theirs.close()
    assert ours.recv() == "working"
    parent.kill()
    assert ours.poll(20), "the worker goes on"
    with pytest.raises(EOFError):
        ours.recv()  # nobody holds the other end any more


def test_workers_end_at_ctrl_c():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_work, args=(theirs,))
    worker.start()
    assert ours.recv() == "working"
    os.kill(worker.pid, signal.SIGINT)
    worker.join()
    assert worker.exitcode == -signal.SIGINT, "a pool would hear of an error and go on"


def _killed(_work) -> None:
    os._exit(1)


def test_a_worker_that_is_killed_is_not_waited_for(tmp_path, monkeypatch):
    """As the system does where memory runs out."""
    monkeypatch.setattr(render, "_render_shard", _killed)
    config = RenderConfig(height=32, width=32, parts=(), workers=2)
    job = render.ShardJob(tmp_path / "0.safetensors", 1, 1, 1, False)
    with pytest.raises(ValueError, match="a worker was killed, perhaps for want of memory"):
        list(render._finished(config, [job], "cpu"))


LESSONS = HELD_OUT_SEEDS // 2
KEPT_APART = ((LESSONS, LESSONS + 60_000), (HELD_OUT_SEEDS, HELD_OUT_SEEDS + 30_000),
              (starts.SEEDS, starts.SEEDS + views.FIRST + 20_000))  # fmt: skip
"""Ranges that hold the seeds of judges' lessons, of evaluation, and of starts and views."""


@pytest.mark.parametrize("name", ["wilds-nano", "wilds"])
def test_no_world_that_is_learned_from_is_one_that_is_measured_on(name):
    loaded, seeds = recipe.load(name), []
    for step in loaded.steps.values():
        if step.stage == "render":
            config = build(RenderConfig, step.settings, name)
            for job in jobs(config, Path()):
                seeds += world_seeds(job, np.random.default_rng(job.seed))
    assert len(seeds) > 200
    for first, end in KEPT_APART:
        assert not [seed for seed in seeds if first <= seed < end]
