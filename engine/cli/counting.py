"""A line on stderr that shows how far a command is, over itself."""

import sys
from collections.abc import Callable


def counting(verb: str, things: str) -> Callable[[int, int], None]:
    """A `progress(done, total)` that draws `verb [####    ] 3/10 things` over itself."""

    def show(done: int, total: int) -> None:
        bar = "#" * (24 * done // total)
        print(f"\r{verb} [{bar:<24}] {done}/{total} {things}", end="", file=sys.stderr, flush=True)

    return show


def loading_bar() -> Callable[[str, float], None]:
    """An `on_loading(what, share)` that draws `[####    ] what`; only for people."""
    if not sys.stderr.isatty():
        return lambda what, share: None

    def show(what: str, share: float) -> None:
        bar, end = "#" * round(24 * share), "\n" if share >= 1 else ""
        print(f"\r[{bar:<24}] {what:<48}", end=end, file=sys.stderr, flush=True)

    return show
