"""Sharpening: a critic that sees the difference, a world that listens to it, and frozen tokens."""

from dataclasses import replace

import pytest
import torch

from tests.training import tiny
from tests.training.pretend_graph import by_tape
from training.data.streams import StreamConfig
from training.data.windows import WindowConfig
from training.graphed import Graphed
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage
from training.stages.reader import Reader, ReaderShape
from training.stages.readings import Readings
from training.stages.sharpen import FROM_NOTHING, HEAVIEST, SharpenConfig, SharpenStage, detail
from training.stages.sharpen_critic import Critic
from training.stages.sharpen_lesson import STRONGEST, Trust, Wish, bounded, trusted_error
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

FAST = OptimiserConfig(lr=3e-3, warmup=0, decay=0, ema=0)
MODEL = {**tiny.MODEL, "carry": True, "prediction": "x0", "forecast": (8, 1), "local": (8, 1)}


@pytest.fixture
def stage(tmp_path):
    tiny.data(tmp_path)
    torch.manual_seed(0)
    config = BaseConfig(
        latents="latents", held="held", codec="codec", model=MODEL, text=tiny.TEXT,
        windows=WindowConfig(history=7),
    )  # fmt: skip
    origin = tmp_path / "base" / "final"
    origin.mkdir(parents=True)
    worlds.save(origin, BaseStage(config, tiny.context(tmp_path, "base"), LoopConfig()).world)
    sharp = SharpenConfig(
        latents="latents", held="held", codec="codec", origin="base",
        windows=WindowConfig(history=7), streams=StreamConfig(count=4, length=3), batch=8,
        taught=("forecast.", "local."), critic=(8, 1), optimiser=FAST, critic_optimiser=FAST,
    )  # fmt: skip
    return SharpenStage(sharp, tiny.context(tmp_path, "sharpen"), LoopConfig())


def test_world_and_critic_take_turns_and_only_the_named_parts_learn(stage):
    before = {k: v.clone() for k, v in stage.world.named_parameters()}
    for step in range(4):
        turn = stage.turn(step)
        values = stage.backward(turn, Draw(0, step), step)
        assert ("right" in values) == (turn == "critic") == bool(step % 2)
        stage.players()[turn].step(step, 100)
    moved = {k for k, v in stage.world.named_parameters() if not torch.equal(v, before[k])}
    assert moved and all(k.startswith(("dit.forecast.", "dit.local.")) for k in moved)
    assert any(k.startswith("dit.forecast.") for k in moved)


def _critic_slopes(stage, draw):
    values = stage.backward("critic", draw, 0)
    slopes = [p.grad.clone() for p in stage.critic.parameters()]
    stage.critic.zero_grad()
    return values["loss"], slopes


def test_the_critic_learns_from_what_the_world_has_just_made(stage):
    now = stage.streams.runs.now.clone()
    stage.backward("world", Draw(0, 0), 0)
    assert not torch.equal(stage.streams.runs.now, now)
    now, (real, fake) = stage.streams.runs.now.clone(), stage.shown
    assert len(real.three) == stage.config.batch == 2 * stage.batch
    assert not torch.equal(real.three[:, :, -1], fake.three[:, :, -1])
    _, slopes = _critic_slopes(stage, Draw(0, 1))
    assert torch.equal(stage.streams.runs.now, now) and stage.shown is None
    stage.shown = real, real
    _, nothing = _critic_slopes(stage, Draw(0, 1))
    assert not all(torch.allclose(a, b) for a, b in zip(slopes, nothing, strict=True))


def test_a_run_resumed_between_the_turns_goes_on_with_the_critics(stage):
    stage.backward("world", Draw(0, 0), 0)
    kept = stage.extra_state()
    wanted = _critic_slopes(stage, Draw(0, 1))
    stage.load_extra_state(kept)
    assert stage.turn(1) == "critic"
    loss, slopes = _critic_slopes(stage, Draw(0, 1))
    assert torch.equal(loss, wanted[0])
    assert all(torch.equal(a, b) for a, b in zip(slopes, wanted[1], strict=True))
    assert "shown.real" not in stage.extra_state()


def test_smoothness_measured_in_some_turns_weighs_as_if_it_were_in_all(stage):
    stage.backward("world", Draw(0, 0), 0)
    shown = stage.shown

    def loss(step, **changes):
        stage.shown, stage.config = shown, replace(stage.config, **changes)
        return float(stage.backward("critic", Draw(0, step), 0)["loss"])

    plain = [loss(step, smooth=0.0, smoothed=1.0) for step in range(300)]
    always = [loss(step, smooth=100.0, smoothed=1.0) for step in range(300)]
    seldom = [loss(step, smooth=100.0, smoothed=0.25) for step in range(300)]
    added = torch.tensor(seldom) - torch.tensor(plain)
    assert 45 < int((added > 1e-6).sum()) < 105
    every = torch.tensor(always) - torch.tensor(plain)
    assert float(added.mean()) == pytest.approx(float(every.mean()), rel=0.3)


def test_the_critic_learns_to_see_what_is_blurred():
    torch.manual_seed(0)
    critic = Critic(2, 3, 2, 16, 1)
    player = torch.optim.AdamW(critic.parameters(), lr=3e-3)
    for _ in range(60):
        real = torch.randn(32, 2, 3, 4, 6)
        fake = real.clone()
        fake[:, :, 2] = 0
        logits = critic(torch.cat([real, fake]), torch.zeros(64, 5)).flatten(1)
        loss = torch.nn.functional.softplus(-logits[:32]).mean()
        loss = loss + torch.nn.functional.softplus(logits[32:]).mean()
        player.zero_grad()
        loss.backward()
        player.step()
    assert (logits[:32].mean(1) > 0).float().mean() > 0.9
    assert (logits[32:].mean(1) < 0).float().mean() > 0.9


def test_one_batch_is_overfitted(stage):
    stage.config = replace(stage.config, adversarial=0.0)
    stage.streams.config = replace(stage.streams.config, length=1)  # begun anew: always the same
    losses = []
    for step in range(80):
        losses.append(float(stage.backward("world", Draw(0, 0), step)["loss"]))
        stage.players()["world"].step(step, 10**6)
    assert losses[-1] < 0.3 * losses[0]


def _plain(stage, **windows):
    return stage.data.sample(4, replace(stage.config.windows, **windows), Draw(1, 0))


def _with_reader(stage):
    """The same stage of which everything learns, with a reader that has learned nothing."""
    torch.manual_seed(1)
    shape = ReaderShape(
        channels=stage.data.latents.shape[1], text=stage.world.dit.config.text_dim,
        actions=stage.data.spec.size, width=8, blocks=1, shared=8,
    )  # fmt: skip
    streams = replace(stage.config.streams, retold=0.5)
    config = replace(stage.config, taught=("",), sigmas=(1.0, 0.6), streams=streams)
    made = SharpenStage(config, stage.context, LoopConfig())
    made.readings = Readings(Reader(shape), made.data, made.world, made.context)
    return made


def test_turns_as_graphs_are_the_same_turns(stage):
    plain, graphed = _with_reader(stage), _with_reader(stage)
    players = graphed.players()
    learn = Graphed(graphed._learn_from, players["world"].params.values(), by_tape)
    examine = Graphed(graphed._examine_all, players["critic"].params.values(), by_tape)
    graphed._learn, graphed._examine = learn, examine
    seen = set()
    for step in range(16):
        values = []
        for each in (plain, graphed):
            turn = each.turn(step)
            told = each.backward(turn, Draw(0, step), step)
            seen |= set(told)
            values.append({k: float(v) for k, v in told.items()})
            each.players()[turn].step(step, 100)
        assert values[0] == values[1]
    assert {"text", "actions", "adversarial", "right"} <= seen
    assert {len(turn._known) for turn in (learn, examine)} == {1, 2}
    for one, other in zip(plain.world.parameters(), graphed.world.parameters(), strict=True):
        assert torch.equal(one, other)


def test_graphs_are_refused_where_there_is_no_cuda(stage):
    with pytest.raises(ValueError, match="leave them false"):
        SharpenStage(replace(stage.config, graphs=True), stage.context, LoopConfig())


def test_truth_counts_less_the_longer_a_run_has_been_its_own(stage):
    for step in range(3):
        stage.backward("world", Draw(0, step), step)
    trust = stage._trust(_plain(stage, text_to_video=0.0))
    for part in trust:
        assert torch.equal(part[:4], torch.ones(4))
        assert (part[4:] <= 1).all() and (part[4:] < 1).any()
    assert (trust.means >= trust.details).all() and (trust.means > trust.details).any()


def test_truth_stays_a_goal_for_who_stands_still(stage):
    stage.moves = torch.zeros_like(stage.moves)  # nobody ever moved
    for step in range(3):
        stage.backward("world", Draw(0, step), step)
    assert (stage.streams.runs.now > stage.streams.runs.start + 1).any()
    assert torch.equal(stage._trust(_plain(stage, text_to_video=0.0)).details, torch.ones(8))


def test_truth_is_hardly_a_goal_where_nobody_could_know_it(stage):
    stage.streams.config = replace(stage.streams.config, retold=1.0)
    stage.backward("world", Draw(0, 0), 0)
    trust = stage._trust(_plain(stage, text_to_video=1.0))
    assert torch.equal(trust.details, torch.tensor([FROM_NOTHING] * 4 + [0.0] * 4))
    assert torch.equal(trust.means, torch.tensor([1.0] * 4 + [0.0] * 4))


def test_rows_and_details_are_trusted_apart():
    truth = torch.zeros(2, 3, 1, 4, 6)
    shifted = torch.ones_like(truth)  # rows are off and nothing else
    uneven = torch.tensor([1.0, -1.0] * 3).expand_as(truth)  # rows are right
    details, means = torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.0])
    trust = Trust(details, means)
    assert float(trusted_error(shifted, truth, trust)) == pytest.approx(0.5)
    assert float(trusted_error(uneven, truth, trust)) == pytest.approx(0.75)
    both = Trust(torch.ones(2), torch.ones(2))
    made = torch.randn(2, 3, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(trusted_error(made, truth, both), made.square().mean())


def test_the_critic_is_shown_truth_under_a_foreign_text_or_foreign_actions(stage):
    text = stage.world.dit.config.text_dim
    told = torch.randn(64, text + 6)
    other = stage._mismatched(told, Draw(0, 0))
    foreign = (other != told).unflatten(1, (-1, 1)).squeeze(2)
    texts, actions = foreign[:, :text].any(1), foreign[:, text:].any(1)
    assert torch.equal(texts, ~actions) and 16 < int(texts.sum()) < 48


def test_the_critic_sees_some_runs_without_their_past_and_all_other_windows_with_it(stage):
    seen = torch.stack([stage._seen(Draw(0, step)).flatten() for step in range(40)])
    assert (seen[:, :4] == 1).all() and 0.3 < float(seen[:, 4:].mean()) < 0.7


def test_the_gradient_of_a_wish_is_made_as_large_as_the_errors(stage):
    last = stage.world.dit.local.leave.weight
    error, wanted = torch.tensor([[3.0, 0.0, 4.0]]), torch.tensor([[0.0, 100.0, 0.0]])
    made = last.flatten()[None, :3] * 1.0
    wishes = [Wish(1.0, (made * wanted).sum()), Wish(0.5, (made * wanted.roll(1)).sum())]
    weights = stage._weigh((made * error).sum(), wishes, made)
    torch.testing.assert_close(torch.stack(weights), torch.tensor([0.05, 0.025]))  # 5 over 100
    torch.testing.assert_close(last.grad.flatten()[:3], torch.tensor([3.0, 5.0, 6.5]))
    last.grad = None
    made = last.flatten()[None, :3] * 1.0
    faint = Wish(1.0, (made * wanted * 0.01).sum())
    (weight,) = stage._weigh((made * error).sum(), [faint], made)
    torch.testing.assert_close(weight, torch.tensor(HEAVIEST))


def test_a_window_that_ran_away_does_not_drown_the_others():
    pull = bounded(torch.tensor([[1.0], [1.0], [1000.0], [0.0], [0.0], [0.0]]))
    assert pull.flatten().tolist() == [1.0, 1.0, pytest.approx(STRONGEST), 0.0, 0.0, 0.0]
    assert torch.equal(bounded(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_detail_is_what_a_blur_takes_away():
    latents = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(latents, 3, 1, 1)
    assert detail(blurred) < 0.3 * detail(latents)


def test_a_world_without_such_parts_is_refused(stage, tmp_path):
    config = stage.config
    with pytest.raises(ValueError, match="no such parts"):
        SharpenStage(
            SharpenConfig(**{**vars(config), "taught": ("nothing.",)}),
            tiny.context(tmp_path, "other"),
            LoopConfig(),
        )
