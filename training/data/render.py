"""Data step `render`: walks through Wilds, rendered once and kept as pixel shards.

Every shard is a function of its seed alone, so that rendering with more workers, or going on after
an interruption, gives the same data. Not here: what Wilds looks like, how walkers behave
(training.worlds.wilds), encoding.

Legend: N clips of a shard, F frames, A action channels, H W pixels.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.worker import end_with_parent
from helios_core.allocator import keep_freed_memory
from training.data import shards
from training.stages.context import StepContext
from training.trainer.draw import stream_seed
from training.trainer.progress import Progress

GOALS = 0.6
"""Share of an event's wordings that say what it leads to: most prompts say what is to be seen."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Clips of one length."""

    clips: int
    frames: int
    lively: bool = False
    """Walkers who hardly ever stand still (policies.LIVELY), in a world where more happens."""


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """What to render."""

    height: int
    width: int
    parts: tuple[Part, ...]
    seed: int = 1
    """Worlds of different seeds share nothing: held-out worlds take another one."""
    shard: int = 16
    """Clips per shard."""
    workers: int = 1
    """Processes that render, one CPU thread each."""
    graphs: bool = False
    """On CUDA: launch each picture's operations at once (training.graphed). There a shard of a
    hundred clips takes little longer than one of ten."""
    event_seconds: float = 10.0
    """Mean time between events (rain starts, night falls, ...) of a clip; 0 = none. Half of it in
    lively parts."""
    event_hold_seconds: float = 6.0
    """How long the caption of an event stays while it plays out."""
    policy_frames: int = 200
    """Frames after which each walker takes up another policy."""
    caption_seconds: float = 1.0
    """How often facts are looked at."""
    wordings: int = 5
    """Captions per state of facts."""


@dataclass(frozen=True)
class ShardJob:
    """One shard to render: all that a worker needs."""

    path: Path
    seed: int
    clips: int
    frames: int
    lively: bool


def render(config: RenderConfig, context: StepContext) -> dict[str, Any]:
    """Render what is missing; returns how much there is."""
    everything = list(jobs(config, context.rundir.path))
    missing = [job for job in everything if not job.path.exists()]
    frames = sum(job.clips * job.frames for job in everything)
    done = frames - sum(job.clips * job.frames for job in missing)
    progress = Progress(context.name, frames, start=done)
    for job in _finished(config, missing, str(context.device)):
        done += job.clips * job.frames
        progress.update(done)
    progress.close(f"{frames} frames")
    return {"frames": frames, "shards": len(everything)}


def jobs(config: RenderConfig, folder: Path) -> Iterator[ShardJob]:
    index = 0
    for part in config.parts:
        for first in range(0, part.clips, config.shard):
            seed = stream_seed("wilds", config.seed, index)
            clips = min(config.shard, part.clips - first)
            path = folder / f"{index:05d}.safetensors"
            yield ShardJob(path, seed, clips, part.frames, part.lively)
            index += 1


def _finished(config: RenderConfig, missing: list[ShardJob], device: str) -> Iterator[ShardJob]:
    """Jobs as they end, in this process or in several."""
    work = [(config, job, device) for job in missing]
    if config.workers < 2:
        keep_freed_memory()
        yield from map(_render_shard, work)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(config.workers, context, _begin_worker)
    try:
        for one in as_completed([pool.submit(_render_shard, row) for row in work]):
            yield one.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "a worker was killed, perhaps for want of memory: give fewer workers or smaller "
            "shards; what is rendered is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # once: a `with` would take that back


def _begin_worker() -> None:
    end_with_parent()
    torch.set_num_threads(1)
    keep_freed_memory()


def _render_shard(work: tuple[RenderConfig, ShardJob, str]) -> ShardJob:
    config, job, device = work
    shards.write(job.path, render_clips(config, job, device))
    return job


def world_seeds(job: ShardJob, rng: np.random.Generator) -> list[int]:
    """Which worlds a shard shows; the first that its stream draws."""
    return rng.integers(2**31, size=job.clips).tolist()


@torch.no_grad()
def render_clips(config: RenderConfig, job: ShardJob, device: str) -> shards.Clips:
    """The clips of one shard; frames stay on the device."""
    from training.worlds.wilds.policies import LIVELY, SHARES
    from training.worlds.wilds.spec import FPS, SPEC
    from training.worlds.wilds.world import Wilds

    rng = np.random.default_rng(job.seed)
    seeds = world_seeds(job, rng)
    wilds = Wilds(seeds, config.height, config.width, device, graphs=config.graphs)
    shape = (job.clips, job.frames, config.height, config.width, 3)
    frames = torch.empty(shape, dtype=torch.uint8, device=device)
    actions = torch.empty(job.clips, job.frames, SPEC.size)
    walk = Walk(config.policy_frames, LIVELY if job.lively else SHARES, rng)
    notes = Captions(config, FPS, job.clips, rng)
    between = config.event_seconds * FPS * (0.5 if job.lively else 1.0)
    for frame in range(job.frames):
        action = walk.act(wilds, frame)
        happening = _happen(wilds, between, rng)
        wilds.step(action)
        frames[:, frame], actions[:, frame] = wilds.render(), torch.from_numpy(action)
        notes.look(frame, wilds, happening)
    origin = {"world": "wilds", "seed": job.seed, "licence": "Apache-2.0"}
    info = shards.ClipInfo(fps=FPS, spec=SPEC, captions=notes.segments(), origin=origin)
    return shards.Clips(info, actions, frames=frames)


def _happen(wilds: Any, mean_frames: float, rng: np.random.Generator) -> list[str | None]:
    """Events begin at random moments, each clip by itself."""
    from training.worlds.wilds.events import EVENTS

    names = list(EVENTS)
    if mean_frames <= 0:
        return [None] * wilds.count
    chosen = [
        names[int(rng.integers(len(names)))] if rng.random() < 1 / mean_frames else None
        for _ in range(wilds.count)
    ]
    if any(chosen):
        wilds.event(chosen)
    return chosen


class Walk:
    """Actions of all clips: every few seconds each walker takes up another policy."""

    def __init__(self, frames: int, shares: Mapping[str, float], rng: np.random.Generator) -> None:
        self.frames, self.shares, self.rng = frames, shares, rng
        self.plan = np.zeros((0, 0, 0), np.float32)  # [N, policy frames, A]

    def act(self, wilds: Any, frame: int) -> np.ndarray:
        """[N, A] for this frame."""
        from training.worlds.wilds import episodes, policies

        if frame % self.frames == 0:
            aims = episodes.aims(wilds)
            self.plan, _ = policies.mix(self.rng, wilds.count, self.frames, aims, self.shares)
        return self.plan[:, frame % self.frames]


class Captions:
    """Segments of every clip: a new one when something begins, or when what is true has changed."""

    KEYS = ("biome", "time", "weather", "landmark", "landmark_side", "campfire_burns")

    def __init__(
        self, config: RenderConfig, fps: int, clips: int, rng: np.random.Generator
    ) -> None:
        self.rng, self.wordings = rng, config.wordings
        self.every = max(1, round(config.caption_seconds * fps))
        self.hold = round(config.event_hold_seconds * fps)
        self.known: list[tuple] = [()] * clips
        self.held = [0] * clips  # frame until which an event's caption stays
        self.lists: list[list[shards.Segment]] = [[] for _ in range(clips)]

    def look(self, frame: int, wilds: Any, happening: list[str | None]) -> None:
        from training.worlds.wilds.captions import caption

        if not any(happening) and frame % self.every:
            return
        for i, (row, event) in enumerate(zip(wilds.facts(), happening, strict=True)):
            now = tuple(row[k] for k in self.KEYS)
            if event:
                self._say(i, frame, partial(self._told, event, row))
                self.known[i], self.held[i] = (), frame + self.hold
            elif frame >= self.held[i] and now != self.known[i]:
                self._say(i, frame, lambda r=row: caption(r, self.rng))
                self.known[i] = now

    def _told(self, event: str, facts: dict[str, Any]) -> str:
        """What happens, or what it leads to, for a player may type either."""
        from training.worlds.wilds.captions import change_caption, goal_caption

        goal = self.rng.random() < GOALS
        return (goal_caption if goal else change_caption)(event, facts, self.rng)

    def _say(self, clip: int, frame: int, words: Callable[[], str]) -> None:
        texts = {words() for _ in range(self.wordings)}
        self.lists[clip].append(shards.Segment(frame, tuple(sorted(texts))))

    def segments(self) -> tuple[tuple[shards.Segment, ...], ...]:
        return tuple(tuple(row) for row in self.lists)
