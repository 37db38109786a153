"""Metrics against values computed by hand or by brute force."""

import json

import numpy as np
import pytest

from training.evaluation import metrics
from training.evaluation.report import Report
from training.evaluation.statistics import Figure, share

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (6, 24, 32, 3)).astype(np.uint8)


def test_psnr_is_ten_logs_of_the_error() -> None:
    other = np.clip(PICTURES.astype(int) + 5, 0, 255).astype(np.uint8)
    error = ((PICTURES.astype(float) - other) ** 2).mean((1, 2, 3))
    assert np.allclose(metrics.psnr(PICTURES, other), 10 * np.log10(255**2 / error))
    assert (metrics.psnr(PICTURES, PICTURES) == metrics.BEST_PSNR).all()


def test_pooling_takes_the_mean_error_of_each_window() -> None:
    error = np.array([0.0, 0.1, 0.2, 0.3])
    assert np.allclose(metrics.pooled_psnr(error, 2), -10 * np.log10([0.05, 0.15, 0.25]))


def test_ssim_is_one_for_equals_and_matches_brute_force() -> None:
    other = PICTURES[::-1].copy()
    assert np.allclose(metrics.ssim(PICTURES, PICTURES), 1)
    x, y = metrics.luma(PICTURES[:1])[0], metrics.luma(other[:1])[0]
    values = []
    for i in range(24 - 6):
        for j in range(32 - 6):
            a, b = x[i : i + 7, j : j + 7], y[i : i + 7, j : j + 7]
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            cov = ((a - a.mean()) * (b - b.mean())).sum() / 48
            top = (2 * a.mean() * b.mean() + c1) * (2 * cov + c2)
            bottom = (a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var(ddof=1) + b.var(ddof=1) + c2)
            values.append(top / bottom)
    assert metrics.ssim(PICTURES[:1], other[:1])[0] == pytest.approx(np.mean(values), rel=1e-6)


def test_blur_lowers_sharpness_and_grey_lowers_saturation() -> None:
    blurred = (PICTURES[:, 1:] // 2 + PICTURES[:, :-1] // 2).astype(np.uint8)
    assert metrics.sharpness(blurred).mean() < metrics.sharpness(PICTURES).mean()
    grey = PICTURES.mean(-1, keepdims=True).repeat(3, -1).astype(np.uint8)
    assert metrics.saturation(grey).max() == 0 < metrics.saturation(PICTURES).min()


def test_a_jump_at_every_chunk_is_a_seam() -> None:
    smooth = np.arange(16)[:, None, None, None] * np.ones((1, 8, 8, 3))
    jumpy = smooth + 20 * (np.arange(16) // 4)[:, None, None, None]
    assert metrics.seam_ratio(smooth.astype(np.uint8), 4) == pytest.approx(1, abs=1e-6)
    assert metrics.seam_ratio(jumpy.astype(np.uint8), 4) == pytest.approx(21, rel=0.01)


def test_a_loop_repeats_and_noise_does_not() -> None:
    loop = np.concatenate([PICTURES, PICTURES])
    assert metrics.repetition(loop, 6) == 1.0
    assert metrics.repetition(PICTURES, 3) == 0.0


def test_rotation_matches_the_camera_that_turned() -> None:
    """A far landscape: turning it is the rotation homography, up to resampling."""
    from training.worlds.wilds.camera import HALF_HEIGHT
    from training.worlds.wilds.world import Wilds, WildsConfig

    wilds = Wilds([3], 64, 96, config=WildsConfig(weathers=("clear",), hours=(12.0,)))
    still = wilds.render()[0].numpy()
    before = wilds.poses()[0]
    wilds.place(before[0], before[1], yaw=before[4] + 8)
    wilds.place(before[0], before[1], yaw=before[4], pitch=0)
    first = wilds.render()[0].numpy()
    wilds.place(before[0], before[1], yaw=before[4] + 8, pitch=4)
    turned = wilds.render()[0].numpy()
    focal = 64 / 2 / HALF_HEIGHT
    inside = (slice(12, -12), slice(6, -20))

    def match(yaw: float, pitch: float) -> float:
        warped = metrics.rotate(first, yaw, pitch, focal)
        return float(metrics.psnr(turned[inside], warped[inside]))

    assert still.shape == first.shape
    assert match(8, 4) > match(0, 0) + 4
    assert match(8, 4) > max(match(-8, 4), match(8, -4), match(6, 4), match(8, 2))


def test_an_interval_holds_its_mean_and_narrows() -> None:
    few, many = Figure.of(RNG.normal(3, 1, 10)), Figure.of(RNG.normal(3, 1, 1000))
    assert few.low < few.mean < few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert share([True, False, True, True]).mean == 0.75
    with pytest.raises(ValueError, match="finite"):
        Figure.of([float("nan")])


def test_clips_without_an_answer_are_drawn_and_do_not_count() -> None:
    values = np.array([np.nan, 2.0, np.inf, 4.0])
    figure = Figure.of(values)
    assert (figure.mean, figure.count, figure.clips) == (3, 2, 4)
    assert (figure.low, figure.high) == (2, 4)
    assert None in figure.draws, "a draw may hold none that has one"
    assert {d for d in figure.draws if d is not None} > {2.0, 3.0, 4.0}


def test_a_pooled_figure_resamples_whole_clips() -> None:
    clips = np.array([0.0, 1.0, 1.0, 1.0])
    figure = Figure.pooled(lambda rows: clips[rows].mean(), 4)
    assert figure is not None and figure.mean == 0.75 and figure.low < 0.75 < figure.high
    assert Figure.pooled(lambda rows: None, 4) is None


def test_noise_is_its_own_size_and_flicker_is_not_smooth() -> None:
    flat = np.full((2, 64, 64, 1), 128.0)
    grainy = flat + RNG.normal(0, 10, flat.shape)
    pictures = [p.repeat(3, -1).round().astype(np.uint8) for p in (flat, grainy)]
    assert metrics.noise(pictures[0]).max() == 0
    assert metrics.noise(pictures[1]) * 255 == pytest.approx(10, rel=0.1)
    steady = (np.arange(10)[:, None, None, None] * 5 * np.ones((1, 8, 8, 3))).astype(np.uint8)
    flicker = steady + (60 * (np.arange(10) % 2)[:, None, None, None]).astype(np.uint8)
    assert metrics.smoothness(steady) == 60 > 20 > metrics.smoothness(flicker)


def test_a_full_disk_leaves_the_figures_of_before(tmp_path, monkeypatch):
    """They may be of hours."""
    report = Report(tmp_path)
    report.note("drift.hours", 3)
    path = report.save(pack_hash="a")

    def full(at, _text):
        at.open("w").close()
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr(type(path), "write_text", full)
        report.save(pack_hash="a")
    assert json.loads(path.read_text())["notes"] == {"drift.hours": 3}
