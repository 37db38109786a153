"""Records episodes into a dataset while someone plays, on a thread of its own.

`write` checks and queues a chunk; a thread encodes and stores it. A full queue makes `write` wait
and is counted; nothing is dropped in silence. A disk error stops the recording and shows in
`status`, and play goes on. Not here: what is recorded when (engine.recording), reading.

    writer = RolloutWriter.open("runs/first", spec)
    writer.begin_episode(prompt="a meadow", seed=7)
    writer.write(frames, requested, applied, prompt="a meadow", chunk=0)
    writer.end_episode()
    writer.close()

F frames of a chunk, H W pixels, A action channels.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.rollouts.journal import Journal, read_journal
from engine.rollouts.layout import Layout, read_record, write_record
from engine.rollouts.lock import FolderLock
from engine.rollouts.publish import publish_journal
from engine.rollouts.record import EpisodeHeader, PlanRecord, chunk_record
from engine.rollouts.repair import repair
from engine.rollouts.spec import RolloutSpec
from engine.rollouts.video import VideoConfig

PLAIN = PlanRecord()


@dataclass(frozen=True, kw_only=True)
class WriterConfig:
    """How a recording is stored."""

    queue_chunks: int = 64
    """Chunks that may wait for the encoder before `write` waits too."""
    part_bytes: int = 200_000_000
    """A part is published when its video has so many bytes, at the end of an episode."""
    video: VideoConfig = field(default_factory=VideoConfig)
    """Compression."""


@dataclass(frozen=True, kw_only=True)
class WriterStatus:
    """How a recording is going, for a HUD or a log."""

    error: str = ""
    """Why the recording stopped; empty while it goes on."""
    episodes: int = 0
    """Episodes begun and not empty."""
    frames: int = 0
    """Frames accepted."""
    chunks_stored: int = 0
    """Chunks that a kill can no longer take (but for the newest frame of the video)."""
    queued: int = 0
    """Chunks waiting for the encoder."""
    high_water: int = 0
    """The most that ever waited."""
    blocked_seconds: float = 0.0
    """Time that `write` had to wait for a full queue."""


class RolloutWriter:
    """One recording session; the folder is locked to it."""

    def __init__(self, root: Path, spec: RolloutSpec, config: WriterConfig) -> None:
        """Use `open`, which names what may go wrong."""
        self.root, self.spec, self.config = root, spec, config
        self._layout = Layout(root)
        root.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self._layout.lock)
        try:
            self._episode, self._part = self._join(spec)
        except BaseException:
            self._lock.release()
            raise
        self._journal: Journal | None = None
        self._header: tuple[EpisodeHeader, bytes | None] | None = None
        self._length, self._chunk = 0, -1
        self._closed = False
        self._status = WriterStatus()
        self._noting = threading.Lock()
        self._failure: Exception | None = None
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(config.queue_chunks)
        self._thread = threading.Thread(target=self._work, name="rollout-writer", daemon=True)
        self._thread.start()

    @staticmethod
    def open(
        root: str | Path, spec: RolloutSpec, *, config: WriterConfig | None = None
    ) -> "RolloutWriter":
        """Start a dataset or append to one; repairs what a killed recording left.

        Raises ValueError if the dataset has another spec or is being written, OSError if the
        folder cannot be written.
        """
        return RolloutWriter(Path(root), spec, config or WriterConfig())

    def begin_episode(
        self,
        *,
        prompt: str,
        seed: int,
        state: bytes | None = None,
        parent: tuple[int, int] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """The index that the episode will have; nothing is stored before its first chunk."""
        self._check_open()
        if self._header is not None:
            raise ValueError("an episode is already open; call end_episode first")
        header = EpisodeHeader(
            prompt=prompt, seed=int(seed), parent=parent, source=self.spec.source,
            extra=extra or {},
        )  # fmt: skip
        self._header, self._length = (header, state), 0
        return self._episode

    def write(
        self,
        frames: np.ndarray,
        requested: np.ndarray,
        applied: np.ndarray,
        *,
        prompt: str,
        chunk: int,
        prompt_weight: float = 1.0,
        latch_time: float = 0.0,
        age_ms: Sequence[float] | np.ndarray | None = None,
        events: Sequence[str] = (),
        offsets: Sequence[int] | None = None,
        plan: PlanRecord = PLAIN,
        extra: Mapping[str, Any] | None = None,
        latents: Any = None,
    ) -> None:
        """Queue one chunk (or the presented part of it); the arrays must not change afterwards.

        `offsets` are the places of the frames in their chunk where some were not presented.
        `latents` are those of the whole chunk, wanted where the spec keeps them.
        """
        self._check_open()
        if self._header is None:
            raise ValueError("no episode is open; call begin_episode first")
        header, state = self._header
        if self.spec.latents and latents is None:
            raise ValueError("this recording keeps latents, and a chunk came without")
        known = self._length > 0 and chunk == self._chunk  # the second part of a chunk
        record = chunk_record(
            self.spec, frames, requested, applied, seed=header.seed, prompt=prompt,
            prompt_weight=prompt_weight, chunk=chunk, latch_time=latch_time, events=events,
            age_ms=np.zeros(len(frames)) if age_ms is None else age_ms, offsets=offsets,
            plan=plan, extra=extra or {}, latents=None if known else latents,
        )  # fmt: skip
        self._chunk = chunk
        if self._length == 0:
            index = self._episode
            self._put(lambda: self._begin(index, header, state))
            self._note(episodes=self._status.episodes + 1)
        self._put(lambda: self._store(record))
        self._length += len(frames)
        self._note(frames=self._status.frames + len(frames))

    def end_episode(self) -> int:
        """Close the episode and return its index; one without frames is a ValueError."""
        self._check_open()
        if self._header is None:
            raise ValueError("no episode is open")
        if self._length == 0:
            raise ValueError("the episode has no frames; write some or call drop_episode")
        self._header = None
        self._put(self._end)
        self._episode += 1
        return self._episode - 1

    def drop_episode(self) -> None:
        """Forget an episode that was begun and has no frames."""
        if self._length:
            raise ValueError("the episode has frames; end it")
        self._header = None

    @property
    def episode_frames(self) -> int:
        """Frames written to the open episode."""
        return self._length if self._header is not None else 0

    @property
    def status(self) -> WriterStatus:
        return replace(self._status, queued=self._queue.qsize())

    @property
    def high_water(self) -> int:
        return self._status.high_water

    @property
    def error(self) -> str:
        """Why the recording stopped, or empty."""
        return self._status.error

    def close(self) -> None:
        """End the open episode, publish, and let go of the folder. Disk errors show in `error`."""
        if self._closed:
            return
        if self._header is not None:
            if self._length:
                self.end_episode()
            else:
                self.drop_episode()
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._lock.release()

    def raise_if_failed(self) -> None:
        """For tools that have nothing else to go on with."""
        if self.error:
            raise OSError(self.error) from self._failure

    def __enter__(self) -> "RolloutWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._header = None  # the open episode is kept as one that was cut off
        self.close()

    def _join(self, spec: RolloutSpec) -> tuple[int, int]:
        """The next episode and part numbers of the folder, made or repaired."""
        if not self._layout.record.exists():
            ours = (self._layout.lock.name, self._layout.record.name + ".tmp")
            if any(p.is_file() and p.name not in ours for p in self.root.rglob("*")):
                raise ValueError(f"{self.root} holds files that are no recording; choose another")
            write_record(self._layout, spec, [])
            return 0, 0
        stored, _ = read_record(self._layout)
        if differences := stored.differences(spec):
            raise ValueError(f"{self.root} cannot be appended to: {'; '.join(differences)}")
        repair(self._layout)
        _, parts = read_record(self._layout)
        number = parts[-1].number + 1 if parts else 0
        return sum(p.episodes for p in parts), number

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("this recording is closed")

    def _put(self, job: Callable[[], None]) -> None:
        """Hand a job to the thread, waiting if the queue is full."""
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            began = time.monotonic()
            self._queue.put(job)
            waited = time.monotonic() - began
            self._note(blocked_seconds=self._status.blocked_seconds + waited)
        self._note(high_water=max(self._status.high_water, self._queue.qsize()))

    def _note(self, **changes: Any) -> None:
        with self._noting:
            self._status = replace(self._status, **changes)

    def _work(self) -> None:
        """The thread: jobs in order; after an error they are taken and not done."""
        while (job := self._queue.get()) is not None:
            if not self.error:
                self._attempt(job)
        if not self.error:
            self._attempt(self._publish)
        if self._journal is not None:  # the recording failed: leave the journal for a repair
            self._attempt(self._journal.close)

    def _attempt(self, job: Callable[[], None]) -> None:
        """Do a job. What goes wrong, a full disk or a mistake of ours, ends the recording only."""
        try:
            job()
        except Exception as error:
            self._failure = self._failure or error
            what = str(error) if isinstance(error, OSError) else repr(error)
            self._note(error=self.error or f"recording to {self.root} stopped: {what}")

    def _begin(self, index: int, header: EpisodeHeader, state: bytes | None) -> None:
        if self._journal is None:
            self._journal = Journal(
                self._layout.journal, self.spec, part=self._part, video=self.config.video
            )
        self._journal.begin(index, header, state)

    def _store(self, record: Any) -> None:
        assert self._journal is not None
        self._journal.append(record)
        self._note(chunks_stored=self._status.chunks_stored + 1)

    def _end(self) -> None:
        assert self._journal is not None
        self._journal.end()
        if self._journal.stored > self.config.part_bytes:
            self._publish()

    def _publish(self) -> None:
        if self._journal is None:
            return
        self._journal.close()
        view = read_journal(self._layout.journal)
        assert view is not None and view.lost == 0, "a closed journal is whole"
        publish_journal(self._layout, view)
        self._journal, self._part = None, self._part + 1
