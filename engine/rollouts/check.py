"""Is a dataset whole? Counts, numbers, videos and states of every part, without changing anything.

for problem in check(Path("runs/first")): print(problem)
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from av.error import FFmpegError

from engine.rollouts.layout import Layout, Part, read_record
from engine.rollouts.reader import Episode, RolloutDataset


def check(
    root: Path, *, on_part: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[str]:
    """A sentence per problem; nothing if the dataset is whole."""
    layout = Layout(root)
    _, parts = read_record(layout)
    if layout.journal.exists():
        yield "a recording is going on or was interrupted; after a crash, repair it"
    try:
        data = RolloutDataset.open(root)
    except (OSError, ValueError) as error:
        yield f"the episodes cannot be read: {error}"
        return
    first_frame = 0
    for i, part in enumerate(parts):
        episodes = [e for e in data.episodes if e.part == part.number]
        for problem in _check_part(data, part, episodes, first_frame):
            yield f"part {part.number}: {problem}"
        first_frame += part.frames
        on_part(i + 1, len(parts))


def _check_part(
    data: RolloutDataset, part: Part, episodes: list[Episode], first_frame: int
) -> Iterator[str]:
    layout = Layout(data.root)
    if len(episodes) != part.episodes or sum(e.length for e in episodes) != part.frames:
        yield f"{part.episodes} episodes of {part.frames} frames are listed, others are there"
        return
    try:
        table = pq.read_table(layout.data(part.number), columns=["index", "frame_index"])
    except (OSError, ValueError) as error:
        yield f"its rows cannot be read: {error}"
        return
    if not np.array_equal(table["index"].to_numpy(), np.arange(part.frames) + first_frame):
        yield "its frames are not numbered in order"
    numbers = np.concatenate([np.arange(e.length) for e in episodes])
    if not np.array_equal(table["frame_index"].to_numpy(), numbers):
        yield "its episodes do not begin where they should"
    for episode in episodes:
        yield from _check_frames(data, episode)


def _check_frames(data: RolloutDataset, episode: Episode) -> Iterator[str]:
    """Every frame must decode, and what the episode refers to must be there."""
    name = f"episode {episode.index}"
    try:
        for start in range(0, episode.length, 64):
            data.read(episode.index, start, min(64, episode.length - start))
    except (OSError, ValueError, FFmpegError) as error:
        yield f"{name}: its video cannot be read: {error}"
    try:
        if episode.has_state and not data.state(episode.index):
            yield f"{name}: its start state is empty"
    except (OSError, ValueError, IndexError) as error:
        yield f"{name}: its start state cannot be read: {error}"
    if data.spec.latents:
        yield from _check_latents(data, episode)
    parent = episode.header.parent
    if parent is not None and not 0 <= parent[0] < len(data.episodes):
        yield f"{name}: its parent {parent[0]} is not in this dataset"


def _check_latents(data: RolloutDataset, episode: Episode) -> Iterator[str]:
    """Every chunk that has frames has its latents, and they are numbers."""
    name = f"episode {episode.index}"
    try:
        found = data.latents(episode.index)
    except (OSError, ValueError) as error:
        yield f"{name}: its latents cannot be read: {error}"
        return
    chunks = set(data.columns(episode.index)["chunk"].tolist())
    if missing := sorted(chunks - set(found)):
        yield f"{name}: {len(missing)} of {len(chunks)} chunks lack latents, the first {missing[0]}"
    if broken := sorted(k for k, latents in found.items() if not np.isfinite(latents).all()):
        yield f"{name}: the latents of chunk {broken[0]} are not numbers"
