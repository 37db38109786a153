"""A world that takes as long as it is told to: the null world with set costs, on any clock.

For measuring the engine against its latch formula (`helios bench play`) and for tests on a fake
clock. Its pictures are small and carry the action exactly, so that a photon can be traced.

    world = SyntheticWorld(clock, make=0.05, chunk_frames=4)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.clock import Clock
from helios_core.actions import WALK_SPEC, ActionSpec
from helios_core.null_world import NullChunk, NullState, NullWorld

SHARE_OF_DECODE = 0.2
"""Part of the making that is decoding."""


class SyntheticWorld(NullWorld):
    """A null world with a price per chunk."""

    def __init__(
        self,
        clock: Clock,
        *,
        make: float,
        prepare: float = 0.0,
        height: int = 32,
        width: int = 32,
        fps: int = 20,
        chunk_frames: int = 4,
        spec: ActionSpec = WALK_SPEC,
        before_generate: Callable[[int], None] = lambda chunk: None,
    ) -> None:
        super().__init__(height=height, width=width, fps=fps, chunk_frames=chunk_frames, spec=spec)
        self.clock = clock
        self.make_seconds = make
        """Steps and decoding of a chunk; may be changed while it runs."""
        self.prepare_seconds = prepare
        self._before_generate = before_generate

    def prepare(self, state: NullState) -> None:
        self._spend(self.prepare_seconds)

    def generate(self, state: NullState, *args: Any, **kwargs: Any) -> tuple[NullState, NullChunk]:
        self._before_generate(state.chunk)
        self._spend(self.make_seconds * (1 - SHARE_OF_DECODE))
        return super().generate(state, *args, **kwargs)

    def decode(self, state: NullState, latents: NullChunk) -> np.ndarray:
        self._spend(self.make_seconds * SHARE_OF_DECODE)
        frames = np.zeros((self.info.chunk_frames, self.info.height, self.info.width, 3), np.uint8)
        for i, row in enumerate(frames):
            number = latents.first_frame + i
            row[0, :3, 0] = (number >> 16 & 255, number >> 8 & 255, number & 255)
            if latents.actions is not None:
                scale = [channel.scale for channel in self.info.spec.channels]
                levels = np.round(latents.actions[i] / scale * 127 + 128).astype(np.uint8)
                row[1, : len(levels), 0] = levels
        return frames

    def _spend(self, seconds: float) -> None:
        if seconds > 0:
            self.clock.sleep_until(self.clock.now() + seconds)


def frame_number(frame: np.ndarray) -> int:
    """World frame that a synthetic picture shows."""
    high, middle, low = (int(v) for v in frame[0, :3, 0])
    return high << 16 | middle << 8 | low


def frame_action(frame: np.ndarray, channel: int) -> float:
    """Value of a channel that a synthetic picture shows, -1 to 1."""
    return (int(frame[1, channel, 0]) - 128) / 127
