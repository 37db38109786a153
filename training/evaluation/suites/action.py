"""Action: does the world do what it is told, channel by channel, and nothing when told nothing?

An inverse-dynamics judge reads actions off generated frames; its score there over its score on
true frames is the figure. Beside it: motion under no input, and how far a pushed rollout departs
from the still one.
"""

from dataclasses import dataclass

import numpy as np

from helios_core.world_api import World
from training.evaluation import judges, metrics
from training.evaluation.oracle import Episode, OracleConfig, oracle_episodes
from training.evaluation.playing import continue_past, play, starts
from training.evaluation.report import Report
from training.evaluation.statistics import Figure, share
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
    if info.spec != SPEC:
        raise ValueError(
            f"the action judge reads the channels of Wilds; {info.name} has "
            f"{', '.join(info.spec.names) or 'none'}"
        )
    judge, exam = judges.inverse_dynamics(height=info.height, width=info.width)
    report.note("action.judge", exam)
    oracle = OracleConfig(
        count=config.clips, past=config.past, future=config.frames, seed=config.seed
    )
    episodes = oracle_episodes(oracle, height=info.height, width=info.width, actions=pushes)
    made = continue_past(world, episodes)
    _channels(judge, episodes, made, report)
    _looks(judge, episodes, made, report)
    _stillness(world, episodes, made, report)


def pushes(rng: np.random.Generator, walkers: int, frames: int) -> np.ndarray:
    """Every channel pushed both ways for a second at a time, alone and together."""
    values = np.zeros((walkers, frames, SPEC.size), np.float32)
    for start in range(0, frames, 16):
        for i, channel in enumerate(SPEC.channels):
            if channel.unit:
                push = rng.choice([-0.4, -0.2, 0, 0.2, 0.4], walkers) * channel.scale
                push = push * (0.4 if channel.name == "look_pitch" else 1.0)
            elif channel.kind == "axis":
                push = rng.choice([-1.0, 0.0, 1.0], walkers)
            else:
                push = (rng.random(walkers) < 0.3).astype(np.float32)
            values[:, start : start + 16, i] = push[:, None]
    return values


def _channels(
    judge: judges.InverseDynamics, episodes: list[Episode], made: np.ndarray, report: Report
) -> None:
    """Balanced accuracy per key on generated frames, over the judge's own on the true ones."""
    frames = made.shape[1]
    true_read = np.stack([judge.read(e.future[:frames]) for e in episodes])
    made_read = np.stack([judge.read(clip) for clip in made])
    acted = np.stack(
        [e.actions[judges.ACTED : judges.ACTED + made_read.shape[1]] for e in episodes]
    )
    on_truth, on_made = judges.agreement(true_read, acted), judges.agreement(made_read, acted)
    report.note("action.on_truth", on_truth)
    for name in SPEC.names:
        per_clip = [
            judges.agreement(made_read[i : i + 1], acted[i : i + 1])[name]["accuracy"]
            for i in range(len(made))
        ]
        report.figure(f"action.accuracy.{name}", Figure.of(per_clip))
        ratio = on_made[name]["accuracy"] / max(on_truth[name]["accuracy"], 1e-9)
        report.note(f"action.relative.{name}", round(ratio, 4))
        report.note(f"action.correlation.{name}", round(on_made[name]["correlation"], 4))
    report.figure(
        "action.relative.mean",
        Figure.of([
            on_made[n]["accuracy"] / max(on_truth[n]["accuracy"], 1e-9) for n in SPEC.names
        ]),
    )  # fmt: skip


def _looks(
    judge: judges.InverseDynamics, episodes: list[Episode], made: np.ndarray, report: Report
) -> None:
    """The nine ways to look (left, none, right by up, none, down), frame by frame."""
    yaw, pitch = SPEC.index("look_yaw"), SPEC.index("look_pitch")

    def ways(values: np.ndarray) -> np.ndarray:
        level = [judges.level(values[:, i] / SPEC.channels[i].scale, "deg/s") for i in (yaw, pitch)]
        return level[0] * 3 + level[1]

    hits, truth_hits = [], []
    for e, clip in zip(episodes, made, strict=True):
        read = judge.read(clip)
        told = ways(e.actions[judges.ACTED : judges.ACTED + len(read)])
        hits.append(float((ways(read) == told).mean()))
        truth_hits.append(float((ways(judge.read(e.future[: len(clip)])) == told).mean()))
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
