"""The truth to measure a world against: Wilds walked with known actions in held-out worlds.

An oracle episode has a past (a world is started from it) and a future (what really happens under
the actions). Seeds come from a range of their own; training draws from all of 2^31, and no seed of
a shipped recipe is one of these (tested). Not here: what a world makes of the same actions
(playing).

    episodes = oracle_episodes(OracleConfig(count=16, future=64), height=64, width=96)

N episodes, F frames, A channels, H W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.worlds.wilds import captions, episodes
from training.worlds.wilds.phrases import HELD_OUT, TRAINING, Language
from training.worlds.wilds.world import Wilds, WildsConfig

HELD_OUT_SEEDS = 1_900_000_000
"""Seeds of evaluation count from here."""
Actions = Callable[[np.random.Generator, int, int], np.ndarray]
"""(rng, walkers, frames) to actions [N, T, A]."""


@dataclass(frozen=True, kw_only=True)
class OracleConfig:
    """Which truth to render."""

    count: int = 16
    """Worlds."""
    past: int = 80
    """Frames before the world takes over: as long as its memory."""
    future: int = 64
    """Frames that are compared."""
    seed: int = 0
    """Varies worlds and walks; 0 is the set that cards quote."""
    biomes: tuple[str, ...] | None = None
    """Biome of each world; None draws them."""
    weathers: tuple[str, ...] | None = None
    hours: tuple[float, ...] | None = None
    unseen_words: bool = False
    """Caption in phrasings that training never used."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One world: what was, what was done, what came of it."""

    seed: int
    caption: str
    past: np.ndarray
    """uint8 [P, H, W, 3]."""
    future: np.ndarray
    """uint8 [F, H, W, 3]; frame t is what action t led to."""
    actions: np.ndarray
    """float32 [F, A]."""
    poses: np.ndarray
    """float64 [F + 1, 6], from the last frame of the past on: x, z, feet, eye, yaw, pitch."""
    facts: dict
    """What is true at the last frame of the past."""


def oracle_episodes(
    config: OracleConfig, *, height: int, width: int, actions: Actions | None = None
) -> list[Episode]:
    """Render the truth; `actions` rules the future, a mixture of walkers if None."""
    seeds = _seeds(config)
    wilds = _wilds(config, seeds, height, width)
    before, after = _walks(wilds, seeds, config, actions)
    past, _ = _render(wilds, before)
    known, start = wilds.facts(), wilds.poses()
    future, poses = _render(wilds, after)
    language = HELD_OUT if config.unseen_words else TRAINING
    return [
        Episode(
            seed=seeds[i],
            caption=caption_of(known[i], seeds[i], language),
            past=past[i],
            future=future[i],
            actions=after[i],
            poses=np.concatenate([start[i : i + 1], poses[i]]),
            facts=known[i],
        )
        for i in range(config.count)
    ]


def _seeds(config: OracleConfig) -> list[int]:
    return [HELD_OUT_SEEDS + 1000 * config.seed + i for i in range(config.count)]


def _wilds(config: OracleConfig, seeds: Sequence[int], height: int, width: int) -> Wilds:
    choices = WildsConfig(biomes=config.biomes, weathers=config.weathers, hours=config.hours)
    return Wilds(seeds, height, width, config=choices)


def caption_of(facts: dict, seed: int, language: Language = TRAINING) -> str:
    """A true sentence, the same for the same seed."""
    return captions.caption(facts, np.random.default_rng([seed, 7]), language)


def _walks(
    wilds: Wilds, seeds: Sequence[int], config: OracleConfig, actions: Actions | None
) -> tuple[np.ndarray, np.ndarray]:
    """Actions of the past and of the future, [N, P, A] and [N, F, A]."""
    plan = episodes.Plan(frames=config.past + config.future, seed=config.seed)
    walks, _ = episodes.walks(wilds, seeds, plan)
    if actions is None:
        return walks[:, : config.past], walks[:, config.past :]
    rng = np.random.default_rng([config.seed, 11])
    return walks[:, : config.past], actions(rng, len(seeds), config.future)


def _render(wilds: Wilds, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [N, F, H, W, 3] and poses [N, F, 6] of a walk."""
    count, frames = actions.shape[:2]
    pictures = np.empty((count, frames, wilds.height, wilds.width, 3), np.uint8)
    poses = np.empty((count, frames, 6))
    for t in range(frames):
        wilds.step(actions[:, t])
        pictures[:, t] = wilds.render().cpu().numpy()
        poses[:, t] = wilds.poses()
    return pictures, poses


def stills(
    config: OracleConfig, actions: np.ndarray, at: Sequence[int], *, height: int, width: int
) -> np.ndarray:
    """The truth at a few frames of a long walk, [N, len(at), H, W, 3]; actions [N, F, A] follow
    the past of the same config's episodes."""
    seeds = _seeds(config)
    wilds = _wilds(config, seeds, height, width)
    before, _ = _walks(wilds, seeds, config, None)
    for t in range(config.past):
        wilds.step(before[:, t])
    wanted = {frame: k for k, frame in enumerate(at)}
    pictures = np.empty((config.count, len(at), height, width, 3), np.uint8)
    for t in range(actions.shape[1]):
        wilds.step(actions[:, t])
        if t in wanted:
            pictures[:, wanted[t]] = wilds.render().cpu().numpy()
    return pictures
