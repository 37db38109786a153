"""Runs of the world's own: what they are told, and what they are given as history."""

from dataclasses import replace

import pytest
import torch

from tests.training import tiny
from training.data.bank import OwnBank
from training.data.streams import StreamConfig, Streams
from training.data.windows import LatentSet, WindowConfig
from training.trainer.draw import Draw

WINDOWS = WindowConfig(history=4, text_dropped=0.0)


def _streams(tmp_path, count=6, **settings):
    tiny.data(tmp_path)
    data = LatentSet.load(tmp_path / "latents")
    return Streams(data, OwnBank(data.latents), StreamConfig(count=count, **settings), 1)


def _go_on(streams, steps):
    """Windows as told and as they are, step by step."""
    shape = streams.data.latents.shape[1:]
    for step in range(steps):
        draw = Draw(0, step)
        window = streams.window(WINDOWS, draw)
        yield window, streams.retold(window, draw)
        streams.advance(window, torch.full((6, shape[0], 1, *shape[1:]), 7.0))


def test_a_run_goes_on_from_what_it_made(tmp_path):
    streams = _streams(tmp_path, length=4)
    for step, (window, _) in enumerate(_go_on(streams, 4)):
        own = (streams.history(window) == 7).flatten(3).all(3).all(1)  # [S, n]
        ages = (streams.runs.now - streams.runs.start).tolist()
        assert own[:, 1:].sum(1).tolist() == [min(age, 4) for age in ages]
        assert step == 0 or max(ages) > 0


def test_runs_keep_the_text_they_were_told_until_they_begin_anew(tmp_path):
    streams = _streams(tmp_path, length=3, retold=1.0)
    for window, told in _go_on(streams, 2):
        groups = [streams.data.texts[i] for i in streams.data.text_of[streams.runs.text].tolist()]
        assert all(text in group for text, group in zip(told.texts, groups, strict=True))
        assert torch.equal(told.actions, window.actions)
    before = streams.runs
    streams.config = replace(streams.config, retold=1e-9)
    for _ in _go_on(streams, 3):
        fresh = streams.runs.now == streams.runs.start
        assert torch.equal(streams.runs.text, torch.where(fresh, -1, before.text))
        before = streams.runs


def test_what_is_told_of_the_same_place_comes_from_the_run_s_own_clip(tmp_path):
    def clips_told(here: float) -> tuple[torch.Tensor, torch.Tensor]:
        streams = _streams(tmp_path / str(here), length=3, retold=1.0, retold_here=here)
        told, own = [], []
        for _ in _go_on(streams, 5):
            told.append(torch.searchsorted(streams.data.starts, streams.runs.text, right=True) - 1)
            own.append(streams.runs.clip)
        return torch.cat(told), torch.cat(own)

    assert torch.equal(*clips_told(1.0))
    told, own = clips_told(0.0)
    assert (told != own).any()


def test_without_retelling_a_run_is_told_its_own_text(tmp_path):
    for window, told in _go_on(_streams(tmp_path, length=3), 3):
        assert told is window


def test_runs_survive_a_checkpoint(tmp_path):
    streams = _streams(tmp_path, length=3, retold=0.5)
    list(_go_on(streams, 2))
    again = _streams(tmp_path / "again", length=3, retold=0.5)
    again.bank.load(streams.bank.state(streams.alive()))
    again.load(streams.state())
    assert all(torch.equal(a, b) for a, b in zip(again.runs, streams.runs, strict=True))
    pasts = [s.history(s.window(WINDOWS, Draw(0, 9))) for s in (streams, again)]
    assert (pasts[0] == 7).any() and torch.equal(*pasts)


@pytest.mark.parametrize("count", [2, 9])
def test_another_number_of_runs_goes_on_with_those_that_there_are(tmp_path, count):
    streams = _streams(tmp_path, length=9)
    list(_go_on(streams, 2))
    again = _streams(tmp_path / "again", count=count, length=9)
    again.load(streams.state())
    kept = min(count, 6)
    before = torch.stack(streams.runs)
    assert torch.equal(torch.stack(again.runs)[:, :kept], before[:, :kept])
    window = again.window(replace(WINDOWS, history=2), Draw(0, 9))
    assert len(window.target) == len(again.runs.now) == count
    assert (again.runs.now == again.runs.start)[kept:].all(), "the others begin"


def test_only_what_present_runs_made_is_kept(tmp_path):
    streams = _streams(tmp_path, length=3)
    list(_go_on(streams, 9))
    ages = (streams.runs.now - streams.runs.start).sum()
    assert 0 < len(streams.alive()) <= ages < int(streams.bank.known.sum())


def test_a_run_from_text_alone_never_sees_footage(tmp_path):
    streams = _streams(tmp_path, length=3, from_text=1.0)
    for window, _ in _go_on(streams, 5):
        ages = streams.runs.now - streams.runs.start
        shown = streams.history(window)
        assert (window.past[ages == 0] == -1).all()  # not even its own target as an anchor
        assert ((shown == 7) | (shown == 0)).all()
        assert (shown[ages > 0][:, :, 0] == 7).all()  # what it made first is its anchor
