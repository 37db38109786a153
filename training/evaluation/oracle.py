"""The truth to measure a world against: Wilds walked with known actions in held-out worlds.

An oracle episode has a past (a world is started from it) and a future (what really happens under
the actions). Seeds lie in a range that training never draws from. Not here: what a world makes of
the same actions (playing).

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
"""Seeds from here on are for evaluation alone."""
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
    seeds = [HELD_OUT_SEEDS + 1000 * config.seed + i for i in range(config.count)]
    wilds = Wilds(
        seeds,
        height,
        width,
        config=WildsConfig(biomes=config.biomes, weathers=config.weathers, hours=config.hours),
    )
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


def labelled_frames(
    config: OracleConfig, *, height: int, width: int, every: int = 1
) -> tuple[np.ndarray, np.ndarray, list[list[dict]]]:
    """Pictures [N, ceil(F / every), H, W, 3], actions [N, F, A] and the facts of each twentieth
    frame, to teach judges with. Their seeds are neither training's nor the oracle's."""
    seeds = [HELD_OUT_SEEDS // 2 + 1000 * config.seed + i for i in range(config.count)]
    wilds = Wilds(seeds, height, width)
    walks, _ = episodes.walks(wilds, seeds, episodes.Plan(frames=config.future, seed=config.seed))
    kept = range(0, config.future, every)
    pictures = np.empty((config.count, len(kept), height, width, 3), np.uint8)
    known: list[list[dict]] = [[] for _ in seeds]
    for t in range(config.future):
        wilds.step(walks[:, t])
        if t % every == 0:
            pictures[:, t // every] = wilds.render().cpu().numpy()
        if t % 20 == 0:
            for row, facts in zip(known, wilds.facts(), strict=True):
                row.append(facts)
    return pictures, walks, known
