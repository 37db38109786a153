"""Codec and base: each overfits a little, and what it publishes is what it trained."""

import numpy as np
import pytest
import torch

from tests.training import tiny
from tests.training.pretend_graph import by_tape
from training import artifacts
from training.data import shards
from training.data.streams import StreamConfig
from training.data.windows import WindowConfig, gather
from training.graphed import Graphed
from training.pictures import write_png
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage, OwnHistory, _by_level
from training.stages.codec import CodecConfig, CodecStage
from training.stages.forecast import ForecastConfig, ForecastStage
from training.stages.mid import MidConfig
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

FAST = OptimiserConfig(lr=5e-3, warmup=0, decay=0, ema=0)


def test_the_codec_overfits_a_clip_and_normalises_its_latents(tmp_path):
    for name in ("frames", "held"):
        shards.write(tmp_path / name / "0.safetensors", tiny.pixel_clips(clips=1))
    config = CodecConfig(
        frames="frames", held="held", model=tiny.codec().config, batch=4, decoded=2,
        held_clips=8, optimiser=FAST,
    )  # fmt: skip
    torch.manual_seed(0)
    stage = CodecStage(config, tiny.context(tmp_path, "codec"), LoopConfig())
    before = stage.evaluate()["psnr"]
    for step in range(150):
        stage.backward("codec", Draw(0, step), 0)
        stage.player.step(step, 10**6)
    assert stage.evaluate()["psnr"] > max(20, before + 6)
    (tmp_path / "final").mkdir()
    stage.publish(tmp_path / "final")
    codec = artifacts.load(tmp_path / "final", "codec")
    clips = stage._clips(stage.reader, 32, torch.Generator().manual_seed(1))
    latents = codec.encode(clips)
    assert float(latents.mean((0, 2, 3, 4)).abs().max()) < 0.3
    assert 0.6 < float(latents.std((0, 2, 3, 4)).mean()) < 1.4


def test_a_decoder_goes_on_alone_and_old_latents_stay_good(tmp_path):
    for name in ("frames", "held"):
        shards.write(tmp_path / name / "0.safetensors", tiny.pixel_clips(clips=1))
    first = tmp_path / "codec" / "final"
    first.mkdir(parents=True)
    codec = tiny.codec()
    artifacts.save(first, "codec", "tiny_codec", codec)
    config = CodecConfig(
        frames="frames", held="held", decoder_of="codec", batch=4, decoded=2, held_clips=8,
        optimiser=FAST,
    )  # fmt: skip
    stage = CodecStage(config, tiny.context(tmp_path, "decoder"), LoopConfig())
    before = stage.evaluate()["psnr"]
    for step in range(40):
        stage.backward("codec", Draw(0, step), 0)
        stage.player.step(step, 10**6)
    assert stage.evaluate()["psnr"] > before + 1
    (tmp_path / "decoder" / "final").mkdir(parents=True)
    stage.publish(tmp_path / "decoder" / "final")
    after = artifacts.load(tmp_path / "decoder" / "final", "codec")
    video = torch.rand(1, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(after.encode(video), codec.encode(video))


def base(root, **changes):
    settings = {
        "latents": "latents", "held": "held", "codec": "codec", "model": tiny.MODEL,
        "text": tiny.TEXT, "windows": WindowConfig(history=7), "batch": 8, "draws": 2,
        "optimiser": FAST,
    }  # fmt: skip
    torch.manual_seed(0)
    config = BaseConfig(**{**settings, **changes})
    return BaseStage(config, tiny.context(root, "base"), LoopConfig(samples=100))


@pytest.mark.parametrize(
    ("loop", "begins"),
    [({}, 500), ({"budget_minutes": 1.0}, 500), ({"budget_minutes": 1.0, "land": True}, 0)],
)
def test_own_pictures_begin_at_once_where_nobody_knows_the_length(tmp_path, loop, begins):
    tiny.data(tmp_path)
    config = base(tmp_path, own=OwnHistory(start=0.5, streams=StreamConfig(count=2))).config
    stage = BaseStage(config, tiny.context(tmp_path, "base"), LoopConfig(samples=1000, **loop))
    assert stage.own_from == begins


def test_base_overfits_one_batch(tmp_path):
    tiny.data(tmp_path)
    stage = base(tmp_path)
    losses = []
    for step in range(100):
        losses.append(float(stage.backward("world", Draw(0, 0), 0)["loss"]))
        stage.player.step(step, 10**6)
    assert losses[-1] < 0.2 * losses[0]


def test_steps_as_graphs_are_the_same_steps(tmp_path):
    tiny.data(tmp_path)
    own = OwnHistory(start=0.05, share=0.5, streams=StreamConfig(count=3, length=3))
    plain, graphed = (base(tmp_path, own=own, teach_text=False) for _ in range(2))
    graphed._learn = Graphed(graphed._learn_from, graphed.player.params.values(), by_tape)
    graphed._make = Graphed(graphed._make_from, (), by_tape)
    for step in range(10):
        told = [each.backward("world", Draw(0, step), step) for each in (plain, graphed)]
        assert all(torch.equal(told[0][key], told[1][key]) for key in told[0])
        for each in (plain, graphed):
            each.player.step(step, 100)
    assert [len(part._known) for part in (graphed._learn, graphed._make)] == [1, 1]
    assert torch.equal(plain.bank.values, graphed.bank.values) and plain.bank.known.any()
    for one, other in zip(plain.world.parameters(), graphed.world.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("changes", [{}, {"teach_text": False}])
def test_graphs_are_refused_where_they_cannot_be(tmp_path, changes):
    tiny.data(tmp_path)
    with pytest.raises(ValueError, match="graphs"):
        base(tmp_path, graphs=True, **changes)
    with pytest.raises(ValueError, match="mid has no graphs"):
        MidConfig(latents="l", held="h", codec="c", model=tiny.MODEL, graphs=True, teach_text=False)


def test_losses_are_told_by_the_level_of_noise():
    loss, sigma = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0.1, 0.8, 0.7])
    assert _by_level(loss, sigma) == {"loss_high": 4.0, "loss_low": 1.0}
    assert _by_level(loss, sigma.clamp(min=0.7))["loss_low"] == 0.0


def test_shared_histories_equal_separate_ones(tmp_path):
    """Several noise levels per window give what single ones would."""
    tiny.data(tmp_path)
    stage = base(tmp_path)
    with torch.no_grad():
        for p in stage.world.parameters():
            p.add_(0.05 * torch.randn_like(p))
    draw = Draw(0, 1)
    window = stage.data.sample(3, stage.config.windows, draw)
    past = draw.normal(3, 4, 8, 4, 4)
    given = stage.world.conditions(window, past, draw)
    noisy, sigma = draw.normal(6, 4, 1, 4, 4), draw.uniform(6).clamp(min=0.1)
    with torch.no_grad():
        together = stage.world(noisy, sigma, given)
        for k in range(2):
            alone = stage.world(noisy[k::2], sigma[k::2], given)
            assert torch.allclose(together[k::2], alone, atol=1e-5)


def test_own_predictions_are_collected_from_the_given_share_on(tmp_path):
    tiny.data(tmp_path)
    streams = StreamConfig(count=2, length=2)
    stage = base(tmp_path, own=OwnHistory(start=0.5, share=1.0, streams=streams))
    stage.backward("world", Draw(0, 0), 49)
    assert not stage.bank.known.any()
    stage.backward("world", Draw(0, 0), 50)
    assert stage.bank.known.any()


def test_a_stream_goes_on_from_what_it_made_and_begins_anew_in_the_end(tmp_path):
    tiny.data(tmp_path)
    streams = StreamConfig(count=3, length=2)
    stage = base(tmp_path, own=OwnHistory(start=0.0, share=0.0, streams=streams))
    starts, seen = [], 0
    for step in range(6):
        stage.backward("world", Draw(0, step), step)
        window, past = stage.due
        runs = stage.streams.runs
        starts.append(runs.start.clone())
        first = (stage.data.starts[runs.clip] + runs.start)[:, None]
        made = window.past >= first
        assert torch.equal(made.sum(1).clamp(max=1), (runs.now - runs.start > 1).long())
        expected = gather(stage.bank.values, window.past)
        real = gather(stage.data.latents, window.past)
        wanted = torch.where(made[:, None, :, None, None], expected, real)
        seen += int(made.any())
        if step < 5:  # what this chunk wrote is not in its own past
            assert torch.equal(past, wanted)
    assert seen and any(not torch.equal(starts[0], later) for later in starts[1:])
    again = base(tmp_path, own=OwnHistory(start=0.0, share=0.0, streams=streams))
    again.load_extra_state(stage.extra_state())
    assert torch.equal(torch.stack(again.streams.runs), torch.stack(stage.streams.runs))


def test_short_held_out_clips_are_judged_over_what_they_have(tmp_path, capsys):
    """Found out at the first evaluation, that would cost what was trained until then."""
    tiny.data(tmp_path)
    held = tmp_path / "held" / "0.safetensors"
    shards.write(held, tiny.latent_clips(length=10, seed=2))
    judge = base(tmp_path).judge
    assert "held: clips of at most 10 latents, so rollouts are of 5" in capsys.readouterr().out
    for config, length in ((judge.windows, 1), (judge.long, 5)):
        window = judge._sample(config, Draw(2, 0))
        assert window.target.shape[1] == length and (window.past[:, -1] >= 0).all()
    assert judge.rollout()[0].shape[2] == 5
    shards.write(held, tiny.latent_clips(length=1, seed=2))
    with pytest.raises(ValueError, match="held: the longest clip has 1 latents"):
        base(tmp_path)


def test_a_forecast_learns_what_moves_and_base_begins_from_it(tmp_path):
    tiny.data(tmp_path)
    model = {**tiny.MODEL, "carry": True, "prediction": "x0", "forecast": (16, 1)}
    config = ForecastConfig(
        latents="latents", held="held", model=model, text=tiny.TEXT, unroll=2, judged=3, batch=8,
        optimiser=FAST,
    )  # fmt: skip
    torch.manual_seed(0)
    stage = ForecastStage(config, tiny.context(tmp_path, "forecast"), LoopConfig())
    losses = []
    for step in range(60):
        losses.append(float(stage.backward("world", Draw(0, 0), 0)["loss"]))
        stage.player.step(step, 10**6)
    assert losses[-1] < 0.6 * losses[0]
    assert set(stage.evaluate()) == {"next_over_repeat", "rollout_over_repeat", "score"}
    final = tmp_path / "forecast" / "final"
    final.mkdir(parents=True)
    stage.publish(final)
    begun = base(tmp_path, init="forecast", model={})
    wanted = stage.world.dit.forecast.state_dict()
    for name, value in begun.world.dit.forecast.state_dict().items():
        assert torch.equal(value, wanted[name])


def test_dropped_text_and_actions_are_seen_as_null(tmp_path):
    tiny.data(tmp_path)
    stage = base(tmp_path)
    with torch.no_grad():
        for p in stage.world.parameters():
            p.add_(0.05 * torch.randn_like(p))
    draw = Draw(0, 1)
    window = stage.data.sample(2, stage.config.windows, draw)
    past, x = draw.normal(2, 4, 8, 4, 4), draw.normal(2, 4, 1, 4, 4)

    def ask(texts, mask, actions):
        from training.data.windows import Window

        part = Window(window.target, window.past, actions, torch.tensor([mask] * 2), texts)
        with torch.no_grad():
            return stage.world(x, torch.ones(2), stage.world.conditions(part, past, Draw(0, 2)))

    zeros = torch.zeros_like(window.actions)
    null = ask(["", ""], False, window.actions)
    assert torch.equal(null, ask(["", ""], False, zeros))  # dropped actions are not looked at
    assert not torch.allclose(null, ask(["", ""], True, zeros), atol=1e-4)  # standing still is
    assert not torch.allclose(null, ask(["later", "later"], False, zeros), atol=1e-4)


def published(root, step):
    """A world after one training step, published by the step of that name."""
    tiny.data(root)
    stage = base(root)
    stage.backward("world", Draw(0, 0), 0)
    stage.player.step(0, 100)
    stage.judge.picture = lambda path: None
    (root / step / "final").mkdir(parents=True)
    stage.publish(root / step / "final")
    return stage


def test_a_published_world_is_the_trained_one(tmp_path):
    stage = published(tmp_path, "first")
    loaded = worlds.load(tmp_path / "first" / "final", torch.device("cpu"))
    for name, value in stage.world.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert loaded.spec == stage.data.spec


def test_base_goes_on_from_published_weights(tmp_path):
    first = published(tmp_path, "first")
    second = base(tmp_path, init="first")
    for name, value in first.world.state_dict().items():
        assert torch.equal(second.world.state_dict()[name], value), name
    assert set(second.player.params) == set(first.player.params)  # all of it learns on


def test_a_text_encoder_that_is_not_taught_stays_as_it_was(tmp_path):
    tiny.data(tmp_path)
    stage = base(tmp_path, teach_text=False)
    before = {k: v.clone() for k, v in stage.world.text.state_dict().items()}
    stage.backward("world", Draw(0, 0), 0)
    stage.player.step(50, 100)
    assert not any(name.startswith("text.") for name in stage.player.params)
    for name, value in stage.world.text.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_a_frozen_encoder_says_does_not_depend_on_who_asks_first(tmp_path):
    tiny.data(tmp_path)
    one, two = (base(tmp_path, teach_text=False).world for _ in range(2))
    two.load_state_dict(one.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        inside = one.encode(["a green meadow"])[0]
    assert torch.equal(inside, two.encode(["a green meadow"])[0])


def test_pictures_are_readable(tmp_path):
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    write_png(tmp_path / "a.png", image)
    pillow = __import__("PIL.Image").Image
    assert np.array_equal(np.asarray(pillow.open(tmp_path / "a.png")), image)
