"""A line on stderr that counts whole things as a command gets them done."""

import sys
from collections.abc import Callable


def counting(verb: str, things: str) -> Callable[[int, int], None]:
    """A `progress(done, total)` that draws `verb [####    ] 3/10 things` over itself."""

    def show(done: int, total: int) -> None:
        bar = "#" * (24 * done // total)
        print(f"\r{verb} [{bar:<24}] {done}/{total} {things}", end="", file=sys.stderr, flush=True)

    return show
