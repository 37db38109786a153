"""Drift: what ten minutes of play do to the picture, and whether it still obeys.

Brightness, saturation, sharpness and noise in every tenth of the run; the worst tenth against the
first is the figure. Beside it the same figure of the truth under the same actions, since walking
from a beach at noon into a forest at dusk changes a perfect picture too. A frozen world does not
drift, so the action judge must find the last tenth at least 0.9 as obedient as the first, both
counted from chance. Also the
distance of the classifier's features to the truth, seams at chunk boundaries, and repetition.

N clips, F frames, S stills, H W pixels.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from helios_core.world_api import World
from training.evaluation import judges, lessons, metrics
from training.evaluation.oracle import OracleConfig, oracle_episodes, stills
from training.evaluation.playing import play, starts
from training.evaluation.report import Report
from training.evaluation.statistics import Figure
from training.worlds.wilds import policies

SEGMENTS = 10
PIECE = 160
"""Frames played before all but the stills are forgotten."""
LOOKS = ("brightness", "saturation", "sharpness", "noise")
ENOUGH = 0.9
"""Obedience above chance of the last tenth over the first's from which on drift figures count."""


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """How much is measured."""

    clips: int = 4
    """Worlds played at once."""
    minutes: float = 10.0
    """World time of each."""
    sample: int = 200
    """Consecutive frames at the end of each tenth that are read for actions and seams."""
    stills: int = 24
    """Pictures spread over each tenth that its looks are measured on."""
    past: int = 80
    """Frames of the truth that the world sees first, as long as its memory."""
    seed: int = 2


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What is kept of a tenth."""

    stills: np.ndarray
    """uint8 [N, S, H, W, 3], evenly spread."""
    run: np.ndarray
    """uint8 [N, F, H, W, 3], its last frames."""
    actions: np.ndarray
    """float32 [N, F, A] of those."""


def run(world: World, config: DriftConfig, report: Report) -> None:
    info = world.info
    oracle = OracleConfig(
        count=config.clips,
        past=config.past,
        future=4,
        seed=config.seed,
        weathers=lessons.fair(config.clips),
    )
    episodes = oracle_episodes(oracle, height=info.height, width=info.width)
    length = int(config.minutes * 60 * info.fps) // SEGMENTS // info.chunk_frames
    actions = walk(config.seed, config.clips, SEGMENTS * length * info.chunk_frames)
    segments = _segments(world, starts(world, episodes), actions, config)
    at = _moments(actions.shape[1], config.stills)
    truth = stills(oracle, actions, at.ravel().tolist(), height=info.height, width=info.width)
    truth = truth.reshape(config.clips, SEGMENTS, config.stills, *truth.shape[2:])
    made = np.stack([s.stills for s in segments], 1)
    _looks(made, truth, report)
    _features(made, truth, report)
    _repeats(made, truth, report)
    _obeys(info.height, info.width, segments, report)
    seams = [[metrics.seam_ratio(clip, info.chunk_frames) for clip in s.run] for s in segments]
    report.figure("drift.seams", Figure.of(np.mean(seams, 0)))
    rows = np.stack([made[:, :, -1], truth[:, :, -1]], 1)
    report.sheet("drift", rows.reshape(-1, *rows.shape[3:]), columns=SEGMENTS)


def walk(seed: int, walkers: int, frames: int) -> np.ndarray:
    """A wandering walker's actions [N, F, A], in stretches of a minute."""
    rng = np.random.default_rng([seed, 13])
    aims = policies.no_aims(walkers)
    parts = [policies.wander(rng, walkers, 1200, aims) for _ in range(-(-frames // 1200))]
    return np.concatenate(parts, 1)[:, :frames].astype(np.float32)


def _moments(frames: int, count: int) -> np.ndarray:
    """Frames of the stills, [SEGMENTS, count]."""
    length = frames // SEGMENTS
    inside = (np.arange(count) + 0.5) * length / count
    return (np.arange(SEGMENTS)[:, None] * length + inside).astype(int)


def _segments(
    world: World, states: list[Any], actions: np.ndarray, config: DriftConfig
) -> list[Segment]:
    chunk = world.info.chunk_frames
    length = actions.shape[1] // SEGMENTS
    kept = min(config.sample // chunk * chunk, length)
    piece = max(chunk, PIECE // chunk * chunk)
    at = _moments(actions.shape[1], config.stills)
    out = []
    for k in range(SEGMENTS):
        begin, pictures, run = k * length, [], []
        marks = [*range(0, length - kept, piece), *range(length - kept, length, piece), length]
        for a, b in pairwise(marks):
            made, states = play(world, states, actions[:, begin + a : begin + b])
            inside = at[k][(at[k] >= begin + a) & (at[k] < begin + b)] - begin - a
            pictures.append(made[:, inside])
            if a >= length - kept:
                run.append(made)
        told = actions[:, begin + length - kept : begin + length]
        out.append(
            Segment(stills=np.concatenate(pictures, 1), run=np.concatenate(run, 1), actions=told)
        )
        print(f"  drift: {k + 1}/{SEGMENTS} of the run", flush=True)
    return out


def _looks(made: np.ndarray, truth: np.ndarray, report: Report) -> None:
    """Worst tenth against the first per clip, and of the mean over clips; of the truth as well."""
    for name in LOOKS:
        values, true = (_per_tenth(name, pictures) for pictures in (made, truth))
        report.figure(f"drift.{name}", Figure.of(worst(values)))
        report.figure(f"drift.{name}.truth", Figure.of(worst(true)))
        beside = np.abs(values / np.maximum(true, 1e-3) - values[:, :1] / true[:, :1].clip(1e-3))
        report.figure(f"drift.{name}.beyond_truth", Figure.of(beside.max(1)))
        curves = {"world": values.mean(0), "truth": true.mean(0)}
        for who, curve in curves.items():
            report.note(f"drift.{name}.{who}", [round(float(v), 4) for v in curve])
        report.note(f"drift.{name}.of_the_mean", round(float(worst(values.mean(0)[None])[0]), 4))
        report.curve(f"drift-{name}", curves, "tenth of the run", name)


def _per_tenth(name: str, pictures: np.ndarray) -> np.ndarray:
    """[N, SEGMENTS] means of [N, SEGMENTS, S, H, W, 3]."""
    measure = getattr(metrics, name)
    return np.array([[measure(tenth).mean() for tenth in clip] for clip in pictures])


def worst(values: np.ndarray) -> np.ndarray:
    """Largest change of any tenth from the first, relative to the first: [N] of [N, SEGMENTS]."""
    return (np.abs(values - values[:, :1]) / np.maximum(values[:, :1], 1e-3)).max(1)


def _features(made: np.ndarray, truth: np.ndarray, report: Report) -> None:
    """Distance of each tenth's mean features to the truth's, in units of the truth's spread."""
    judge, _ = judges.classifier(height=made.shape[-3], width=made.shape[-2])
    real = judge.features(truth.reshape(-1, *truth.shape[3:]))
    spread, middle = real.std(0) + 1e-6, real.mean(0)
    distances = []
    for clips in np.moveaxis(made, 1, 0):
        gap = (judge.features(clips.reshape(-1, *clips.shape[2:])).mean(0) - middle) / spread
        distances.append(float(np.sqrt((gap**2).mean())))
    report.note("drift.feature_distance", [round(d, 4) for d in distances])
    report.note("drift.feature_distance.worst", round(max(distances), 4))
    report.curve("drift-features", {"distance": distances}, "tenth of the run", "to the truth")


def _repeats(made: np.ndarray, truth: np.ndarray, report: Report) -> None:
    """Share of stills with a near twin at least two tenths of the run away."""
    lag = 2 * made.shape[2]
    for name, clips in (("", made), (".truth", truth)):
        flat = clips.reshape(len(clips), -1, *clips.shape[3:])
        report.figure(f"drift.repetition{name}", Figure.of([
            metrics.repetition(clip, lag) for clip in flat
        ]))  # fmt: skip


def _obeys(height: int, width: int, segments: list[Segment], report: Report) -> None:
    """How well the judge finds the actions in the last tenth, over the first.

    `drift.counts` is true, false, or "not judged": nobody could say whether the world still obeys.
    """
    judge, exam = judges.inverse_dynamics(height=height, width=width)
    names = [n for n in ("move_forward", "strafe", "look_yaw") if n in exam["judges"]]
    report.note("drift.obeys.judged_by", names)
    if not names:
        report.note("drift.counts", "not judged")
        print("  whether drift counts is not judged: the action judge failed its exam in walking, "
              "strafing and turning, so none can say if the world still obeys")  # fmt: skip
        return
    found = [_agreement(judge, segment, names) for segment in segments]
    report.note("drift.action_accuracy", [round(one.accuracy, 4) for one in found])
    report.note("drift.action_chance", [round(one.chance, 4) for one in found])
    verdict, why = counts(found[0], found[-1])
    ratio = found[-1].skill / found[0].skill
    report.note("drift.last_over_first_skill", round(ratio, 4) if np.isfinite(ratio) else None)
    report.note("drift.counts", verdict)
    print(f"  drift.counts: {verdict} ({why})")


@dataclass(frozen=True, kw_only=True)
class Obedience:
    """How well the judge finds the actions in a tenth; nan where nothing clear was pushed."""

    accuracy: float
    """Balanced, the mean over the channels that were pushed."""
    chance: float
    """What guessing would score: tenths differ in which ways were pushed."""

    @property
    def skill(self) -> float:
        """0 at chance, 1 when all is right."""
        return (self.accuracy - self.chance) / (1 - self.chance)


def _agreement(judge: judges.InverseDynamics, segment: Segment, names: list[str]) -> Obedience:
    read = np.stack([judge.read(clip) for clip in segment.run])
    span = slice(judges.ACTED, judges.ACTED + read.shape[1])
    shown = lessons.steady(segment.actions)[:, span]
    found = judges.agreement(read, segment.actions[:, span], shown)
    asked = [found[name] for name in names if found[name]["accuracy"] is not None]
    if not asked:
        return Obedience(accuracy=float("nan"), chance=float("nan"))
    accuracy, chance = (float(np.mean([row[k] for row in asked])) for k in ("accuracy", "chance"))
    return Obedience(accuracy=accuracy, chance=chance)


def counts(first: Obedience, last: Obedience) -> tuple[bool | str, str]:
    """Whether drift figures count, from the obedience of the first and last tenth, and why."""
    if not np.isfinite(first.accuracy + last.accuracy):
        return "not judged", "a tenth held no clear push of a judged channel; play more clips"
    if first.accuracy < first.chance + judges.LUCK:
        return False, "the first tenth obeys no better than chance: a frozen world does not drift"
    if last.skill < ENOUGH * first.skill:
        return False, f"the last tenth obeys less than {ENOUGH} as well as the first"
    return True, "the last tenth obeys as the first does"
