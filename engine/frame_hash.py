"""The identity of a run: one hash over all presented frames, before overlays.

Same scene, seed, pack and fingerprint give the same hash, windowed or headless.

    sink = FrameHash(); stage.add_sink(sink); ...; sink.hexdigest()
"""

import hashlib
from collections.abc import Sequence

from engine.chunk import Chunk, FrameId


class FrameHash:
    """A sink that hashes pixels in the order of presentation."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.frames = 0

    def presented(self, chunk: Chunk, offsets: range, ages_ms: Sequence[float]) -> None:
        for offset in offsets:
            self._digest.update(chunk.frames[offset].tobytes())
        self.frames += len(offsets)

    def rewound(self, branch: int, parent: FrameId | None) -> None:
        return None

    def close(self) -> None:
        return None

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
