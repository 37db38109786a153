"""Which frame is on the screen, and when the next one is due.

Frames have absolute deadlines: a late tick borrows from the next ones. One call moves at most
`CATCH_UP` frames; a debt beyond that (the window was dragged, the machine slept) is forgiven.
When the next chunk is not there in time, the policy decides (engine.latch). A playhead runs
forward in play and backward in a rewind. No clock and no thread here.

    moved = playhead.advance(now, take=producer.take)   # [(chunk, offset), ...]
"""

from collections.abc import Callable

from engine.chunk import Chunk
from engine.latch import Policy

CATCH_UP = 5
"""The substep cap: frames that one call may move."""
REWIND_SPEED = 2.0
"""Frames of the past per frame of play."""


class Playhead:
    """A place between frames, moved by time."""

    def __init__(self, *, chunk_frames: int, chunk_seconds: float, policy: Policy) -> None:
        self.chunk: Chunk | None = None
        self.offset = 0
        self.backward = False
        self.due: float | None = None
        """When the next frame is due; None until the first chunk comes."""
        self.starving = False
        """The next chunk is late."""
        self.underruns = 0
        self.dropped = 0
        """Frames that policy `drop` never showed."""
        self.late = 0.0
        """Seconds by which the newest frame moved after its deadline."""
        self._frames = chunk_frames
        self._policy = policy
        self._step = chunk_seconds / chunk_frames

    @property
    def next_chunk_due(self) -> float | None:
        """When the chunk after this one must be there."""
        if self.due is None:
            return None
        return self.due + (self._frames - 1 - self.offset) * self._step

    def stretch(self, chunk_seconds: float) -> None:
        """Play a chunk over so many seconds from the next frame on."""
        self._step = chunk_seconds / self._frames

    def advance(self, now: float, take: Callable[[], Chunk | None]) -> list[tuple[Chunk, int]]:
        """The frames that became due by `now`, in the order in which they are shown."""
        moved: list[tuple[Chunk, int]] = []
        while self.due is None or self.due <= now:
            if len(moved) == CATCH_UP:
                self.due = now + self._pace
                break
            if not self._move(now, take):
                break
            assert self.chunk is not None
            moved.append((self.chunk, self.offset))
        return moved

    def resume(self, now: float) -> None:
        """After a pause: the next frame is due one step from now."""
        if self.due is not None:
            self.due = now + self._pace

    def turn(self, now: float, *, backward: bool) -> None:
        """Run the other way from the frame on the screen."""
        self.backward = backward
        self.starving = False
        self.due = now + self._pace

    def leave(self) -> None:
        """The line of play ends; the frame on the screen stays until another chunk comes."""
        self.chunk, self.offset, self.due = None, 0, None
        self.backward = self.starving = False

    @property
    def _pace(self) -> float:
        return self._step / REWIND_SPEED if self.backward else self._step

    def _move(self, now: float, take: Callable[[], Chunk | None]) -> bool:
        """One frame on, into the next chunk if need be; False if that is not there."""
        if self.chunk is not None:
            beyond = self.offset - 1 if self.backward else self.offset + 1
            if 0 <= beyond < self._frames:
                assert self.due is not None
                self.late = now - self.due
                self.offset, self.due = beyond, self.due + self._pace
                return True
        chunk = take()
        if chunk is None:
            if not self.starving and self.chunk is not None and not self.backward:
                self.underruns += 1
            self.starving = self.chunk is not None
            return False
        self._enter(chunk, now)
        return True

    def _enter(self, chunk: Chunk, now: float) -> None:
        """Show a new chunk's first frame, or a later one if the policy drops the late ones."""
        due = now if self.due is None or self.starving else self.due
        first = 0
        if self._policy == "drop" and self.starving and self.due is not None:
            first = min(self._frames - 1, int((now - self.due) / self._step))
            self.dropped += first
            on_time = self.due + first * self._step
            due = on_time if now - on_time < self._step else now
        self.late = now - due
        self.chunk = chunk
        self.offset = self._frames - 1 if self.backward else first
        self.due = due + self._pace
        self.starving = False
