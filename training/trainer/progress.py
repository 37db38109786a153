"""A progress line on stderr with rate and time left; silent lines in a file when not a terminal.

Not a logger: figures go to `metrics.jsonl`.
"""

import sys
import time


def clock(seconds: float) -> str:
    """`1:02:03`, `4:05` or `--:--` when unknown."""
    if seconds != seconds or seconds > 1e8:
        return "--:--"
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


class Progress:
    """`name  37% [#####.....] 1200/3200  55.1/s  left 0:36  loss 0.21`."""

    def __init__(self, name: str, total: int, *, start: int = 0, every: float | None = None):
        self.name, self.total, self.start = name, max(1, total), start
        self.began = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.every = every if every is not None else (0.2 if self.terminal else 30.0)
        self.shown = 0.0

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self.shown < self.every and done < self.total:
            return
        self.shown = now
        self._write(done, note)

    def _write(self, done: int, note: str) -> None:
        speed = (done - self.start) / max(1e-9, time.monotonic() - self.began)
        left = clock((self.total - done) / speed if speed > 0 else float("nan"))
        share = min(1.0, done / self.total)
        bar = ("#" * int(20 * share)).ljust(20, ".")
        text = f"{self.name} {share:4.0%} [{bar}] {done}/{self.total} {speed:.4g}/s left {left}"
        line = f"{text}  {note}".rstrip()
        end = "" if self.terminal else "\n"
        sys.stderr.write(f"\r\033[K{line}{end}" if self.terminal else line + end)
        sys.stderr.flush()

    def close(self, note: str = "") -> None:
        took = clock(time.monotonic() - self.began)
        lead = "\r\033[K" if self.terminal else ""
        sys.stderr.write(f"{lead}{self.name} done in {took} {note}".rstrip() + "\n")
        sys.stderr.flush()
