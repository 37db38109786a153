"""Action: does the world do what it is told, channel by channel, and nothing when told nothing?

An inverse-dynamics judge reads actions off generated frames; its score there over its score on
true frames is the figure. Beside it: motion under no input, and how far a pushed rollout departs
from the still one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helios_core.world_api import World
from training.evaluation import judges, lessons, metrics
from training.evaluation.oracle import Episode, OracleConfig, oracle_episodes
from training.evaluation.playing import continue_past, play, starts
from training.evaluation.report import Report
from training.evaluation.statistics import Figure, share
from training.evaluation.suites.fidelity import reconstruct
from training.worlds.wilds.spec import SPEC


@dataclass(frozen=True, kw_only=True)
class ActionConfig:
    """How much is measured."""

    clips: int = 32
    """Held-out worlds."""
    frames: int = 64
    past: int = 80
    """Frames of the truth that the world sees first, as long as its memory."""
    seed: int = 1


def run(world: World, config: ActionConfig, report: Report) -> None:
    info = world.info
    judge, exam = judges.inverse_dynamics(height=info.height, width=info.width)
    report.note("action.judge", exam)
    oracle = OracleConfig(
        count=config.clips,
        past=config.past,
        future=config.frames,
        seed=config.seed,
        weathers=lessons.fair(config.clips),
    )
    episodes = oracle_episodes(oracle, height=info.height, width=info.width, actions=lessons.pushes)
    made = continue_past(world, episodes)
    best = reconstruct(world, episodes)[:, : made.shape[1]]
    _channels(judge, exam["judges"], episodes, made, best, report)
    if {"look_yaw", "look_pitch"} <= set(exam["judges"]):
        _looks(judge, episodes, made, report)
    _stillness(world, episodes, made, report)


def _channels(
    judge: judges.InverseDynamics,
    passed: list[str],
    episodes: list[Episode],
    made: np.ndarray,
    best: np.ndarray,
    report: Report,
) -> None:
    """Balanced accuracy per key on generated frames, over the judge's own on the true ones.

    `best` is the truth as the codec shows it: a world that obeys perfectly reads like that. Only
    frames in which the truth shows the channel are asked. A channel in which the judge failed its
    exam is `unjudged`: what it reads there says nothing about the world.
    """
    frames = made.shape[1]
    true_read = np.stack([judge.read(e.future[:frames]) for e in episodes])
    made_read, best_read = (np.stack([judge.read(c) for c in clips]) for clips in (made, best))
    span = slice(judges.ACTED, judges.ACTED + made_read.shape[1])
    told = np.stack([e.actions[span] for e in episodes])
    shown = np.stack([lessons.visible(e.actions, e.poses[: len(e.actions) + 1])[span]
                      for e in episodes])  # fmt: skip
    on_truth = judges.agreement(true_read, told, shown)
    on_made = judges.agreement(made_read, told, shown)
    report.note("action.on_truth", on_truth)
    report.note("action.on_made", on_made)
    fit = [n for n in passed if on_truth[n]["accuracy"]]
    report.note("action.unjudged", [n for n in SPEC.names if n not in fit])
    for name in SPEC.names:
        figure = Figure.pooled(_pooled(made_read, told, shown, name), len(made))
        if figure is not None:
            kind = "accuracy" if name in fit else "unjudged_accuracy"
            report.figure(f"action.{kind}.{name}", figure)
        ceiling = Figure.pooled(_pooled(best_read, told, shown, name), len(made))
        if ceiling is not None:
            report.figure(f"action.codec_accuracy.{name}", ceiling)
        if name in fit:
            ratio = on_made[name]["accuracy"] / on_truth[name]["accuracy"]
            report.note(f"action.relative.{name}", round(ratio, 4))
            report.note(f"action.correlation.{name}", round(on_made[name]["correlation"], 4))
    on_both = (made_read, told, shown), (true_read, told, shown)
    relative = Figure.pooled(lambda clips: _relative(fit, *on_both, clips), len(made))
    if relative is not None:
        report.figure("action.relative.mean", relative)


def _pooled(
    read: np.ndarray, told: np.ndarray, shown: np.ndarray, name: str
) -> Callable[[np.ndarray], float | None]:
    return lambda clips: judges.agreement(read[clips], told[clips], shown[clips])[name]["accuracy"]


Readings = tuple[np.ndarray, np.ndarray, np.ndarray]
"""What was read, what was told, and what of it shows; each [N, F, A]."""


def _relative(names: list[str], made: Readings, true: Readings, clips: np.ndarray) -> float | None:
    """Accuracy over that on the truth, the mean over the channels that some of the clips push."""
    on_made, on_truth = (judges.agreement(*(x[clips] for x in part)) for part in (made, true))
    ratios = [
        on_made[n]["accuracy"] / on_truth[n]["accuracy"] for n in names if on_truth[n]["accuracy"]
    ]
    return float(np.mean(ratios)) if ratios else None


def _looks(
    judge: judges.InverseDynamics, episodes: list[Episode], made: np.ndarray, report: Report
) -> None:
    """The nine ways to look (left, none, right by up, none, down), frame by frame."""
    look = [SPEC.index("look_yaw"), SPEC.index("look_pitch")]
    hits, truth_hits = [], []
    for e, clip in zip(episodes, made, strict=True):
        read, true = judge.read(clip), judge.read(e.future[: len(clip)])
        span = slice(judges.ACTED, judges.ACTED + len(read))
        told = judges.levels(e.actions[span])[:, look]
        shown = lessons.visible(e.actions, e.poses[: len(e.actions) + 1])[span][:, look].all(1)
        for kept, values in ((hits, read), (truth_hits, true)):
            right = (judges.levels(values)[:, look] == told).all(1)
            kept.append(float(right[shown].mean()) if shown.any() else float("nan"))
    report.figure("action.look_9way.world", Figure.of(hits))
    report.figure("action.look_9way.truth", Figure.of(truth_hits))


def _stillness(world: World, episodes: list[Episode], made: np.ndarray, report: Report) -> None:
    """Nothing pressed: nothing moves, and a pushed rollout departs from the still one."""
    frames = made.shape[1]
    still = np.zeros((len(episodes), frames, SPEC.size), np.float32)
    rested, _ = play(world, starts(world, episodes), still)
    moved = np.array([metrics.motion(clip).mean() for clip in rested])
    pushed = np.array([metrics.motion(clip).mean() for clip in made])
    report.figure("action.still_motion", Figure.of(moved))
    report.figure("action.still_over_pushed_motion", Figure.of(moved / np.maximum(pushed, 1e-9)))
    apart = [metrics.psnr(a, b)[-1] for a, b in zip(rested, made, strict=True)]
    report.figure("action.psnr_to_still_run", Figure.of(apart, unit=" dB"))
    report.figure("action.departs", share(np.array(apart) < 25))
    report.side_by_side("action", made[:4], rested[:4], fps=world.info.fps, rows=4, scale=1)
