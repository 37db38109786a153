"""Ctrl-C at a safe moment: between frames, never inside a lock or a half-written file.

Python raises KeyboardInterrupt between any two steps of the main thread, also where a queue's lock
was just taken, and then closing a recording waits for ever. Inside `careful()` the first Ctrl-C is
noted and raised by the next `check`; a second one is raised at once.

    with careful() as interrupt:
        while playing: interrupt.check(); ...
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether the user wants to stop."""

    asked: bool = False

    def check(self) -> None:
        """Raise what was asked for, here where it does no harm."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def careful() -> Iterator[Interrupt]:
    """Note Ctrl-C instead of raising it; outside the main thread this changes nothing."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, frame: FrameType | None) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
