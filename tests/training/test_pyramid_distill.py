"""Distilling a pyramid: the way it goes is play's, every stage learns, and [1, 1, 1] is enough."""

from dataclasses import replace

import pytest
import torch

from helios_core.packs import load_world
from helios_core.sampling.noise import block_noise
from helios_core.sampling.plan import SamplerPlan, few_steps
from helios_core.sampling.pyramid import shrink
from tests.training import tiny
from training.data.windows import WindowConfig, gather
from training.losses.pyramid import stage_line
from training.recipe import Recipe, StepConfig
from training.rollout import StartNoise, euler_chunk, even_levels, pyramid_chunk, sample_chunk
from training.stages import world as worlds
from training.stages.distill import Weights
from training.stages.mid import MidConfig, MidStage
from training.stages.way import Way
from training.steps import run
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

WINDOWS = WindowConfig(history=7)
FULL = (16, 4, 1, 8, 8)
POINTS = Weights(regression=0, points=1)
MATCHING = Weights(regression=0, matching=1)
ALL = Weights(points=1, regression=1, matching=1, adversarial=0.5)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data set and a pyramid that was trained for a moment."""
    root = tmp_path_factory.mktemp("pyramid")
    tiny.data(root, scale=2)
    config = MidConfig(
        latents="latents", held="held", codec="codec", text=tiny.TEXT, windows=WINDOWS,
        model={**tiny.MODEL, "prediction": "velocity"}, batch=32,
        optimiser=OptimiserConfig(lr=3e-3, warmup=100, ema=0),
    )  # fmt: skip
    torch.manual_seed(0)
    tiny.teach(MidStage(config, tiny.context(root, "teacher"), LoopConfig(samples=10**6)), root)
    return root


def make(root, **changes):
    settings = {"steps": (1, 1, 1), "windows": WINDOWS, "own_share": 0.0}
    return tiny.student(root, **{**settings, **changes})


def train(stage, steps):
    for step in range(steps):
        turn = stage.turn(step)
        stage.backward(turn, Draw(1, step), 0)
        stage.players()[turn].step(step * 16, 10**6)


def plan(solver, *steps):
    return SamplerPlan(solver=solver, steps=steps, shift="none")


def conditions(stage, world, count=16):
    window = stage.data.sample(count, replace(WINDOWS, text_dropped=0), Draw(7, 0))
    return world.conditions(window, gather(stage.data.latents, window.past), Draw(7, 1))


def noises_of_play(start):
    """The noise that `pyramid_chunk` draws for this start."""
    source, (b, c, t, _, _) = StartNoise(start), start.shape
    jumps = [block_noise(source, f"jump{k}", (b, c, t, 4 * k, 4 * k), 1 / 3) for k in (1, 2)]
    return (shrink(shrink(start)), *jumps)


@pytest.mark.parametrize("steps", [(1, 1, 1), (2, 1, 3)])
def test_student_and_teacher_go_as_at_play(root, steps):
    stage = make(root, steps=steps)
    start, given = Draw(3, 0).normal(*FULL), conditions(stage, stage.student)
    noises, last = noises_of_play(start), [n - 1 for n in steps]
    own = stage.student.given(given, 1)
    made = stage.way.sample(stage.student, own, noises, last, differentiate=False)
    played = pyramid_chunk(stage.student, given, start, plan("dmd", *steps))
    assert torch.allclose(made, played, atol=1e-4)
    assert stage.way.finishes(last) and stage.way.finishes([0, 0, 0]) == (steps == (1, 1, 1))
    legs = stage.way.teach(stage.teacher, given, noises)
    many = pyramid_chunk(stage.teacher, given, start, plan("euler", 8, 8, 8))
    assert torch.allclose(legs[-1].end, many, atol=1e-4)
    assert [leg.start.shape[3] for leg in legs] == [2, 4, 8]


def test_noise_of_jumps_is_correlated_in_blocks():
    start, *jumps = Way(plan("dmd", 1, 1, 1), 8).noises((64, 4, 2, 8, 8), Draw(0, 0))
    assert start.shape[3:] == (2, 2) and start.std() == pytest.approx(1, abs=0.05)
    for noise, size in zip(jumps, (4, 8), strict=True):
        assert noise.shape == (64, 4, 2, size, size)
        blocks = noise.unflatten(3, (-1, 2)).unflatten(5, (-1, 2))
        assert noise.std() == pytest.approx(1, abs=0.03)
        assert float(blocks.sum((4, 6)).abs().max()) < 1e-4


def test_without_a_pyramid_the_way_is_the_plain_one(root):
    stage = make(root)
    given, way = conditions(stage, stage.student), Way(few_steps(1.0, 0.5), 6)
    noises = way.noises(FULL, Draw(3, 0))
    own = stage.student.given(given, 1)
    made = way.sample(stage.student, own, noises, [1], differentiate=False)
    played = sample_chunk(stage.student, given, noises[0], (1.0, 0.5))
    assert torch.allclose(made, played, atol=1e-5)
    (leg,) = way.teach(stage.teacher, given, noises)
    assert torch.equal(leg.end, euler_chunk(stage.teacher, given, noises[0], even_levels(6)))
    sigma = torch.rand(16)
    point = way.at(0, made, noises[0], sigma)
    share = sigma.view(-1, 1, 1, 1, 1)
    assert torch.allclose(point.noisy, (1 - share) * made + share * noises[0])
    assert torch.equal(point.level, sigma)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_samples_are_scored_where_the_teacher_was_taught(root, index):
    way = make(root).way
    clean, noise, sigma = Draw(0, 0).normal(*FULL), Draw(0, 1).normal(*FULL), torch.rand(16)
    point = way.at(index, clean, noise, sigma)
    line, stage = stage_line(clean, noise, way.stages, index), way.stages[index]
    assert torch.equal(point.noisy, line.at(sigma))
    assert torch.allclose(point.end(line.velocity), line.end, atol=1e-5)
    expected = stage.t_min + sigma * (stage.t_max - stage.t_min)
    assert torch.allclose(1000 * point.level, expected)


def test_points_ask_every_stage_from_the_teachers_start(root):
    stage = make(root, weights=POINTS)
    given, draw = conditions(stage, stage.student), Draw(3, 0)
    noises = stage.way.noises(FULL, draw)
    legs = stage.way.teach(stage.teacher, given, noises)
    value = stage._points(given, legs, [0, 0, 0])
    stage.student.requires_grad_(False)
    expected = 0.0
    for leg, level, steps in zip(legs, stage.way.stages, stage.way.few, strict=True):
        asked = torch.full((16,), float(int(level.t_max)) / 1000)
        end = leg.start - steps.sigmas[0] * stage.student(leg.start, asked, given)
        expected += float((end - leg.end).square().mean())
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_gradients_reach_every_stage_through_the_jumps(root):
    stage = make(root, steps=(2, 2, 2))
    given = stage.student.given(conditions(stage, stage.student), 1)
    noises = tuple(n.requires_grad_(True) for n in stage.way.noises(FULL, Draw(3, 0)))
    made = stage.way.sample(stage.student, given, noises, [1, 0, 1], differentiate=True)
    grads = torch.autograd.grad(made.square().sum(), noises)
    assert all(float(g.abs().mean()) > 1e-3 for g in grads)


@pytest.mark.parametrize("turn", ["generator", "critic"])
def test_each_turn_trains_its_player_alone(root, turn):
    stage = make(root, weights=ALL)
    other = "critic" if turn == "generator" else "generator"
    for step in range(6):  # other stages are scored each time
        values = stage.backward(turn, Draw(0, step), 0)
        assert all(torch.isfinite(v) for v in values.values())
    trained, still = (stage.players()[n].params.values() for n in (turn, other))
    assert any(p.grad is not None and float(p.grad.abs().max()) > 0 for p in trained)
    assert all(p.grad is None for p in [*still, *stage.teacher.parameters()])


@pytest.mark.parametrize("turn", ["generator", "critic"])
def test_splitting_the_backward_pass_leaves_the_gradients(root, turn):
    found = []
    for split in (True, False):
        stage = make(root, weights=ALL, split_backward=split)
        stage.backward(turn, Draw(0, 3), 0)
        params = stage.players()[turn].params
        found.append({n: p.grad for n, p in params.items() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        assert torch.allclose(found[0][name], found[1][name], atol=1e-5), name


def error(stage, world, solver):
    """Distance of samples in [1, 1, 1] to the teacher's in many steps from the same noise."""
    given, noise = conditions(stage, world, 64), Draw(7, 2).normal(64, *FULL[1:])
    goal = pyramid_chunk(stage.teacher, given, noise, plan("euler", 16, 16, 16))
    made = pyramid_chunk(world, given, noise, plan(solver, 1, 1, 1))
    return float((made - goal).square().mean())


@pytest.fixture(scope="module")
def undistilled(root):
    """The better of the two ways in which the teacher can be asked in [1, 1, 1]."""
    stage = make(root)
    return min(error(stage, stage.teacher, solver) for solver in ("euler", "dmd"))


def test_points_alone_beat_the_undistilled_pyramid_at_equal_steps(root, undistilled):
    stage = make(root, weights=POINTS, teacher_steps=4)
    train(stage, 30)
    after = error(stage, stage.student, "dmd")
    assert after < 0.3 * undistilled, (undistilled, after)


def test_a_second_step_goes_on_from_the_first_ones_student(root):
    first = make(root, weights=POINTS)
    train(first, 3)
    final = root / "ode" / "final"
    final.mkdir(parents=True)
    worlds.save(final, first.student)
    second = make(root, weights=MATCHING, student="ode")
    names = dict(first.student.named_parameters())
    assert all(torch.equal(names[n], p) for n, p in second.student.named_parameters())
    taught = dict(first.teacher.named_parameters())
    assert all(torch.equal(taught[n], p) for n, p in second.teacher.named_parameters())


def test_matching_alone_beats_the_undistilled_pyramid_at_equal_steps(root, undistilled):
    stage = make(
        root, weights=MATCHING, optimiser=OptimiserConfig(lr=2e-4, warmup=0, ema=0),
        critic_optimiser=OptimiserConfig(lr=3e-3, warmup=0, ema=0),
    )  # fmt: skip
    train(stage, 120)
    assert stage.critic is not None
    with stage.critic.adapter.switched(False):
        after = error(stage, stage.student, "dmd")
    assert after < 0.7 * undistilled, (undistilled, after)


def test_it_is_judged_through_its_pyramid(root):
    stage = make(root)
    run = stage.judge.rollout()
    figures = stage.judge.figures(run)
    assert figures["score"] > 0 and "flow" not in figures
    assert run[1].shape == run[0].shape


def test_plans_that_do_not_fit_are_refused(root, tmp_path):
    with pytest.raises(ValueError, match="one number for each stage"):
        make(root, steps=(3,))
    with pytest.raises(ValueError, match="does not fit a pyramid of 4 stages"):
        make(root, steps=(1, 1, 1, 1))


def test_a_recipe_leads_from_a_pyramid_to_a_pack_that_plays_it_in_three_steps(root):
    for name, text in (
        ("done.json", '{"samples": 0, "seconds": 0, "last": []}'),
        ("config.json", '{"starts": [{"device": "cpu", "git": ""}]}'),
    ):
        (root / "codec" / name).write_text(text)
    shared = {
        "latents": "latents", "held": "held", "codec": "codec", "teacher": "teacher", "batch": 4,
        "steps": [1, 1, 1], "teacher_steps": 2, "windows": {"history": 7}, "head_blocks": [0, 1],
    }  # fmt: skip
    first = {**shared, "weights": {"regression": 0, "points": 1}}
    second = {**shared, "weights": {"regression": 0, "matching": 1}, "student": "first"}
    export = {"name": "small", "world": "second", "codec": "codec", "latents": "latents",
              "height": 64, "width": 64, "steps": [1, 1, 1]}  # fmt: skip
    loop = LoopConfig(samples=24)
    todo = {
        "first": StepConfig(stage="distill", loop=loop, settings=first),
        "second": StepConfig(stage="distill", loop=loop, settings=second),
        "export": StepConfig(stage="export", settings=export),
    }
    assert run(Recipe(name="small", root=str(root), steps=todo, device="cpu")) == "done"
    world = load_world(root / "export" / "small", threads=1)
    assert world.parts.plan == plan("dmd", 1, 1, 1)
    start = world.start(seed=0, prompt="world 1")
    _, frames = world.advance(start, world.info.spec.zeros(tiny.TEMPORAL))
    assert frames.shape == (tiny.TEMPORAL, 64, 64, 3)
