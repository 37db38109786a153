"""Revisit: turn away and back, walk away and back; is it still the same place?

Turns by 90, 180 and 360 degrees at 6 degrees a frame, and walks of 61 and 250 frames, against the
first view and against the oracle. A revisit counts only if the action judge finds the way out taken
and the view half-way round was unlike the first (PSNR below 14): a world that does not turn
remembers everything, and one that turns the wrong way has not forgotten. Where the judge failed its
exam in the pushed channel, nobody can say that the way was taken, and nothing counts.
"""

from dataclasses import dataclass

import numpy as np

from helios_core.world_api import World
from training.evaluation import judges, lessons, metrics
from training.evaluation.oracle import OracleConfig, oracle_episodes
from training.evaluation.playing import continue_past
from training.evaluation.report import Report
from training.evaluation.statistics import Figure, share
from training.worlds.wilds.spec import FPS, SPEC

TURN = 6.0
"""Degrees a frame."""
UNLIKE = 14.0
"""Decibels below which the half-way view is another view."""
OBEYED = 0.7
"""Share of the frames on the way out that the action judge must find obeyed."""


@dataclass(frozen=True, kw_only=True)
class RevisitConfig:
    """How much is measured."""

    clips: int = 16
    past: int = 80
    """Frames of the truth that the world sees first, as long as its memory."""
    seed: int = 4


def turn(degrees: float) -> np.ndarray:
    """Actions [F, A]: right by so many degrees and back."""
    there = round(degrees / TURN)
    values = SPEC.zeros(2 * there + 1)
    values[:there, SPEC.index("look_yaw")] = TURN * FPS
    values[there : 2 * there, SPEC.index("look_yaw")] = -TURN * FPS
    return values


def walk(frames: int) -> np.ndarray:
    """Actions [F, A]: forwards and back again."""
    there = (frames - 1) // 2
    values = SPEC.zeros(2 * there + 1)
    values[:there, SPEC.index("move_forward")] = 1.0
    values[there : 2 * there, SPEC.index("move_forward")] = -1.0
    return values


PATHS = {
    "turn-90": turn(90),
    "turn-180": turn(180),
    "turn-360": np.concatenate([turn(180)[:30], turn(180)[:30], SPEC.zeros(1)]),
    "walk-61": walk(61),
    "walk-250": walk(250),
}


def run(world: World, config: RevisitConfig, report: Report) -> None:
    judge, exam = judges.inverse_dynamics(height=world.info.height, width=world.info.width)
    report.note("revisit.judge", exam)
    for name, path in PATHS.items():
        if pushed_channel(path) in exam["judges"]:
            _path(world, judge, name, path, config, report)
            continue
        report.note(f"revisit.{name}", "not judged")
        print(f"  revisit.{name} is not judged: the action judge failed its exam in "
              f"{pushed_channel(path)}, so none can say that the way out was taken")  # fmt: skip


def pushed_channel(path: np.ndarray) -> str:
    """The channel that a path [F, A] goes by."""
    return SPEC.names[int((path != 0).sum(0).argmax())]


def _went(judge: judges.InverseDynamics, path: np.ndarray, out: np.ndarray) -> bool:
    """The way out was taken as told: most frames are read as the pushed channel's direction."""
    read = judges.levels(judge.read(out))
    told = judges.levels(path[judges.ACTED : judges.ACTED + len(read)])
    pushed = SPEC.index(pushed_channel(path))
    asked = told[:, pushed] != 0
    return bool((read[asked, pushed] == told[asked, pushed]).mean() >= OBEYED)


def _path(
    world: World,
    judge: judges.InverseDynamics,
    name: str,
    path: np.ndarray,
    config: RevisitConfig,
    report: Report,
) -> None:
    info = world.info
    chunk = info.chunk_frames
    padded = np.concatenate([path, SPEC.zeros(-len(path) % chunk)])
    oracle = OracleConfig(
        count=config.clips,
        past=config.past,
        future=len(padded),
        seed=config.seed,
        weathers=lessons.fair(config.clips),
    )
    episodes = oracle_episodes(
        oracle,
        height=info.height,
        width=info.width,
        actions=lambda rng, n, frames: np.repeat(padded[None], n, 0),
    )
    made = continue_past(world, episodes)
    first = np.stack([e.past[-1] for e in episodes])
    back = len(path) - 1
    half = back // 2 - 1  # the last frame of the way out
    midway = metrics.psnr(first, made[:, half])
    returned = metrics.psnr(first, made[:, back])
    truth = metrics.psnr(np.stack([e.future[back] for e in episodes]), made[:, back])
    true_return = metrics.psnr(first, np.stack([e.future[back] for e in episodes]))
    went = np.array([_went(judge, path, clip[: half + 1]) for clip in made])
    report.figure(f"revisit.{name}.went", share(went))
    counts = (midway < UNLIKE) & went
    report.figure(f"revisit.{name}.counts", share(counts))
    report.figure(f"revisit.{name}.midway", Figure.of(midway, unit=" dB"))
    likeness = {"to_first": returned, "to_oracle": truth, "oracle_to_first": true_return}
    _returns(name, counts, likeness, report)
    rows = np.concatenate([first[:8], made[:8, half], made[:8, back]])
    report.sheet(f"revisit-{name}", rows, columns=len(first[:8]))


def _returns(
    name: str, counts: np.ndarray, likeness: dict[str, np.ndarray], report: Report
) -> None:
    """Figures of the revisits that count."""
    if not counts.any():
        return
    for what, decibels in likeness.items():
        counted = np.where(counts, decibels, np.nan)
        report.figure(f"revisit.{name}.{what}", Figure.of(counted, unit=" dB"))
