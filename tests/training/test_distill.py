"""Distillation: turns, gradients, own histories, and a student that beats few teacher steps."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from tests.training import tiny
from training.data.windows import WindowConfig, gather
from training.memory.offload import Lodger
from training.rollout import euler_chunk, even_levels, sample_chunk
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage
from training.stages.distill import Weights
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

WINDOWS = WindowConfig(history=7)
ALL = Weights(regression=1.0, matching=1.0, adversarial=0.5)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data set and a teacher that was trained for a moment."""
    root = tmp_path_factory.mktemp("distill")
    tiny.data(root)
    config = BaseConfig(
        latents="latents", held="held", codec="codec", model=tiny.MODEL, text=tiny.TEXT,
        windows=WINDOWS, batch=32, optimiser=OptimiserConfig(lr=3e-3, warmup=100, ema=0),
    )  # fmt: skip
    torch.manual_seed(0)
    tiny.teach(BaseStage(config, tiny.context(root, "teacher"), LoopConfig(samples=10**6)), root)
    return root


def make(root, **changes):
    return tiny.student(root, **{"windows": WINDOWS, **changes})


def grads(stage, player):
    named = stage.players()[player].params.items()
    return {n: p.grad.clone() for n, p in named if p.grad is not None}


def test_critic_and_generator_take_turns(root):
    stage = make(root, weights=ALL)
    assert [stage.turn(i) for i in range(6)] == ["critic", "critic", "generator"] * 2
    assert make(root, weights=Weights()).turn(0) == "generator"


@pytest.mark.parametrize("turn", ["generator", "critic"])
def test_each_turn_trains_its_player_alone(root, turn):
    stage = make(root, weights=ALL)
    values = stage.backward(turn, Draw(0, 3), 0)
    assert all(torch.isfinite(v) for v in values.values())
    other = "critic" if turn == "generator" else "generator"
    assert grads(stage, turn) and not grads(stage, other)
    assert all(p.grad is None for p in stage.teacher.parameters())
    assert any(float(g.abs().max()) > 0 for g in grads(stage, turn).values())


@pytest.mark.parametrize("turn", ["generator", "critic"])
def test_splitting_the_backward_pass_leaves_the_gradients(root, turn):
    found = []
    for split in (True, False):
        stage = make(root, weights=ALL, split_backward=split)
        stage.backward(turn, Draw(0, 3), 0)
        found.append(grads(stage, turn))
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        assert torch.allclose(found[0][name], found[1][name], atol=1e-6), name


def test_checkpointed_blocks_leave_the_gradients(root):
    found = []
    for blocks in (True, False):
        stage = make(root, weights=ALL, checkpoint_blocks=blocks)
        stage.backward("generator", Draw(0, 3), 0)
        found.append(grads(stage, "generator"))
    for name in found[0]:
        assert torch.allclose(found[0][name], found[1][name], atol=1e-6), name


def test_real_scores_do_not_see_the_adapter(root):
    stage = make(root, weights=ALL)
    with torch.no_grad():
        for p in stage.critic.adapter.up.values():
            p.normal_(std=0.5)
    window = stage.data.sample(4, WINDOWS, Draw(0, 1))
    draw = Draw(0, 2)
    given = stage.teacher.conditions(window, gather(stage.data.latents, window.past), draw)
    x, sigma = draw.normal(4, 4, 1, 4, 4), torch.full((4,), 0.6)
    real, fake = stage.critic.scores(x, sigma, given, None, 0.0)
    untouched = worlds.load(root / "teacher" / "final", torch.device("cpu"))
    with torch.no_grad():
        expected = untouched(x, sigma, given)
    assert torch.allclose(real, expected, atol=1e-6)
    assert not torch.allclose(real, fake, atol=1e-3)


def test_finished_samples_become_histories(root):
    stage = make(root, sigmas=(1.0,))
    stage.backward("generator", Draw(0, 0), 0)
    assert int(stage.bank.known.sum()) > 0
    again = make(root, sigmas=(1.0,))
    again.load_extra_state(stage.extra_state())
    assert torch.equal(again.bank.values, stage.bank.values)


def error(stage, world):
    """Distance of two-step samples to the teacher's many-step samples from the same noise."""
    draw = Draw(7, 0)
    window = stage.data.sample(64, replace(WINDOWS, text_dropped=0), draw)
    past = gather(stage.data.latents, window.past)
    given = world.conditions(window, past, draw)
    noise = draw.normal(64, 4, 1, 4, 4)
    goal = euler_chunk(stage.teacher, given, noise, even_levels(16))
    return float((sample_chunk(world, given, noise, (1.0, 0.5)) - goal).square().mean())


def test_the_student_beats_its_teacher_at_equal_steps(root):
    stage = make(root, sigmas=(1.0, 0.5), own_share=0.0, batch=32)
    before = error(stage, stage.teacher)
    for step in range(80):
        stage.backward("generator", Draw(1, step), 0)
        stage.players()["generator"].step(step * 32, 10**6)
    after = error(stage, stage.student)
    assert after < 0.7 * before, (before, after)


class Diary(Lodger):
    """Writes down every move; a teacher that is away is useless, as it would be on a GPU."""

    moves: ClassVar[list[str]] = []

    def prefetch(self) -> None:
        if self.coming is None:
            self.moves.append("called")
        super().prefetch()

    def arrive(self) -> None:
        super().arrive()
        self.moves.append("here")

    def leave(self) -> None:
        super().leave()
        for param in self.params:
            param.data = torch.full_like(param, torch.nan)
        self.moves.append("away")


def told(monkeypatch, owner, name):
    """Have calls of a method written down between the moves."""
    plain = getattr(owner, name)

    def calling(*args, **kwargs):
        Diary.moves.append(name)
        return plain(*args, **kwargs)

    monkeypatch.setattr(owner, name, calling)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("turn", ["generator", "critic"])
def test_a_teacher_that_comes_and_goes_leaves_the_gradients(root, turn, split, monkeypatch):
    monkeypatch.setattr("training.stages.distill.Lodger", Diary)
    weights, found = replace(ALL, points=1.0), []
    for offload in (True, False):
        stage = make(root, weights=weights, offload=offload, split_backward=split)
        values = stage.backward(turn, Draw(0, 3), 0)
        found.append({**grads(stage, turn), **values})
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        assert torch.equal(found[0][name], found[1][name]), name


@pytest.mark.parametrize("split", [True, False])
def test_the_teacher_is_called_early_and_gone_while_the_student_works(root, split, monkeypatch):
    monkeypatch.setattr("training.stages.distill.Lodger", Diary)
    stage = make(root, weights=replace(ALL, points=1.0), offload=True, split_backward=split)
    for owner, name in (
        (stage.student, "conditions"),
        *((stage.way, name) for name in ("teach", "guess", "sample")),
        *((stage.critic, name) for name in ("scores", "logits")),
    ):
        told(monkeypatch, owner, name)
    first = next(iter(stage.players()["generator"].params.values()))
    first.register_hook(lambda g: Diary.moves.append("down"))
    Diary.moves.clear()
    stage.backward("generator", Draw(0, 3), 0)
    taught = ["called", "conditions", "here", "teach", "away", "guess", "down"]
    scored = ["called", "sample", "guess", "here", "scores", "logits"]
    assert Diary.moves == [*taught, *scored, *(["away", "down"] if split else ["down", "away"])]
    Diary.moves.clear()
    stage.backward("critic", Draw(0, 3), 0)
    assert Diary.moves == ["called", "conditions", "sample", "guess", "here", "logits", "away"]


def test_a_teacher_that_only_shows_the_way_comes_once(root, monkeypatch):
    monkeypatch.setattr("training.stages.distill.Lodger", Diary)
    stage = make(root, offload=True)
    Diary.moves.clear()
    stage.backward("generator", Draw(0, 3), 0)
    assert Diary.moves == ["called", "here", "away"]
