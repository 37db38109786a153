"""The past of a session: every chunk of the current line of play can be shown again.

The newest chunks stay in memory as states and latents (states share storage, so a chunk costs one
latent group); older ones go to disk as a starting state with the plan that followed, and are
generated again, bit for bit, when a rewind reaches them. Memory is constant; the disk is bounded,
and beyond the bound the oldest chunks are forgotten. A rewind that is released cuts the line
there. Chunks have serial numbers along the line, without gaps.

    store = RewindStore(world, RewindConfig())
    serial = store.remember(chunk)
    again = store.at(serial)      # the same frames
"""

import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.chunk import Chunk, FrameId
from engine.director import plan_of, shot_of
from engine.maker import generate
from engine.overlays import OverlayTrack
from engine.tape import Record, Tape
from helios_core.world_api import World

NO_FRAMES = np.zeros((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class RewindConfig:
    """How much of the past is kept where."""

    memory_seconds: float = 60.0
    """World time kept in memory."""
    disk_bytes: int = 2 << 30
    """The most that older chunks take on disk."""
    reels: int = 16
    """Files that the disk part is split into; the oldest goes when the bound is reached."""
    folder: Path | None = None
    """Where the files lie; None for the system's temporary folder."""


class _Reel(NamedTuple):
    """A part of the past on disk."""

    tape: Tape
    first: int
    """Serial number of its first chunk."""


class RewindStore:
    """Chunks by serial number. `remember` and `forget_from` are for the loop's thread; `settle`
    and `at` for the producer's."""

    def __init__(self, world: World, config: RewindConfig) -> None:
        self._world = world
        self._config = config
        info = world.info
        self._most = max(1, round(config.memory_seconds * info.fps / info.chunk_frames))
        self._recent: deque[Chunk] = deque()
        self._reels: deque[_Reel] = deque()
        self._over: deque[Tape] = deque()
        """Forgotten reels. A system takes its time to free a large file: `settle` closes them."""
        self._cursor: tuple[int, int] | None = None
        """The chunk on disk that was looked for last, and where it begins on its tape."""
        self._named: Mapping[str, Any] = {}
        """What the newest chunk on disk knew by name, for all of them: older ones knew less."""
        self._spilled = 0
        self._lost = 0
        self._lock = threading.Lock()
        self.problem = ""
        """Why the past on disk was lost, if it was."""

    @property
    def end(self) -> int:
        """Serial number of the next chunk to be remembered."""
        with self._lock:
            return self._spilled + len(self._recent)

    @property
    def begin(self) -> int:
        """Serial number of the oldest chunk that is still known."""
        return self._lost

    @property
    def disk_bytes(self) -> int:
        return sum(reel.tape.end for reel in self._reels)

    def remember(self, chunk: Chunk) -> int:
        """Keep a chunk that is being presented; returns its serial number."""
        with self._lock:
            self._recent.append(replace(chunk, frames=NO_FRAMES))
            return self._spilled + len(self._recent) - 1

    def settle(self) -> None:
        """Move what is older than the memory's share to disk; called in idle time."""
        if self._over:
            self._over.popleft().close()
        while True:
            with self._lock:
                if len(self._recent) <= self._most:
                    return
                oldest, serial = self._recent[0], self._spilled
            header, body = _pack(self._world, oldest)
            with self._lock:
                if self._recent and self._recent[0] is oldest and serial == self._spilled:
                    self._spill(header, body)

    def at(self, serial: int) -> Chunk | None:
        """A chunk of the past with its frames; None if it is forgotten or was never."""
        with self._lock:
            position = serial - self._spilled
            if 0 <= position < len(self._recent):
                chunk = self._recent[position]
            elif self._lost <= serial < self._spilled:
                chunk = None
                record = self._read(serial)
            else:
                return None
        if chunk is None:
            chunk = _unpack(self._world, record)
            return replace(chunk, named=self._named, named_before=self._named)
        return replace(chunk, frames=self._world.decode(chunk.state_after, chunk.latents))

    def last_frame(self, serial: int) -> FrameId | None:
        """The name of a chunk's last frame, without making the chunk again."""
        with self._lock:
            position = serial - self._spilled
            if 0 <= position < len(self._recent):
                chunk = self._recent[position]
                return FrameId(chunk.branch, chunk.index, len(chunk.applied) - 1)
            if self._lost <= serial < self._spilled:
                head = self._read(serial).header
                return FrameId(head["branch"], head["index"], head["shape"][0] - 1)
            return None

    def forget_from(self, serial: int) -> None:
        """Cut the line: this chunk and all later ones are gone."""
        with self._lock:
            while self._recent and self._spilled + len(self._recent) > serial:
                self._recent.pop()
            if serial >= self._spilled:
                return
            serial = max(serial, self._lost)
            if serial < self._spilled:
                tape, start = self._seek(serial)
                while self._reels[-1].tape is not tape:
                    self._over.append(self._reels.pop().tape)
                tape.truncate(start)
            self._spilled, self._cursor = serial, None

    def close(self) -> None:
        for tape in (*self._over, *(reel.tape for reel in self._reels)):
            tape.close()

    def _spill(self, header: dict[str, Any], body: bytes) -> None:
        """Move the oldest chunk of the memory to disk; a full disk costs the older past."""
        self._named = self._recent.popleft().named
        self._spilled += 1
        self._cursor = None
        try:
            self._reel().append(header, body)
        except OSError as error:
            self.problem = f"rewind reaches back {self._config.memory_seconds:g} s only: {error}"
            self._lost = self._spilled
            while self._reels:
                with suppress(OSError):  # a disk that fails once more has nothing left to lose
                    self._reels.pop().tape.close()

    def _reel(self) -> Tape:
        """The reel to append the chunk to that was just taken from memory; makes room by
        forgetting the oldest reel."""
        share = self._config.disk_bytes // self._config.reels
        if not self._reels or self._reels[-1].tape.end >= share:
            self._reels.append(_Reel(Tape(self._config.folder), self._spilled - 1))
        while len(self._reels) > self._config.reels:
            self._over.append(self._reels.popleft().tape)
            self._lost = self._reels[0].first
        return self._reels[-1].tape

    def _read(self, serial: int) -> Record:
        """The record of a spilled chunk."""
        tape, start = self._seek(serial)
        return tape.read(start)

    def _seek(self, serial: int) -> tuple[Tape, int]:
        """The tape of a spilled chunk and where it begins there; walks backward from the last one
        that was looked for, or from the end of its reel, and reads no other chunk on the way."""
        number = max(n for n, reel in enumerate(self._reels) if reel.first <= serial)
        reel, last = self._reels[number], number + 1 == len(self._reels)
        after = self._spilled if last else self._reels[number + 1].first
        known, start = self._cursor or (after, 0)
        if not serial <= known < after:
            known, start = after, reel.tape.end
        while known > serial:
            known, start = known - 1, reel.tape.back(start)
        self._cursor = known, start
        return reel.tape, start


def _pack(world: World, chunk: Chunk) -> tuple[dict[str, Any], bytes]:
    """A chunk as what it started from and what was asked."""
    plan = chunk.plan
    header = {
        "index": chunk.index,
        "branch": chunk.branch,
        "generation": chunk.generation,
        "latch_time": chunk.latch_time,
        **shot_of(plan),
        "events": list(plan.events),
        "director": [chunk.director_before, chunk.director_after],
        "overlays": [chunk.overlays_before.to_json(), chunk.overlays.to_json()],
        "shape": list(plan.applied.shape),
    }
    arrays = np.stack([chunk.requested, plan.applied]).astype(np.float32)
    return header, arrays.tobytes() + world.save_state(chunk.state_before)


def _unpack(world: World, record: Record) -> Chunk:
    """The chunk made again, without the effects that it had set off."""
    head, shape = record.header, tuple(record.header["shape"])
    size = 2 * 4 * shape[0] * shape[1]
    arrays = np.frombuffer(record.body[:size], np.float32).reshape(2, *shape)
    plan = plan_of(head, arrays[1], events=tuple(head["events"]))
    before = world.load_state(record.body[size:])
    after, latents = generate(world, before, plan)
    over_before, over = map(OverlayTrack.from_json, head["overlays"])
    return Chunk(
        index=head["index"],
        branch=head["branch"],
        generation=head["generation"],
        frames=world.decode(after, latents),
        requested=arrays[0],
        plan=plan,
        latch_time=head["latch_time"],
        state_before=before,
        state_after=after,
        latents=latents,
        director_before=head["director"][0],
        director_after=head["director"][1],
        overlays=over,
        overlays_before=over_before,
    )
