"""Every step of wilds-nano on a GPU that is only pretended, or real, and going on there.

Sharpening is interrupted between the turns of world and critic.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch

from tests.training import tiny
from tests.training.pretend_cuda import marked, pretending
from tests.training.pretend_graph import by_tape
from tests.training.test_recipes import TINY
from training import graphed, recipe, steps
from training.data import shards
from training.data.render import RenderConfig, ShardJob, render_clips
from training.stages import judge, words
from training.trainer import checkpoints
from training.trainer.rundir import RunDir

CHAIN = ("codec", "decoder", "latents", "held-latents", "words", "forecast", "near",
         "sharpen-near", "reader", "sharpen")  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = tmp_path_factory.mktemp("gpu")
    for name, clips, seed in (("frames", 3, 1), ("held-frames", 1, 2)):
        pixels = tiny.pixel_clips(clips=clips, frames=96, seed=seed)
        shards.write(made / name / "00000.safetensors", pixels)
    return made


@cache
def settings(root, samples, *more):
    trained = [step for step in CHAIN if "latents" not in step]
    changes = [f"{step}.loop.samples={samples}" for step in trained]
    changes += [f"{step}.loop.save_minutes=0.00001" for step in trained]
    plain = [text for text in TINY if not text.startswith("precision")]
    plain += ["device=cuda", "near.settings.own.start=0.0", *more]
    return recipe.load("wilds-nano", [f"root={root}", *plain, *changes])


def make_what_it_needs(root, step):
    """The steps before, where no test of this process has run them."""
    before = [name for name in CHAIN[: CHAIN.index(step)] if not RunDir(root / name).done]
    assert not before or steps.run(settings(root, 6), only=before, resume=True) == "done"


@pytest.mark.parametrize("step", CHAIN)
def test_every_step_trains_and_goes_on_there(root, step, monkeypatch):
    monkeypatch.setattr(judge, "_fitting", lambda *_: 2)
    monkeypatch.setattr(words, "JUDGED", 16)
    rundir = RunDir(root / step)
    with pretending():
        make_what_it_needs(root, step)
        assert steps.run(settings(root, 6), only=[step]) == "done"
        if checkpoints.existing(rundir.checkpoints):
            (rundir.path / "done.json").unlink()
            assert steps.run(settings(root, 12), only=[step], resume=True) == "done"
    assert rundir.done


@pytest.mark.parametrize("step", ["near", "sharpen"])
def test_steps_are_captured_there_without_a_copy_from_the_host(root, monkeypatch, step):
    monkeypatch.setattr(judge, "_fitting", lambda *_: 2)
    monkeypatch.setattr(words, "JUDGED", 16)
    monkeypatch.setattr(graphed, "by_cuda", by_tape)
    plan = settings(root, 12, f"{step}.settings.graphs=true", "precision=tf32")
    before = torch.get_float32_matmul_precision()
    try:
        with pretending():
            make_what_it_needs(root, step)
            plan = replace(plan, steps={f"{step}-captured": plan.steps[step]})
            assert steps.run(plan) == "done"
    finally:
        torch.set_float32_matmul_precision(before)
    assert RunDir(root / f"{step}-captured").done


@pytest.mark.gpu
def test_the_chain_trains_on_a_real_one_with_graphs(root):
    """Each graph is compared with the plain step when it is captured."""
    captured = (f"{step}.settings.graphs=true" for step in ("near", "sharpen-near", "sharpen"))
    plan = settings(root, 24, *captured, "precision=tf32")
    assert steps.run(plan, only=CHAIN) == "done"


@pytest.mark.parametrize("graphs", [False, True])
def test_walks_are_rendered_there(tmp_path, monkeypatch, graphs):
    monkeypatch.setattr(graphed, "by_cuda", by_tape)
    config = RenderConfig(height=16, width=16, parts=(), event_seconds=0.1, graphs=graphs)
    job = ShardJob(tmp_path / "0.safetensors", 1, 2, 3, True)
    with pretending():
        clips = render_clips(config, job, "cuda")
        assert marked(clips.frames) and clips.frames.any()
        shards.write(job.path, clips)
    assert torch.equal(shards.read(job.path).frames, clips.frames)
