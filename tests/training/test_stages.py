"""Codec and base: each overfits a little, and what it publishes is what it trained."""

import numpy as np
import torch

from tests.training import tiny
from training import artifacts
from training.data import shards
from training.data.windows import WindowConfig
from training.pictures import write_png
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage, OwnHistory
from training.stages.codec import CodecConfig, CodecStage
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


def base(root, **changes):
    settings = {
        "latents": "latents", "held": "held", "codec": "codec", "model": tiny.MODEL,
        "text": tiny.TEXT, "windows": WindowConfig(history=7), "batch": 8, "draws": 2,
        "optimiser": FAST,
    }  # fmt: skip
    torch.manual_seed(0)
    config = BaseConfig(**{**settings, **changes})
    return BaseStage(config, tiny.context(root, "base"), LoopConfig(samples=100))


def test_base_overfits_one_batch(tmp_path):
    tiny.data(tmp_path)
    stage = base(tmp_path)
    losses = []
    for step in range(100):
        losses.append(float(stage.backward("world", Draw(0, 0), 0)["loss"]))
        stage.player.step(step, 10**6)
    assert losses[-1] < 0.2 * losses[0]


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
    stage = base(tmp_path, own=OwnHistory(start=0.5, share=1.0, sigma=(0.0, 1.0)))
    stage.backward("world", Draw(0, 0), 49)
    assert not stage.bank.known.any()
    stage.backward("world", Draw(0, 0), 50)
    assert stage.bank.known.any()


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


def test_pictures_are_readable(tmp_path):
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    write_png(tmp_path / "a.png", image)
    pillow = __import__("PIL.Image").Image
    assert np.array_equal(np.asarray(pillow.open(tmp_path / "a.png")), image)
