"""One report beside another: differences clip by clip, and what is no report."""

import json

import numpy as np
import pytest

from engine.cli import main
from training.evaluation.against import read, rows
from training.evaluation.statistics import Figure

CLIPS = np.random.default_rng(0).normal(20, 5, 16)  # some are much harder than others


def report(figure, **config):
    figures = {"fidelity.psnr": json.loads(json.dumps(figure.to_dict()))}
    return {"figures": figures, "notes": {"fidelity.config": {"clips": 16, **config}}}


def test_a_small_gain_on_every_clip_is_clear_though_the_intervals_overlap():
    before, now = Figure.of(CLIPS, unit=" dB"), Figure.of(CLIPS + 0.5, unit=" dB")
    assert now.low < before.high
    (row,) = rows(report(now), report(before))
    assert row.clear and row.low == pytest.approx(0.5, abs=1e-3) == row.high
    assert "+0.5 dB" in str(row) and str(row).endswith("*")


def test_noise_that_has_no_direction_is_not():
    noise = np.tile([1.0, -1.0], 8)
    (row,) = rows(report(Figure.of(CLIPS + noise)), report(Figure.of(CLIPS)))
    assert row.low < 0 < row.high and not row.clear and "*" not in str(row)


def test_pooled_figures_are_compared_draw_by_draw():
    def share(values, gaps=False):
        def measure(clips):
            chosen = values[clips]
            return None if gaps and len(set(clips.tolist())) < 11 else float((chosen > 20).mean())

        return Figure.pooled(measure, 16)

    (row,) = rows(report(share(CLIPS + 3)), report(share(CLIPS, gaps=True)))
    assert row.clear and row.low > 0


def test_clips_that_only_one_of_them_has_an_answer_of_keep_their_place():
    """Which clips count, a world decides: as many are not the same ones."""
    one, other = CLIPS + 0.5, CLIPS.copy()
    one[:4], other[4:8] = np.nan, np.nan
    now, before = Figure.of(one), Figure.of(other)
    assert (now.count, now.clips) == (12, 16)
    (row,) = rows(report(now), report(before))
    drawn = np.random.default_rng(0).integers(0, 16, (2000, 16))[:200]
    apart = np.nanmean(one[drawn], 1) - np.nanmean(other[drawn], 1)
    assert (row.low, row.high) == pytest.approx(np.quantile(apart, [0.025, 0.975]), abs=1e-3)
    assert row.high - row.low > 1, "what only one was asked is no less noisy for that"


def test_a_report_of_before_that_drew_from_fewer_is_not_paired():
    now, fewer = Figure.of(np.where(CLIPS > 20, CLIPS, np.nan)), Figure.of(CLIPS[CLIPS > 20])
    before = report(fewer)
    del before["figures"]["fidelity.psnr"]["clips"]
    (row,) = rows(report(now), before)
    assert now.count == fewer.count and row.low is None


@pytest.mark.parametrize("other", ["settings", "count", "draws"])
def test_without_the_same_clips_there_is_a_difference_and_no_interval(other):
    now, before = report(Figure.of(CLIPS)), report(Figure.of(CLIPS - 1))
    if other == "settings":
        before["notes"]["fidelity.config"]["seed"] = 7
    elif other == "count":
        before = report(Figure.of(CLIPS[:8] - 1))
    else:
        del before["figures"]["fidelity.psnr"]["draws"]  # of an older version
    (row,) = rows(now, before)
    assert row.low is None and not row.clear and "[" not in str(row)


def test_figures_of_one_report_alone_are_left_out():
    now = report(Figure.of(CLIPS))
    assert list(rows(now, {"figures": {}, "notes": {}})) == []


@pytest.mark.parametrize("text", [None, "{", "[]", '{"figures": 3}'])
def test_what_is_no_report_is_said(tmp_path, text):
    if text is not None:
        (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(ValueError, match="report of `helios eval`"):
        read(tmp_path)
    (tmp_path / "evaluation.json").write_text(json.dumps(report(Figure.of(CLIPS))))
    assert read(tmp_path) == read(tmp_path / "evaluation.json")


def test_the_command_refuses_what_is_no_report_before_it_measures(tmp_path, capsys):
    assert main(["eval", "null", "--against", str(tmp_path), "--out", str(tmp_path / "new")]) == 2
    assert "no report of `helios eval`" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
