"""Where events wait between the thread that polls them and the thread that latches them.

Device events go to the mapper, typed prompts wait for the next latch (of several the newest wins:
it is where the player wants to go), commands go back to the caller. Nothing else is kept.

    commands = intake.take(presenter.poll(now))
    window, typed = intake.latch(now, frames=4, first_frame=0)
"""

import threading
from collections.abc import Sequence

from engine.input.events import Command, InputEvent, InputWindow, LatchedInput, PromptEntered


class Intake:
    """A lock around the mapper, and the prompt that waits."""

    def __init__(self, inputs: LatchedInput) -> None:
        self._inputs = inputs
        self._typed: str | None = None
        self._lock = threading.Lock()

    def take(self, events: Sequence[InputEvent]) -> list[Command]:
        """Keep what a latch will want; return the commands in order."""
        if not events:
            return []
        commands = [event for event in events if isinstance(event, Command)]
        with self._lock:
            for event in events:
                if isinstance(event, PromptEntered):
                    self._typed = event.text
            rest = [e for e in events if not isinstance(e, Command | PromptEntered)]
            if rest:
                self._inputs.feed(rest)
        return commands

    def latch(self, now: float, *, frames: int, first_frame: int) -> tuple[InputWindow, str | None]:
        """The window of the chunk that begins at `first_frame`, and the typed prompt if any."""
        with self._lock:
            typed, self._typed = self._typed, None
            return self._inputs.window(now, frames, first_frame), typed

    def forget(self, now: float, *, prompt: bool = True) -> None:
        """Drop what is pending: after a pause, a rewind, a load.

        A pause keeps the prompt: it is how a player takes her time to type one.
        """
        with self._lock:
            if prompt:
                self._typed = None
            self._inputs.forget(now)
