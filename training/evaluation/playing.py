"""A world under known actions: many episodes at once, from the truth's past or from text.

    made = continue_past(world, episodes)          # [N, F, H, W, 3], free-running
    made = next_chunks(world, episodes)            # teacher-forced: each chunk from the truth

N episodes, F frames, A channels, H W pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from helios_core.world_api import World
from training.evaluation.oracle import Episode

BATCH = 16
"""Worlds in one forward pass."""


def starts(world: World, episodes: Sequence[Episode], *, seed: int = 0) -> list[Any]:
    """States that have just seen the past of each episode."""
    return [world.start(seed=seed + e.seed, prompt=e.caption, clip=e.past) for e in episodes]


def continue_past(world: World, episodes: Sequence[Episode], *, seed: int = 0) -> np.ndarray:
    """What the world makes of the future's actions, on its own pictures."""
    states = starts(world, episodes, seed=seed)
    actions = np.stack([e.actions for e in episodes])
    return play(world, states, actions)[0]


def play(
    world: World,
    states: Sequence[Any],
    actions: np.ndarray | None,
    *,
    frames: int = 0,
    prompts: Sequence[str | None] | None = None,
) -> tuple[np.ndarray, list[Any]]:
    """Frames [N, F, H, W, 3] and last states; actions [N, F, A], or None for `frames` of null.

    `prompts` are handed over with the first chunk.
    """
    chunk = world.info.chunk_frames
    length = frames if actions is None else actions.shape[1]
    pictures, done = [], []
    for first in range(0, len(states), BATCH):
        rows = slice(first, first + BATCH)
        part = None if actions is None else actions[rows]
        said = None if prompts is None else prompts[rows]
        made, after = _play_batch(world, states[rows], part, length, chunk, said)
        pictures.append(made)
        done += after
    return np.concatenate(pictures), done


def _play_batch(
    world: World,
    states: Sequence[Any],
    actions: np.ndarray | None,
    length: int,
    chunk: int,
    prompts: Sequence[str | None] | None,
) -> tuple[np.ndarray, list[Any]]:
    made, after = [], list(states)
    for start in range(0, length - chunk + 1, chunk):
        values = [
            None if actions is None else a[start : start + chunk] for a in _rows(actions, after)
        ]
        said = prompts if prompts is not None and start == 0 else [None] * len(after)
        after, latents = world.generate_batch(after, values, said)
        made.append(world.decode_batch(after, latents))
    return np.concatenate(made, 1), after


def _rows(actions: np.ndarray | None, states: Sequence[Any]) -> Sequence[Any]:
    return [None] * len(states) if actions is None else list(actions)


def next_chunks(
    world: World, episodes: Sequence[Episode], *, stride: int = 16, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Chunks that follow the truth at every `stride` frames: made and true, [M, F, H, W, 3]."""
    chunk = world.info.chunk_frames
    states, values, truth = [], [], []
    for e in episodes:
        seen = np.concatenate([e.past, e.future])
        for at in range(0, len(e.future) - chunk + 1, stride):
            clip = seen[at : at + len(e.past)]
            states.append(world.start(seed=seed + e.seed + at, prompt=e.caption, clip=clip))
            values.append(e.actions[at : at + chunk])
            truth.append(e.future[at : at + chunk])
    made, _ = play(world, states, np.stack(values))
    return made, np.stack(truth)
