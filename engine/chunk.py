"""A generated chunk on its way from the world to the screen, and who may watch it arrive.

A chunk is an immutable value. Frames are named (branch, chunk, offset); a rewind, a load or a
reset begins a new branch. Sinks (recordings, videos, hashes) are told of presented frames only.

F pixel frames of a chunk, A action channels, H W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.director import Effect, LatchPlan
from engine.overlays import NOTHING, OverlayTrack


class FrameId(NamedTuple):
    """The one name of a presented frame."""

    branch: int
    chunk: int
    offset: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Frames with all that is known of them."""

    index: int
    """Chunk number in world time; the first frame is index * F."""
    branch: int
    """Line of play; changes when the past does."""
    generation: int
    """Counter of resets, rewinds and loads; an older chunk than the current one is never shown."""
    frames: np.ndarray
    """uint8 [F, H, W, 3]."""
    requested: np.ndarray
    """[F, A] what the devices asked for."""
    plan: LatchPlan
    """What the director made of it."""
    latch_time: float
    """Clock time at which the input was latched."""
    state_before: Any
    """World state that the chunk continued, before any cut of the plan."""
    state_after: Any
    latents: Any
    """For `World.decode(state_after, latents)`, which gives these frames again."""
    director_before: Any
    """The director's snapshot before this latch."""
    director_after: Any
    """And after it."""
    named: Mapping[str, Any] = field(default_factory=dict)
    """States that the scene has saved by name by then (engine.maker.Named)."""
    named_before: Mapping[str, Any] = field(default_factory=dict)
    """And before this latch."""
    overlays: OverlayTrack = NOTHING
    """What lies over its frames, with what it sets off itself."""
    overlays_before: OverlayTrack = NOTHING
    """And before this latch."""
    make_seconds: float = 0.0
    """Time that steps and decoding took."""

    @property
    def applied(self) -> np.ndarray:
        """[F, A] what the world was given."""
        return self.plan.applied

    @property
    def effects(self) -> tuple[Effect, ...]:
        return self.plan.effects

    @property
    def events(self) -> tuple[str, ...]:
        return self.plan.events

    @property
    def prompt_blend(self) -> tuple[tuple[str, float], ...]:
        """Texts with their weights, the newest last."""
        return self.state_after.prompt.blend

    @property
    def first_frame(self) -> int:
        return self.index * len(self.frames)


class FrameSink(Protocol):
    """Whoever keeps presented frames. An OSError from a sink ends that sink, never the play."""

    def presented(self, chunk: Chunk, offsets: range, ages_ms: Sequence[float]) -> None:
        """Frames `offsets` of the chunk were shown, so many ms after their input was latched.

        `offsets` never leaves the order of time; where policy `drop` skipped frames, the next
        range begins later than the last one ended.
        """
        ...

    def rewound(self, branch: int, parent: FrameId | None) -> None:
        """What comes next belongs to `branch`; `parent` is the last frame that it continues.

        None when it continues nothing that was presented: a reset, or a loaded session.
        """
        ...

    def close(self) -> None: ...
