"""Presented frames: what they set off, what lies over them, and who is told of them.

The one path from a chunk to the screen, the same for windowed and headless play. It starts the
effects of a chunk at its first presented frame, writes the film and tells the sinks chunk by
chunk. A sink that fails with an OSError (disk full) is closed and reported, and play goes on. Not
here: pacing, the window itself, and which overlays there are, which the chunk says.

    stage = Stage(on_effect=print, on_message=print, draw=draw_overlays)
    overlays = stage.present(chunk, 0, age_ms=12.0)
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.chunk import Chunk, FrameId, FrameSink
from engine.director import Effect
from engine.present.api import Overlay
from engine.video import Film


class Stage:
    """Frames in order, with their overlays and their audience."""

    def __init__(
        self,
        *,
        on_effect: Callable[[Effect, Chunk], None],
        on_message: Callable[[str], None],
        draw: Callable[[np.ndarray, Sequence[Overlay]], np.ndarray],
    ) -> None:
        self._on_effect = on_effect
        self._on_message = on_message
        self._draw = draw
        self._sinks: list[FrameSink] = []
        self._film: Film | None = None
        self.problems: list[str] = []
        """Why recordings and pictures are missing or not whole, if any are."""
        self._chunk: Chunk | None = None
        self._branch: int | None = None
        self._parent: FrameId | None = None
        self._offsets = range(0)
        self._ages: list[float] = []

    @property
    def filming(self) -> bool:
        return self._film is not None

    def add_sink(self, sink: FrameSink) -> None:
        """Frames from the next one on go to this sink too."""
        self.flush()
        self._sinks.append(sink)

    def drop_sink(self, sink: FrameSink) -> bool:
        """Tell a sink of all frames so far and close it; whether it kept them all."""
        self.flush()
        if sink not in self._sinks:
            return False  # it failed at the last of them
        self._sinks.remove(sink)
        return self._guard(sink.close)

    def has_sink(self, sink: Any) -> bool:
        return sink in self._sinks

    def start_film(self, film: Film) -> None:
        self.stop_film()
        self._film = film

    def release_film(self) -> Film | None:
        """Hand the film back unfinished, to go on with on another stage."""
        film, self._film = self._film, None
        return film

    def stop_film(self) -> bool:
        """Finish the film if there is one; whether there is a whole video of it."""
        film, self._film = self._film, None
        return film is not None and self._guard(film.close)

    def present(self, chunk: Chunk, offset: int, age_ms: float) -> tuple[Overlay, ...]:
        """Present a frame that moves time forward; returns the overlays to draw on it."""
        if chunk is not self._chunk:
            self._begin(chunk, offset)
        assert offset == self._offsets.stop, "frames of a chunk are presented in order"
        self._offsets = range(self._offsets.start, offset + 1)
        self._ages.append(age_ms)
        overlays = chunk.overlays.at(chunk.first_frame + offset)
        self.film(chunk.frames[offset], overlays)
        return overlays

    def _begin(self, chunk: Chunk, offset: int) -> None:
        """Flush the chunk before, tell of a new branch, start the effects."""
        self.flush()
        if chunk.branch != self._branch:
            if self._branch is not None:
                self._tell(lambda sink: sink.rewound(chunk.branch, self._parent))
            self._branch, self._parent = chunk.branch, None
        self._chunk, self._offsets, self._ages = chunk, range(offset, offset), []
        for effect in chunk.effects:
            self._on_effect(effect, chunk)

    def film(self, frame: np.ndarray, overlays: Sequence[Overlay] = ()) -> None:
        """Put a shown frame on the film, with what lies over it."""
        if self._film is None:
            return
        film, picture = self._film, self.picture(frame, overlays)
        if not self._guard(lambda: film.write(picture)):
            self.stop_film()

    def picture(self, frame: np.ndarray, overlays: Sequence[Overlay]) -> np.ndarray:
        """A frame as it is shown, with what lies over it."""
        return self._draw(frame, overlays)

    def flush(self) -> None:
        """Tell the sinks of the frames presented since the last time."""
        chunk, offsets, ages = self._chunk, self._offsets, self._ages
        self._offsets, self._ages = range(offsets.stop, offsets.stop), []
        if chunk is None or not offsets:
            return
        self._tell(lambda sink: sink.presented(chunk, offsets, ages))

    def leave(self, parent: FrameId | None) -> None:
        """The line of play ends here: the next chunk's branch continues `parent`."""
        self.flush()
        self._chunk, self._offsets, self._parent = None, range(0), parent

    def close(self) -> None:
        """Flush and close everything."""
        self.stop_film()
        for sink in list(self._sinks):
            self.drop_sink(sink)

    def report(self, problem: str) -> None:
        """Something is not kept as was asked; play goes on."""
        self.problems.append(problem)
        self._on_message(problem)

    def _tell(self, what: Callable[[FrameSink], None]) -> None:
        """Tell every sink; one that fails is closed."""
        for sink in list(self._sinks):
            if not self._guard(lambda s=sink: what(s)):
                self.drop_sink(sink)

    def _guard(self, action: Callable[[], None]) -> bool:
        """Run what touches the disk; an OSError becomes a message and False."""
        try:
            action()
        except OSError as error:
            self.report(f"recording stopped: {error}")
            return False
        return True
