"""Reads datasets of rollouts: episodes, windows of them, and an endless stream of random windows.

Opens what `RolloutWriter` published and also a journal that is being written or that a killed
process left, both as of the moment of opening. Decodes only what is asked for; open files and
tables are bounded. Not here: augmentation, batching (training).

    data = RolloutDataset.open("runs/first")
    for window in data.windows(24, seed=0): ...

F frames of a window, H W pixels, A action channels.
"""

import json
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.rollouts.journal import HEADER, JournalView, read_journal
from engine.rollouts.latents import read_latents, unpacked
from engine.rollouts.layout import Layout, Part, read_record
from engine.rollouts.publish import read_tasks
from engine.rollouts.record import EpisodeHeader
from engine.rollouts.video import VideoReader, copy_packets

OPEN_VIDEOS, OPEN_TABLES, CACHED_EPISODES = 16, 16, 64


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode, as the metadata tells it."""

    index: int
    length: int
    """Frames."""
    header: EpisodeHeader
    """Prompt, seed, parent, source and further facts."""
    tasks: tuple[str, ...]
    """Every prompt that was in force."""
    complete: bool
    """False if a crash cut it off, or it is still being written."""
    has_state: bool
    part: int
    row: int
    """Its first frame's number in the part's video."""
    row_group: int
    """Its place in the part's parquet file."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Consecutive frames of one episode with everything that belongs to them."""

    episode: int
    start: int
    frames: np.ndarray
    """uint8 [F, H, W, 3]."""
    applied: np.ndarray
    """float32 [F, A]: what the world was told."""
    requested: np.ndarray
    """float32 [F, A]: what the player asked for."""
    prompts: tuple[str, ...]
    """The prompt in force at each frame."""
    extras: dict[str, np.ndarray]
    """The dataset's extra columns, [F] or [F, size]."""


class RolloutDataset:
    """A dataset open for reading; safe to share between threads, reopened when pickled."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self.root = root
        self._layout = Layout(root)
        journal = _live_journal(self._layout)
        self.spec, parts = read_record(self._layout)
        self._tasks = list(read_tasks(self._layout))
        if parts and not self._tasks:
            raise ValueError(f"{self._layout.tasks} is missing: the copy is not whole")
        published = journal is not None and any(p.number == journal.part for p in parts)
        self._journal = None if published else journal
        episodes = [e for p in parts for e in self._published(p)]
        self.episodes: tuple[Episode, ...] = (*episodes, *_journaled(self._journal))
        self._journal_copy: Any = None
        self._videos = _Recent(self._open_video, OPEN_VIDEOS)
        self._tables = _Recent(lambda n: pq.ParquetFile(self._layout.data(n)), OPEN_TABLES)
        self._rows = _Recent(self._load_rows, CACHED_EPISODES)

    @staticmethod
    def open(root: str | Path) -> "RolloutDataset":
        """A ValueError if the folder is no recording."""
        return RolloutDataset(Path(root))

    def __reduce__(self) -> tuple:
        return RolloutDataset.open, (self.root,)

    @property
    def frames(self) -> int:
        """Frames of all episodes."""
        return sum(e.length for e in self.episodes)

    def read(self, episode: int, start: int = 0, frames: int | None = None) -> Window:
        """Frames `start` to `start + frames` of an episode; the rest of it if None."""
        info = self._episode(episode)
        count = info.length - start if frames is None else frames
        if start < 0 or count < 1 or start + count > info.length:
            raise ValueError(
                f"episode {episode} has {info.length} frames; {start} to {start + count} are not "
                "all in it"
            )
        part = slice(start, start + count)
        rows = self._rows(episode)
        none = np.zeros((count, 0), np.float32)
        return Window(
            episode=episode,
            start=start,
            frames=self._videos(info.part).read(info.row + start, count),
            applied=rows["action"][part] if "action" in rows else none,
            requested=rows["action.requested"][part] if "action.requested" in rows else none,
            prompts=tuple(rows["prompt"][part].tolist()),
            extras={c.name: rows[c.name][part] for c in self.spec.extras},
        )

    def columns(self, episode: int) -> dict[str, np.ndarray]:
        """Every logged column of an episode, [F] or [F, size], and its `prompt` per frame.
        Actions are [F, A] whatever their number."""
        self._episode(episode)
        return dict(self._rows(episode))

    def state(self, episode: int) -> bytes | None:
        """The world's state at the episode's first chunk, as `World.load_state` takes it."""
        info = self._episode(episode)
        if not info.has_state:
            return None
        if self._journal is not None and info.part == self._journal.part:
            path = next(e.state for e in self._journal.episodes if e.index == episode)
            assert path is not None, "an episode that has a state has its file"
            with suppress(FileNotFoundError):  # the part was published since
                return path.read_bytes()
        table = pq.read_table(
            self._layout.states(info.part), filters=[("episode_index", "==", episode)]
        )
        return table["state"][0].as_py()

    def latents(self, episode: int) -> dict[int, np.ndarray]:
        """Chunk number to its latents, float32 [C, T, h, w], as `World.decode` takes them."""
        info, shape = self._episode(episode), self.spec.latents
        if shape is None:
            raise ValueError(f"{self.root} was recorded without latents")
        if self._journal is None or info.part != self._journal.part:
            return read_latents(self._layout.latents(info.part), episode, shape)
        try:
            return unpacked(self._journal.latents(), episode, shape)
        except FileNotFoundError:  # the part was published since, maybe with more chunks
            found = read_latents(self._layout.latents(info.part), episode, shape)
            return {k: found[k] for k in np.unique(self._rows(episode)["chunk"]).tolist()}

    def windows(
        self,
        frames: int,
        *,
        seed: int = 0,
        start: int = 0,
        shard: tuple[int, int] = (0, 1),
        episodes: Sequence[int] | None = None,
    ) -> "WindowStream":
        """Random windows for ever, every position equally likely. See `WindowStream`."""
        chosen = self.episodes if episodes is None else [self._episode(e) for e in episodes]
        return WindowStream(self, frames, chosen, seed=seed, position=start, shard=shard)

    def _episode(self, index: int) -> Episode:
        if not 0 <= index < len(self.episodes):
            raise ValueError(f"no episode {index}; this dataset has {len(self.episodes)}")
        return self.episodes[index]

    def _published(self, part: Part) -> Iterator[Episode]:
        row = 0
        table = pq.read_table(self._layout.episodes(part.number))
        for group, e in enumerate(table.to_pylist()):
            parent = (e["parent_episode"], e["parent_frame"])
            yield Episode(
                index=e["episode_index"],
                length=e["length"],
                header=EpisodeHeader(
                    prompt=e["prompt"],
                    seed=e["seed"],
                    parent=None if parent[0] < 0 else parent,
                    source=json.loads(e["source"]),
                    extra=json.loads(e["extra"]),
                ),
                tasks=tuple(e["tasks"]),
                complete=e["complete"],
                has_state=e["has_state"],
                part=part.number,
                row=row,
                row_group=group,
            )
            row += e["length"]

    def _open_video(self, part: int) -> VideoReader:
        """A journal's video has no index, so a copy with one is made beside the system's files."""
        journal = self._journal
        if journal is None or part != journal.part:
            return VideoReader(self._layout.video(part), fps=self.spec.fps)
        self._journal_copy = tempfile.TemporaryDirectory(prefix="helios-journal-")
        path = Path(self._journal_copy.name) / "video.mp4"
        try:
            copy_packets([(journal.video, journal.rows.num_rows)], path)
        except FileNotFoundError:  # the part was published since; its first frames are the same
            path = self._layout.video(part)
        return VideoReader(path, fps=self.spec.fps)

    def _load_rows(self, episode: int) -> dict[str, np.ndarray]:
        info = self.episodes[episode]
        if self._journal is not None and info.part == self._journal.part:
            table = self._journal.rows.slice(info.row, info.length)
            prompts = table["journal.prompt"].to_pylist()
        else:
            table = self._tables(info.part).read_row_group(info.row_group)
            prompts = [self._tasks[i] for i in table["task_index"].to_pylist()]
        rows = {c.name: _numpy(table[c.name], c.size) for c in self.spec.columns}
        for name in ("action", "action.requested"):
            if name in rows:  # a row of channels, even where there is one
                rows[name] = rows[name].reshape(-1, self.spec.actions.size)
        rows["prompt"] = np.array(prompts, object)
        for array in rows.values():
            array.flags.writeable = False
        return rows


class WindowStream(Iterator[Window]):
    """An endless iterator whose only state is `position`: reopen with it and it goes on exactly.

    Window i depends on (seed, i) alone. With `shard=(k, n)` process k of n sees every n-th window.
    """

    def __init__(
        self,
        data: RolloutDataset,
        frames: int,
        episodes: Sequence[Episode],
        *,
        seed: int,
        position: int,
        shard: tuple[int, int],
    ) -> None:
        self._data, self._frames, self._seed, self._shard = data, frames, seed, shard
        self._episodes = [e for e in episodes if e.length >= frames]
        if not self._episodes:
            longest = max((e.length for e in episodes), default=0)
            raise ValueError(f"no episode has {frames} frames; the longest has {longest}")
        self._ends = np.cumsum([e.length - frames + 1 for e in self._episodes])
        self.position = position
        """Windows of this shard already given."""

    def draw(self, position: int) -> tuple[int, int]:
        """(episode, first frame) of a window, without reading it."""
        rank, world = self._shard
        key = [self._seed % 2**64, position * world + rank]
        place = int(np.random.Generator(np.random.Philox(key=key)).integers(self._ends[-1]))
        k = int(np.searchsorted(self._ends, place, side="right"))
        return self._episodes[k].index, place - (int(self._ends[k - 1]) if k else 0)

    def __next__(self) -> Window:
        episode, start = self.draw(self.position)
        window = self._data.read(episode, start, self._frames)
        self.position += 1
        return window


Value = TypeVar("Value")


class _Recent(Generic[Value]):
    """Calls a function once per key and keeps the most recent results."""

    def __init__(self, make: Callable[[int], Value], keep: int) -> None:
        self._make, self._keep = make, keep
        self._kept: OrderedDict[int, Value] = OrderedDict()
        self._busy = threading.RLock()

    def __call__(self, key: int) -> Value:
        with self._busy:
            if key not in self._kept:
                self._kept[key] = self._make(key)
            self._kept.move_to_end(key)
            if len(self._kept) > self._keep:
                self._kept.popitem(last=False)
            return self._kept[key]


def _numpy(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """[F] or [F, size]."""
    if size == 1:
        return np.array(column.to_numpy())
    joined = pa.concat_arrays(column.chunks)
    return np.array(joined.flatten().to_numpy(zero_copy_only=False).reshape(-1, size))


def _live_journal(layout: Layout) -> JournalView | None:
    """The journal; None too if its writer removes it while it is read, the header first. The
    record must be read after it, so that what was published in between is found there."""
    try:
        return read_journal(layout.journal)
    except FileNotFoundError:
        if (layout.journal / HEADER).exists():
            raise
        return None


def _journaled(view: JournalView | None) -> Iterator[Episode]:
    if view is None:
        return
    prompts = view.rows["journal.prompt"].to_pylist()
    for e in view.episodes:
        yield Episode(
            index=e.index,
            length=e.length,
            header=e.header,
            tasks=tuple(dict.fromkeys(prompts[e.first_row : e.first_row + e.length])),
            complete=e.ended,
            has_state=e.state is not None,
            part=view.part,
            row=e.first_row,
            row_group=-1,
        )
