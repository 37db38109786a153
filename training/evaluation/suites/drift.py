"""Drift: what ten minutes of play do to the picture, and whether it still obeys.

Brightness, saturation, sharpness and the distance of the judge's features to real frames, in every
tenth of the run; the worst tenth against the first is the figure. A frozen world does not drift,
so the action judge must find the last tenth at least 0.9 as obedient as the first. Also seams at
chunk boundaries and repetition at long lags.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from helios_core.world_api import World
from training.evaluation import judges, metrics
from training.evaluation.oracle import OracleConfig, oracle_episodes
from training.evaluation.playing import play, starts
from training.evaluation.report import Report
from training.evaluation.statistics import Figure
from training.worlds.wilds import policies

SEGMENTS = 10


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """How much is measured."""

    clips: int = 4
    """Worlds played at once."""
    minutes: float = 10.0
    """World time of each."""
    sample: int = 200
    """Consecutive frames looked at in each tenth."""
    seed: int = 2


def run(world: World, config: DriftConfig, report: Report) -> None:
    info = world.info
    oracle = OracleConfig(count=config.clips, future=4, seed=config.seed)
    episodes = oracle_episodes(oracle, height=info.height, width=info.width)
    frames = int(config.minutes * 60 * info.fps) // info.chunk_frames * info.chunk_frames
    actions = walk(config.seed, config.clips, frames)
    segments = _segments(world, starts(world, episodes), actions, config)
    real = np.concatenate([e.past for e in episodes])
    _looks(segments, report)
    _features(info.height, info.width, segments, real, report)
    _obeys(info.height, info.width, segments, report)
    _seams(segments, info.chunk_frames, report)
    pictures = np.concatenate([s["pictures"][:, 0] for s in segments])
    report.sheet("drift", pictures, columns=config.clips)


def walk(seed: int, walkers: int, frames: int) -> np.ndarray:
    """A wandering walker's actions [N, F, A], in stretches of a minute."""
    rng = np.random.default_rng([seed, 13])
    aims = policies.no_aims(walkers)
    parts = [policies.wander(rng, walkers, 1200, aims) for _ in range(-(-frames // 1200))]
    return np.concatenate(parts, 1)[:, :frames].astype(np.float32)


def _segments(
    world: World, states: list[Any], actions: np.ndarray, config: DriftConfig
) -> list[dict[str, np.ndarray]]:
    """Of each tenth the last frames and their actions; nothing else is kept of a long run."""
    chunk = world.info.chunk_frames
    length = actions.shape[1] // SEGMENTS // chunk * chunk
    kept = min(config.sample // chunk * chunk, length)
    out = []
    for k in range(SEGMENTS):
        part = actions[:, k * length : (k + 1) * length]
        _, states = play(world, states, part[:, : length - kept]) if kept < length else (0, states)
        pictures, states = play(world, states, part[:, length - kept :])
        out.append({"pictures": pictures, "actions": part[:, length - kept :]})
        print(f"  drift: {k + 1}/{SEGMENTS} of the run", flush=True)
    return out


def _looks(segments: list[dict[str, np.ndarray]], report: Report) -> None:
    """Worst tenth against the first, per clip, relative to the first's value."""
    for name in ("brightness", "saturation", "sharpness"):
        measure = getattr(metrics, name)
        values = np.array([[measure(c).mean() for c in s["pictures"]] for s in segments])
        change = np.abs(values - values[:1]) / np.maximum(values[:1], 1e-3)
        report.figure(f"drift.{name}", Figure.of(change.max(0)))
        overall = values.mean(1)
        across = np.abs(overall / overall[0] - 1).max()
        report.note(f"drift.{name}.of_the_mean", round(float(across), 4))
        report.curve(f"drift-{name}", {name: overall}, "tenth of the run", name)


def _features(
    height: int, width: int, segments: list[dict[str, np.ndarray]], real: np.ndarray, report: Report
) -> None:
    """Distance of the mean features to real frames, in units of the real frames' spread."""
    judge, _ = judges.classifier(height=height, width=width)
    truth = judge.features(real)
    spread = truth.std(0) + 1e-6
    distance = []
    for s in segments:
        made = judge.features(s["pictures"][:, ::4].reshape(-1, height, width, 3))
        gap = (made.mean(0) - truth.mean(0)) / spread
        distance.append(float(np.sqrt((gap**2).mean())))
    report.note("drift.feature_distance", [round(d, 4) for d in distance])
    report.curve("drift-features", {"distance": distance}, "tenth of the run", "to real frames")


def _obeys(height: int, width: int, segments: list[dict[str, np.ndarray]], report: Report) -> None:
    """How well the judge finds the actions in the last tenth, over the first."""
    judge, _ = judges.inverse_dynamics(height=height, width=width)
    scores = []
    for s in segments:
        read = np.stack([judge.read(clip) for clip in s["pictures"]])
        told = s["actions"][:, judges.ACTED : judges.ACTED + read.shape[1]]
        found = judges.agreement(read, told)
        scores.append(np.mean([found[n]["accuracy"] for n in ("move_forward", "look_yaw")]))
    report.note("drift.action_accuracy", [round(float(s), 4) for s in scores])
    report.note("drift.last_over_first_accuracy", round(float(scores[-1] / scores[0]), 4))
    report.note("drift.counts", bool(scores[-1] >= 0.9 * scores[0]))


def _seams(segments: list[dict[str, np.ndarray]], chunk: int, report: Report) -> None:
    clips = [clip for s in segments for clip in s["pictures"]]
    report.figure("drift.seams", Figure.of([metrics.seam_ratio(c, chunk) for c in clips]))
    far = [
        s["pictures"][i][:: 4 * chunk]
        for i in range(len(segments[0]["pictures"]))
        for s in segments
    ]
    rows = np.array_split(np.arange(len(far)), len(segments[0]["pictures"]))
    repeats = [metrics.repetition(np.concatenate([far[i] for i in row]), 50) for row in rows]
    report.figure("drift.repetition", Figure.of(repeats))
