"""The reader of actions and text, and what it asks of a world."""

from dataclasses import replace

import pytest
import torch

from tests.training import tiny
from training import artifacts
from training.data.windows import WindowConfig, gather
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage
from training.stages.reader import Reader, ReaderConfig, ReaderStage, mistaken, sentences, three_of
from training.stages.readings import Readings
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig


@pytest.fixture
def stage(tmp_path):
    tiny.data(tmp_path)
    torch.manual_seed(0)
    base = BaseConfig(latents="latents", held="held", codec="codec", model=tiny.MODEL,
                      text=tiny.TEXT, windows=WindowConfig(history=7))  # fmt: skip
    origin = tmp_path / "base" / "final"
    origin.mkdir(parents=True)
    worlds.save(origin, BaseStage(base, tiny.context(tmp_path, "base"), LoopConfig()).world)
    config = ReaderConfig(
        latents="latents", held="held", origin="base", width=16, blocks=1, shared=8, batch=32,
        optimiser=OptimiserConfig(lr=2e-3, warmup=0, decay=0, ema=0),
    )  # fmt: skip
    return ReaderStage(config, tiny.context(tmp_path, "reader"), LoopConfig())


def _teach(stage, steps):
    for step in range(steps):
        stage.backward("reader", Draw(0, step), 0)
        stage.player.step(step, 10**6)


def test_a_reader_learns_what_was_pressed_and_said_and_is_published(stage, tmp_path):
    _teach(stage, 150)
    own = stage.data.sample(64, stage.windows, Draw(5, 0))
    wrong, _, _ = stage._judge(three_of(stage.data, own), own)
    assert float(wrong[stage.data.spec.names.index("look_yaw")].detach()) < 0.5
    said, _ = stage.world.encode([f"world {i}" for i in range(4)])
    match = stage.reader.match(three_of(stage.data, own)[:, :, -1], said.mean(1))
    clip = torch.searchsorted(stage.data.starts, own.target[:, 0], right=True) - 1
    early = own.target[:, 0] - stage.data.starts[clip] < 10  # until then these were its words
    assert float((match.argmax(1) == clip)[early].float().mean()) > 0.9
    assert set(stage.evaluate()) > {"left.look_yaw", "text", "text_hits", "score"}
    folder = tmp_path / "final"
    folder.mkdir()
    stage.publish(folder)
    again = artifacts.load(folder, "reader")
    three = three_of(stage.data, own)
    assert isinstance(again, Reader)
    torch.testing.assert_close(again.actions(three), stage.reader.actions(three))


def test_the_same_sentence_and_silence_are_no_wrong_answers():
    match = torch.tensor([[0.0, 9.0, 9.0, 0.0]])  # against: rain (own), rain, silence, snow
    among = sentences(["rain", "rain", "", "snow"], 1, match.device)
    torch.testing.assert_close(mistaken(match, among), torch.tensor([2.0]).log())
    assert (among.said >= 0).tolist() == [True, True, False, True]


def _asked(stage, count=8):
    window = stage.data.sample(count, stage.windows, Draw(3, 0))
    past = gather(stage.data.latents, window.past[:, -2:])
    truth = gather(stage.data.latents, window.target)
    return window, window.target[:, 0], past, truth


def test_the_truth_leaves_nothing_to_wish_for_and_something_else_does(stage):
    _teach(stage, 60)
    readings = Readings(stage.reader, stage.data, stage.world, stage.context)
    window, says, past, truth = _asked(stage)
    deeds, words = readings.deeds(window), readings.words(window, says, Draw(0, 0))
    assert not readings.actions(deeds, past, truth).any()
    assert not readings.text(words, truth).any()
    foreign = truth.roll(1, 0)
    assert readings.actions(deeds, past, foreign) > 0
    assert readings.text(words, foreign) > 0


def test_what_follows_nothing_or_was_told_nothing_is_not_asked_for(stage):
    readings = Readings(stage.reader, stage.data, stage.world, stage.context)
    asked, says, past, truth = _asked(stage)
    made = (truth * 0).requires_grad_(True)
    fresh = asked.past.clone()
    fresh[0] = -1  # begins from nothing
    fresh[1, -1] = fresh[1, -2] = 0  # follows another clip
    mask = asked.action_mask.clone()
    mask[2] = False
    window = replace(asked, past=fresh, action_mask=mask)
    silent = replace(window, texts=["", *window.texts[1:]])
    readings.actions(readings.deeds(window), past, made).backward()
    assert [bool(g.any()) for g in made.grad[:4]] == [False, False, False, True]
    made.grad = None
    readings.text(readings.words(silent, says, Draw(0, 0)), made).backward()
    assert not made.grad[0].any() and made.grad[1:].any()


def test_a_told_run_is_asked_to_show_what_is_true_of_its_text(stage):
    _teach(stage, 60)
    readings = Readings(stage.reader, stage.data, stage.world, stage.context)
    asked, says, _, truth = _asked(stage)
    index = says.roll(1)
    texts = stage.data.texts_at(index.cpu(), 0.0, Draw(0, 0))
    words = readings.words(replace(asked, texts=texts), index, Draw(0, 0))
    assert readings.text(words, truth) > 0
    shown = gather(stage.data.latents, index[:, None])
    assert not readings.text(words, shown).any()
