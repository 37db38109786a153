"""Events at a time. Pure: what is due in a stretch of frames, with nothing to remember.

Times count from the beginning of the scene, or of the phase that the timeline belongs to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.scenes.effects import Effects
from engine.scenes.values import Span


@dataclass(frozen=True, kw_only=True)
class TimedEvent(Effects):
    """Something that happens at a time, once or again and again."""

    at: Span | None = None
    """When, in world time. With `every`, when for the first time."""
    every: Span | None = None
    """Again after each such span."""
    until: Span | None = None
    """The last time at which `every` may happen."""

    def __post_init__(self) -> None:
        if self.at is None and self.every is None:
            raise ValueError("when? write `at: 12s` or `every: 30s`")
        if self.every is not None and not (self.every.seconds or self.every.frames):
            raise ValueError("`every` needs a span above 0")
        if self.until is not None and self.every is None:
            raise ValueError("`until` belongs to `every`")
        super().__post_init__()

    def moments(self, fps: int, frames: range) -> range:
        """The frames of a stretch at which it happens."""
        first = (self.at or self.every or Span()).frames_at(fps)
        if self.every is None:
            return range(first, first + (first in frames))
        step = max(1, self.every.frames_at(fps))
        last = frames.stop if self.until is None else self.until.frames_at(fps) + 1
        begin = first + max(0, -(-(frames.start - first) // step)) * step
        return range(begin, min(frames.stop, last), step)


def due(events: Iterable[TimedEvent], fps: int, frames: range) -> Iterator[tuple[int, TimedEvent]]:
    """(position in the list, event) of all that happens in a stretch, each at most once."""
    for i, event in enumerate(events):
        if event.moments(fps, frames):
            yield i, event
