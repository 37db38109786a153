"""A line on stderr that shows how far a command is."""

import sys
from collections.abc import Callable

from training.trainer.progress import Progress


class Counting:
    """A `progress(done, total)` with rate and time left; lines in a file when not a terminal."""

    def __init__(self, verb: str, things: str) -> None:
        self.verb, self.things = verb, things
        self.progress: Progress | None = None
        self.done = 0

    def __call__(self, done: int, total: int) -> None:
        self.progress = self.progress or Progress(self.verb, total, start=done)
        self.done = done
        self.progress.update(done, self.things)

    def close(self) -> None:
        """Ends the line, also where less was done than was asked for."""
        if self.progress:
            self.progress.close(f"{self.done} {self.things}")


def loading_bar() -> Callable[[str, float], None]:
    """An `on_loading(what, share)` that draws `[####    ] what`; only for people."""
    if not sys.stderr.isatty():
        return lambda what, share: None

    def show(what: str, share: float) -> None:
        bar, end = "#" * round(24 * share), "\n" if share >= 1 else ""
        print(f"\r[{bar:<24}] {what:<48}", end=end, file=sys.stderr, flush=True)

    return show
