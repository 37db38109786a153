"""Rows of tables say what the encoder said."""

import torch

from training.stages import sayings
from training.stages.sayings import Sayings


def _kept(asked):
    def read(texts):
        asked.append(texts)
        states = torch.stack([torch.full((3, 2), float(len(text))) for text in texts])
        return states, torch.tensor([[True, bool(text), False] for text in texts])

    return Sayings(read)


def test_a_text_is_read_once_and_said_again():
    asked = []
    kept = _kept(asked)
    for texts in (["rain", "", "rain"], ["snowfall", "rain"], ["", "snowfall"]):
        states, mask = kept.states(texts)
        assert states[:, 0, 0].tolist() == [len(text) for text in texts]
        assert mask[:, 1].tolist() == [bool(text) for text in texts]
        assert kept.gist(texts)[:, 1].tolist() == [len(text) for text in texts]
    assert asked == [["rain", ""], ["snowfall"]]


def test_tables_stay_bounded(monkeypatch):
    monkeypatch.setattr(sayings, "KEPT", 3)
    asked = []
    kept = _kept(asked)
    for texts in (["a", "bb"], ["a", "ccc", "dddd"], ["bb"]):
        assert kept.gist(texts)[:, 0].tolist() == [len(text) for text in texts]
    assert asked == [["a", "bb"], ["a", "ccc", "dddd"], ["a", "bb"][1:]]
    assert len(kept._tables[0]) <= 6
