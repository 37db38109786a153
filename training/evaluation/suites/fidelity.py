"""Fidelity: how close a world comes to the truth under the same actions.

The next chunk from true history, and 64 frames on its own pictures; against the truth and against
the codec's own reconstruction of it (what a perfect transformer would reach), beside repeating the
last frame and the rotation homography of the known camera motion. In decibels, and in LPIPS where
weights for it are given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from helios_core.world_api import World
from training.evaluation import metrics
from training.evaluation.lpips import Lpips
from training.evaluation.oracle import Episode, OracleConfig, oracle_episodes
from training.evaluation.playing import continue_past, next_chunks
from training.evaluation.report import Report
from training.evaluation.statistics import Figure
from training.worlds.wilds.camera import HALF_HEIGHT

POOL = 16
"""Frames over which squared errors are pooled."""


@dataclass(frozen=True, kw_only=True)
class FidelityConfig:
    """How much is measured."""

    clips: int = 32
    """Held-out worlds."""
    frames: int = 64
    """Frames of the free run."""
    stride: int = 16
    """A chunk is forced from the truth at every so many frames."""
    past: int = 80
    """Frames of the truth that the world sees first, as long as its memory."""
    seed: int = 0
    lpips: str = ""
    """Safetensors file of LPIPS weights; empty = no LPIPS."""


def run(world: World, config: FidelityConfig, report: Report) -> None:
    distance = Lpips(config.lpips) if config.lpips else None  # first, for its mistakes are quick
    info = world.info
    oracle = OracleConfig(
        count=config.clips, past=config.past, future=config.frames, seed=config.seed
    )
    episodes = oracle_episodes(oracle, height=info.height, width=info.width)
    _codec(world, episodes, report)
    _next(world, episodes, config, report, distance)
    _free(world, episodes, report, distance)


def reconstruct(world: World, episodes: list[Episode]) -> np.ndarray:
    """What the codec alone makes of the future, [N, F, H, W, 3]; whole latents only."""
    from helios_core.world import WorldModel

    if not isinstance(world, WorldModel):
        return np.stack([e.future for e in episodes])
    import torch

    codec = world.parts.codec
    out = []
    with torch.no_grad():
        for e in episodes:
            new = len(e.future) // codec.temporal
            future = e.future[: new * codec.temporal]
            seen = np.concatenate([e.past[-4 * codec.temporal :], future])
            video = torch.from_numpy(seen).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            latents = codec.encode(video.to(world.parts.device))
            made = codec.decode(latents, new=new)[0].permute(1, 2, 3, 0)
            out.append(made.add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy())
    return np.stack(out)


def _codec(world: World, episodes: list[Episode], report: Report) -> None:
    again = reconstruct(world, episodes)
    truth = np.stack([e.future[: again.shape[1]] for e in episodes])
    values = metrics.psnr(truth, again).mean(1)
    report.figure("fidelity.codec_psnr", Figure.of(values, unit=" dB"))
    turns = np.array([np.abs(_between(np.diff(e.poses[:, 4]))).mean() for e in episodes])
    fastest = turns >= np.quantile(turns, 0.75)
    report.figure("fidelity.codec_psnr_fast_turns", Figure.of(values[fastest], unit=" dB"))


def _next(
    world: World,
    episodes: list[Episode],
    config: FidelityConfig,
    report: Report,
    distance: Lpips | None,
) -> None:
    made, truth = next_chunks(world, episodes, stride=config.stride)
    chunk = made.shape[1]
    last, warped = [], []
    for e in episodes:
        seen = np.concatenate([e.past[-1:], e.future])
        for at in range(0, len(e.future) - chunk + 1, config.stride):
            last.append(np.repeat(seen[at : at + 1], chunk, 0))
            warped.append(_turned(seen[at], e.poses[at : at + chunk + 1]))
    guesses = {"world": made, "repeat": np.stack(last), "rotation": np.stack(warped)}
    scores = {name: metrics.psnr(truth, guess).mean(1) for name, guess in guesses.items()}
    per_clip = len(truth) // len(episodes)
    # Chunks of one clip are not independent: intervals are over clips.
    scores = {name: values.reshape(-1, per_clip).mean(1) for name, values in scores.items()}
    for name, values in scores.items():
        report.figure(f"fidelity.next_chunk_psnr.{name}", Figure.of(values, unit=" dB"))
    for other in ("repeat", "rotation"):
        gain = scores["world"] - scores[other]
        report.figure(f"fidelity.next_chunk_gain.{other}", Figure.of(gain, unit=" dB"))
    if distance is not None:
        of_clips = {n: g.reshape(len(episodes), -1, *g.shape[2:]) for n, g in guesses.items()}
        _lpips("next_chunk", distance, truth.reshape(of_clips["world"].shape), of_clips, report)


def _lpips(
    of: str,
    distance: Lpips,
    truth: np.ndarray,
    guesses: Mapping[str, np.ndarray],
    report: Report,
) -> None:
    """Mean LPIPS of each clip of [N, F, H, W, 3]."""
    for name, guess in guesses.items():
        far = [distance(t, g).mean() for t, g in zip(truth, guess, strict=True)]
        report.figure(f"fidelity.{of}_lpips.{name}", Figure.of(far))


def _between(degrees: Any) -> Any:
    """The same turn within half a circle: a heading begins anew at 360."""
    return (degrees + 180) % 360 - 180


def _turned(picture: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """The picture rotated to each later pose, [F, H, W, 3]."""
    focal = picture.shape[0] / 2 / HALF_HEIGHT
    out = []
    for pose in poses[1:]:
        yaw = _between(pose[4] - poses[0, 4])
        out.append(metrics.rotate(picture, yaw, pose[5] - poses[0, 5], focal))
    return np.stack(out)


def _free(world: World, episodes: list[Episode], report: Report, distance: Lpips | None) -> None:
    made = continue_past(world, episodes)
    frames = made.shape[1]
    truth = np.stack([e.future[:frames] for e in episodes])
    best = reconstruct(world, episodes)[:, :frames]
    repeat = np.stack([np.repeat(e.past[-1:], frames, 0) for e in episodes])
    warped = np.stack([_turned(e.past[-1], e.poses[: frames + 1]) for e in episodes])
    guesses = {"world": made, "codec": best, "repeat": repeat, "rotation": warped}
    errors = {name: metrics.squared_error(truth, guess) for name, guess in guesses.items()}
    for name, error in errors.items():
        report.figure(
            f"fidelity.free_psnr.{name}",
            Figure.of(metrics.to_psnr(error.mean(1)), unit=" dB"),
        )
    against = metrics.to_psnr(metrics.squared_error(best, made).mean(1))
    report.figure("fidelity.free_psnr.world_to_codec", Figure.of(against, unit=" dB"))
    ssim = [metrics.ssim(t, m).mean() for t, m in zip(truth, made, strict=True)]
    report.figure("fidelity.free_ssim.world", Figure.of(ssim))
    if distance is not None:
        _lpips("free", distance, truth, guesses, report)
    worst = [metrics.pooled_psnr(e, POOL).min() for e in errors["world"]]
    report.figure("fidelity.free_psnr.worst_window", Figure.of(worst, unit=" dB"))
    curves = {name: metrics.to_psnr(e.mean(0)) for name, e in errors.items()}
    report.curve("fidelity", curves, "frame", "PSNR (dB)")
    report.side_by_side(
        "fidelity", truth[:4], best[:4], made[:4], fps=world.info.fps, rows=4, scale=1
    )
