"""Time, injected: the real monotonic clock, and a fake one under which threads run in step.

The loop and the producer do all their waiting through a clock. `FakeClock` lets one thread run at
a time and moves time only when all of them wait, so that a threaded session becomes an exact,
instant simulation. Not here: pacing rules (engine.playhead) or latch rules (engine.latch).

    clock = FakeClock()
    clock.sleep_until(3.0)   # returns at once, at 3.0
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Task(Protocol):
    """A thread started by a clock."""

    def join(self) -> None: ...


class Clock(Protocol):
    """Monotonic seconds, and every way of waiting for them."""

    def now(self) -> float: ...

    def sleep_until(self, t: float) -> None: ...

    def wait_for(
        self,
        condition: threading.Condition,
        predicate: Callable[[], bool],
        until: float | None = None,
    ) -> bool:
        """With `condition` held: wait until the predicate holds (True) or time is up (False)."""
        ...

    def spawn(self, target: Callable[[], None], name: str) -> Task: ...


class RealClock:
    """The operating system's monotonic clock."""

    def now(self) -> float:
        return time.perf_counter()

    def sleep_until(self, t: float) -> None:
        # No spin at the end: the system wakes a sleeper within 0.1 ms, and a spinning loop takes
        # the interpreter from the producer.
        while (wait := t - time.perf_counter()) > 0:
            time.sleep(wait)

    def wait_for(
        self,
        condition: threading.Condition,
        predicate: Callable[[], bool],
        until: float | None = None,
    ) -> bool:
        timeout = None if until is None else max(0.0, until - self.now())
        return condition.wait_for(predicate, timeout)

    def spawn(self, target: Callable[[], None], name: str) -> Task:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread


@dataclass(eq=False)
class _Waiter:
    """One thread that waits for a time, a predicate, or both."""

    until: float | None
    predicate: Callable[[], bool] | None
    order: int
    turn: threading.Event = field(default_factory=threading.Event)


class FakeClock:
    """Time that stands still while any thread works and jumps when all of them wait.

    Threads take turns: a waiting thread whose predicate holds goes first, else the one that is
    to wake soonest, ties in the order in which they began to wait. Nothing runs in parallel, so
    a run is the same every time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._waiters: list[_Waiter] = []
        self._order = 0
        self._mutex = threading.Lock()

    def now(self) -> float:
        return self._now

    def sleep_until(self, t: float) -> None:
        self._wait(t, None)

    def wait_for(
        self,
        condition: threading.Condition,
        predicate: Callable[[], bool],
        until: float | None = None,
    ) -> bool:
        if predicate():
            return True
        condition.release()
        try:
            self._wait(until, predicate)
        finally:
            condition.acquire()
        return predicate()

    def spawn(self, target: Callable[[], None], name: str) -> Task:
        waiter = self._enqueue(self._now, None)
        finished: list[bool] = []

        def body() -> None:
            waiter.turn.wait()
            try:
                target()
            finally:
                finished.append(True)
                self._hand_over()

        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        return _FakeTask(clock=self, thread=thread, finished=finished)

    def _wait(self, until: float | None, predicate: Callable[[], bool] | None) -> None:
        waiter = self._enqueue(until, predicate)
        self._hand_over()
        waiter.turn.wait()

    def _enqueue(self, until: float | None, predicate: Callable[[], bool] | None) -> _Waiter:
        with self._mutex:
            self._order += 1
            waiter = _Waiter(until=until, predicate=predicate, order=self._order)
            self._waiters.append(waiter)
            return waiter

    def _hand_over(self) -> None:
        """Give the turn to the next thread; called by the one that stops running."""
        with self._mutex:
            if not self._waiters:
                return
            ready = [w for w in self._waiters if w.predicate is not None and w.predicate()]
            timed = [w for w in self._waiters if w.until is not None]
            assert ready or timed, "deadlock: every thread waits for another"
            if ready:
                chosen = ready[0]
            else:
                chosen = min(timed, key=lambda w: (max(w.until or 0.0, self._now), w.order))
                self._now = max(self._now, chosen.until or 0.0)
            self._waiters.remove(chosen)
        chosen.turn.set()


@dataclass(frozen=True)
class _FakeTask:
    clock: FakeClock
    thread: threading.Thread
    finished: list[bool]

    def join(self) -> None:
        if not self.finished:
            self.clock._wait(None, lambda: bool(self.finished))
        self.thread.join()
