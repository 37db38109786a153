"""Clips for training: worlds, walkers with policies, events told by captions, rendered in order.

    for frame in run(seeds, frames=200, height=64, width=96): ...       # streams one frame of all N
    clip = record(seeds, frames=200, height=64, width=96)               # or all of it at once

Frame t is what action t led to. A caption holds from its frame until the next one of its world.
Deterministic in the seeds and the plan alone. Not here: files (training.clips).

N worlds, T frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from training.worlds.wilds import captions, events, objects, policies
from training.worlds.wilds.world import Wilds, WildsConfig


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A text that holds from a frame on."""

    frame: int
    text: str
    event: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How clips are made, besides their seeds."""

    frames: int = 200
    recaption_every: int = 100
    """Frames after which a new sentence describes what is true then."""
    event_holds: int = 120
    """Frames at least that the caption of an event holds while the event plays out."""
    event_share: float = 0.35
    """Share of clips in which something begins midway and the caption changes with it."""
    seed: int = 0
    """Varies the walks and words in the same worlds."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One frame of all worlds."""

    index: int
    frame: Tensor
    """uint8 [N, H, W, 3] on the worlds' device."""
    actions: np.ndarray
    """[N, A]"""
    poses: np.ndarray
    """[N, 6]"""
    captions: dict[int, Caption]
    """New captions by world."""


@dataclass(kw_only=True)
class Clip:
    """All frames of N worlds."""

    frames: np.ndarray
    """uint8 [N, T, H, W, 3]"""
    actions: np.ndarray
    """float32 [N, T, A]"""
    poses: np.ndarray
    """float64 [N, T, 6]"""
    policies: list[str]
    captions: list[list[Caption]] = field(default_factory=list)


def aims(wilds: Wilds) -> policies.Aims:
    """The nearest landmark of every world, from its present pose."""
    b = wilds.state.body
    sites = objects.sites(wilds.land, wilds.land.anchor(b.x, b.z), b.x, b.z, 1)
    d2 = torch.where(sites.which >= 0, sites.cells.dx**2 + sites.cells.dz**2, torch.inf)
    best, index = d2.min(1, keepdim=True)
    dx, dz = (torch.gather(t, 1, index)[:, 0] for t in (sites.cells.dx, sites.cells.dz))
    bearing = torch.rad2deg(torch.atan2(dx, dz) - b.yaw).cpu().numpy()
    away = best[:, 0].sqrt().cpu().numpy()
    known = np.isfinite(away)
    bearing = (bearing + 180) % 360 - 180
    return policies.Aims(
        bearing=np.where(known, bearing, np.nan), distance=np.where(known, away, np.nan)
    )


def walks(wilds: Wilds, seeds: Sequence[int], plan: Plan) -> tuple[np.ndarray, list[str]]:
    """Actions [N, T, A] and policy names; each world's depend on its own seed alone."""
    goal = aims(wilds)
    parts = []
    for i, seed in enumerate(seeds):
        one = policies.Aims(bearing=goal.bearing[i : i + 1], distance=goal.distance[i : i + 1])
        parts.append(policies.mix(np.random.default_rng([plan.seed, seed, 1]), 1, plan.frames, one))
    return np.concatenate([p[0] for p in parts]), [p[1][0] for p in parts]


def happenings(seeds: Sequence[int], plan: Plan) -> list[tuple[int, str] | None]:
    """For each world, the frame and the name of the event that begins in it, if one does."""
    out: list[tuple[int, str] | None] = []
    for seed in seeds:
        rng = np.random.default_rng([plan.seed, seed, 2])
        frame = int(rng.integers(plan.frames // 5, max(plan.frames // 5 + 1, plan.frames * 3 // 5)))
        name = str(rng.choice(list(events.EVENTS)))
        out.append((frame, name) if rng.random() < plan.event_share else None)
    return out


def run(
    seeds: Sequence[int],
    *,
    height: int,
    width: int,
    plan: Plan | None = None,
    device: str = "cpu",
    config: WildsConfig | None = None,
) -> Iterator[Moment]:
    """Plays and renders N worlds, one frame of all of them at a time."""
    plan = plan or Plan()
    wilds = Wilds(seeds, height, width, device, config)
    actions, _ = walks(wilds, seeds, plan)
    yield from play(wilds, seeds, actions, plan)


def play(wilds: Wilds, seeds: Sequence[int], actions: np.ndarray, plan: Plan) -> Iterator[Moment]:
    """Renders given worlds under given actions, with the plan's events and captions."""
    begins = happenings(seeds, plan)
    words = [np.random.default_rng([plan.seed, seed, 3]) for seed in seeds]
    due = np.zeros(len(seeds), int)
    for t in range(actions.shape[1]):
        now: list[str | None] = [b[1] if b and b[0] == t else None for b in begins]
        if any(now):
            wilds.event(now)
        wilds.step(actions[:, t])
        spoken: dict[int, Caption] = {}
        if any(now) or (due <= t).any():
            known = wilds.facts()
            for i, rng in enumerate(words):
                if name := now[i]:
                    text = captions.change_caption(name, known[i], rng)
                    spoken[i] = Caption(frame=t, text=text, event=name)
                    due[i] = t + max(plan.event_holds, plan.recaption_every)
                elif t >= due[i]:
                    spoken[i] = Caption(frame=t, text=captions.caption(known[i], rng))
                    due[i] = t + plan.recaption_every
        yield Moment(
            index=t,
            frame=wilds.render(),
            actions=actions[:, t],
            poses=wilds.poses(),
            captions=spoken,
        )


def record(
    seeds: Sequence[int],
    *,
    height: int,
    width: int,
    plan: Plan | None = None,
    device: str = "cpu",
    config: WildsConfig | None = None,
) -> Clip:
    """The same as `run`, gathered in arrays."""
    plan = plan or Plan()
    wilds = Wilds(seeds, height, width, device, config)
    actions, names = walks(wilds, seeds, plan)
    clip = Clip(
        frames=np.empty((len(seeds), plan.frames, height, width, 3), np.uint8),
        actions=actions,
        poses=np.empty((len(seeds), plan.frames, 6)),
        policies=names,
        captions=[[] for _ in seeds],
    )
    for moment in play(wilds, seeds, actions, plan):
        clip.frames[:, moment.index] = moment.frame.cpu().numpy()
        clip.poses[:, moment.index] = moment.poses
        for i, caption in moment.captions.items():
            clip.captions[i].append(caption)
    return clip
