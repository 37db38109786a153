"""What is said in many ways is one thing: sayings, and the encoder that learns from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helios_core.text.small import SmallTextEncoder
from tests.training import tiny
from training import artifacts
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage
from training.stages.words import WordsConfig, WordsStage
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig
from training.worlds.wilds import sayings
from training.worlds.wilds.phrases import HELD_OUT, TRAINING

TEXT = replace(tiny.TEXT, text_dim=32, width=32, heads=2, buckets=512, max_words=31)


def _stage(tmp_path, **settings):
    torch.manual_seed(0)
    config = WordsConfig(
        text=TEXT,
        batch=64,
        optimiser=OptimiserConfig(lr=4e-3, warmup=0, decay=0, ema=0),
        **settings,
    )
    return WordsStage(config, tiny.context(tmp_path, "words"), LoopConfig())


def test_an_encoder_learns_that_many_words_mean_one_thing_and_is_published(tmp_path):
    stage = _stage(tmp_path)
    losses = []
    for step in range(60):
        losses.append(float(stage.backward("text", Draw(0, step), 0)["loss"]))
        stage.player.step(step, 10**6)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert set(stage.evaluate()) == {"apart", "hits", "score"}
    folder = tmp_path / "words" / "final"
    folder.mkdir(parents=True)
    stage.publish(folder)
    again = artifacts.load(folder, "text")
    assert isinstance(again, SmallTextEncoder) and {"prairie", "blizzard"} <= again.known_words


def test_it_starts_as_the_encoder_that_it_is_to_agree_with(tmp_path):
    plain = SmallTextEncoder(replace(TEXT, layers=0, vocabulary=("meadow", "ours")))
    folder = tmp_path / "sharpen" / "final"
    folder.mkdir(parents=True)
    artifacts.save(folder, "text", "small_text", plain)
    stage = _stage(tmp_path, like="sharpen")
    texts = ["a green meadow", "sand dunes at dusk"]
    torch.testing.assert_close(stage.encoder.encode(texts)[0], plain.encode(texts)[0])
    assert {"ours", "prairie"} <= stage.encoder.known_words


def test_a_fresh_world_takes_the_encoder_and_leaves_it_as_it_is(tmp_path):
    tiny.data(tmp_path)
    folder = tmp_path / "words" / "final"
    folder.mkdir(parents=True)
    _stage(tmp_path).publish(folder)
    config = BaseConfig(latents="latents", held="held", codec="codec", model=tiny.MODEL,
                        words="words", batch=8)  # fmt: skip
    base = BaseStage(config, tiny.context(tmp_path, "base"), LoopConfig())
    assert base.world.dit.config.text_dim == TEXT.text_dim
    assert not [n for n in base.player.params if n.startswith("text.")]
    worlds.save(folder, base.world)
    read = artifacts.load(folder, "text")
    assert isinstance(read, SmallTextEncoder)
    torch.testing.assert_close(read.groups.weight, artifacts.load(folder, "text").groups.weight)


@pytest.mark.parametrize("language", [TRAINING, HELD_OUT])
def test_sayings_mean_what_their_plain_sentences_say(language):
    rng = np.random.default_rng(0)
    pairs = [sayings.saying(rng, language) for _ in range(400)]
    plain = {fact: row[0] for table in language.tables() for fact, row in table.items()}
    for said, meant in pairs:
        assert said and "{" not in said + meant
        assert any(phrase in meant for phrase in plain.values()), meant
    assert len({s.said for s in pairs}) > 300


def test_an_event_is_told_plainly_as_what_is_true_after_it():
    assert sayings.outcome("snow starts", {}) == "in falling snow"
    assert sayings.outcome("night falls", {"biome": "desert"}) == "a desert at night"
    assert sayings.outcome("day passes", {}) == "a whole day passes"
