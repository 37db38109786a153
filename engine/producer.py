"""The thread that makes chunks: prepare, wait for the latch, latch, generate, hand over.

It runs beside the loop and shares with it one chunk at most. Resets, rewinds and loads raise the
generation: whatever was under way for an older one is thrown away and never shown. Pausing stops it
before the next latch. Where a device decodes beside its other work and the world cannot keep up
with its playing, a chunk is latched and its steps begin before the last one is decoded. What goes
wrong in it is kept in `failure` for the loop to show. Not here: which frame is on the screen
(engine.playhead) and what a chunk is made of (engine.maker).

    producer = Producer(maker, intake, store, timer, clock)
    producer.go_on(place); producer.start()
    chunk = producer.take()    # None while none is ready
"""

import threading
from math import inf
from typing import Any, NamedTuple

from engine.chunk import Chunk
from engine.clock import Clock, Task
from engine.intake import Intake
from engine.latch import LatchTimer
from engine.maker import Begun, ChunkMaker, Place
from engine.rewind import RewindStore


class _UnderWay(NamedTuple):
    """A chunk whose frames may still be in the making."""

    chunk: Begun
    generation: int
    prepare: float
    """Seconds before its latch."""
    latched: float


class Producer:
    """Chunks of the current generation, one at a time, each as late as can be."""

    def __init__(
        self,
        maker: ChunkMaker,
        intake: Intake,
        store: RewindStore,
        timer: LatchTimer,
        clock: Clock,
    ) -> None:
        self.timer = timer
        self.failure: BaseException | None = None
        self.generation = 0
        self.discarded = 0
        """Chunks that were made for an older generation."""
        self.next_latch: float | None = None
        """When the input will be latched, while the thread waits for that moment."""
        self._maker = maker
        self._intake = intake
        self._store = store
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: Chunk | None = None
        self._place: Place | None = None
        self._back_to: int | None = None
        self._due: float | None = None
        self._paused = False
        self._stopped = False
        self._task: Task | None = None
        self._under_way: _UnderWay | None = None
        self._offered = -inf

    # ---- the loop's side

    def start(self) -> None:
        self._task = self._clock.spawn(self._run, "producer")

    def stop(self) -> None:
        """End the thread; a chunk under way is finished and thrown away."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._task is not None:
            self._task.join()

    def go_on(self, place: Place) -> None:
        """Play on from a place; everything older is void."""
        self._next_generation(place=place, back_to=None)

    def go_back(self, serial: int) -> None:
        """Hand over the chunks of the past, from `serial` backward, until told to go on."""
        self._next_generation(place=None, back_to=serial)

    def pause(self, paused: bool) -> None:
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def take(self) -> Chunk | None:
        """The chunk that is ready, once."""
        with self._changed:
            chunk, self._ready = self._ready, None
            if chunk is not None:
                self._changed.notify_all()
            return chunk

    def expect(self, due: float | None) -> None:
        """The chunk in the making is to be there at `due`; None for as soon as can be."""
        with self._changed:
            self._due = due
            self._changed.notify_all()

    def wait_ready(self, until: float) -> None:
        """Return when a chunk is ready, something failed, or time is up."""
        with self._changed:
            self._clock.wait_for(
                self._changed, lambda: self._ready is not None or self.failure is not None, until
            )

    def _next_generation(self, *, place: Place | None, back_to: int | None) -> None:
        with self._changed:
            self.generation += 1
            self._place, self._back_to = place, back_to
            self._ready = self._due = None
            self._changed.notify_all()

    # ---- the thread's side

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._store.settle()
                with self._changed:
                    generation, back_to = self.generation, self._back_to
                    place, self._place = self._place, None
                if back_to is not None or place is not None:
                    self._finish()  # of an older generation by now
                if back_to is not None:
                    self._past(generation, back_to)
                    continue
                if place is not None:
                    self._maker.jump(place, generation=generation)
                self._next(generation)
        except BaseException as error:
            with self._changed:
                self.failure = error
                self._changed.notify_all()

    def _next(self, generation: int) -> None:
        """Make one chunk of the present, unless the generation ends before its latch."""
        soonest = -inf
        if self._under_way is not None and self.timer.behind:
            soonest = self._under_way.latched + self.timer.chunk_seconds
        else:
            self._finish()
        begun = self._clock.now()
        prepared = self._maker.world.prepare(self._maker.state)
        ready = self._clock.now()
        if not self._await_latch(generation, soonest):
            return
        latched = self._clock.now()
        window, typed = self._intake.latch(
            latched,
            frames=self._maker.world.info.chunk_frames,
            first_frame=self._maker.first_frame,
        )
        chunk = self._maker.begin(window, typed_prompt=typed, now=latched, prepared=prepared)
        self._finish()
        self._under_way = _UnderWay(chunk, generation, ready - begun, latched)
        if chunk.ready:
            self._finish()

    def _finish(self) -> None:
        """Wait for the frames of the chunk under way, if there is one, and hand it over."""
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        chunk = under_way.chunk.finish()
        done = self._clock.now()
        self.timer.record(
            prepare=under_way.prepare, make=done - under_way.latched, apart=done - self._offered
        )
        self._offer(chunk, under_way.generation, done)
        self._offered = self._clock.now()

    def _past(self, generation: int, serial: int) -> None:
        """Hand over one chunk of the past, or wait at the beginning of the known past."""
        chunk = self._store.at(serial)
        with self._changed:
            if chunk is None:
                self._wait(lambda: self._over(generation))
                return
            if self._wait(lambda: self._ready is None or self._over(generation)):
                if self._over(generation):
                    return
                self._ready, self._back_to = chunk, serial - 1
                self._changed.notify_all()

    def _await_latch(self, generation: int, soonest: float) -> bool:
        """Wait for the latch of the chunk in the making; False if it is no longer wanted."""
        with self._changed:
            while not self._over(generation):
                if self._paused:
                    self._wait(lambda: not self._paused or self._over(generation))
                    continue
                due = self._due
                latch = max(soonest, -inf if due is None else self.timer.latch_time(due))
                if soonest > -inf and self.timer.period > self.timer.chunk_seconds:
                    latch = soonest  # in slow motion: only work that never rests shows its pace
                if latch <= self._clock.now():
                    self.next_latch = None
                    return True
                self.next_latch = latch
                self._wait(
                    lambda due=due: self._paused or self._due != due or self._over(generation),
                    until=latch,
                )
            return False

    def _offer(self, chunk: Chunk, generation: int, done: float) -> None:
        """Hand a chunk over when the one before was taken, unless its generation ended."""
        with self._changed:
            if not self._over(generation) and self._due is not None:
                self.timer.arrived(self._due - done)
            self._wait(lambda: self._ready is None or self._over(generation))
            if self._over(generation):
                self.discarded += 1
                return
            self._ready = chunk
            # The loop says better when it shows the chunk; until then the next one is due a
            # chunk's playing time after this one, or after now where nothing was shown yet.
            self._due = max(self._due or done, done) + self.timer.period
            self._changed.notify_all()

    def _over(self, generation: int) -> bool:
        return self._stopped or generation != self.generation

    def _wait(self, predicate: Any, until: float | None = None) -> bool:
        return self._clock.wait_for(self._changed, predicate, until)
