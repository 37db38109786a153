"""All input of the current line of play, on disk while it is played: memory does not grow.

One record per presented chunk. A rewind cuts it, a save reads it whole.

    log = InputLog(spec, frames=4); log.append(chunk); log.keep(10); log.history()
"""

from itertools import islice
from pathlib import Path

import numpy as np

from engine.chunk import Chunk
from engine.session_file import InputHistory
from engine.tape import Tape
from helios_core.actions import ActionSpec


class InputLog:
    """A tape of latches."""

    def __init__(self, spec: ActionSpec, *, frames: int, folder: Path | None = None) -> None:
        self._shape = (2, frames, spec.size)
        self._tape = Tape(folder)
        self.chunks = 0

    def append(self, chunk: Chunk) -> None:
        self._put(chunk.index, chunk.latch_time, chunk.requested, chunk.applied, chunk.plan.prompt)

    def keep(self, chunks: int) -> None:
        """Forget all but the first so many chunks."""
        end = self._tape.end
        while self.chunks > chunks:
            end, self.chunks = self._tape.back(end), self.chunks - 1
        self._tape.truncate(end)

    def restore(self, history: InputHistory) -> None:
        """Begin anew with the input of a loaded session."""
        self.keep(0)
        prompts = dict(history.prompts)
        for n, chunk in enumerate(history.chunk):
            self._put(
                int(chunk),
                float(history.latch_time[n]),
                history.requested[n],
                history.applied[n],
                prompts.get(n),
            )

    def history(self, chunks: int | None = None) -> InputHistory:
        """The first so many chunks, or everything, as arrays."""
        records = list(islice(self._tape.forward(), chunks))
        actions = np.zeros((len(records), *self._shape), np.float32)
        texts = [(n, record.header[2]) for n, record in enumerate(records)]
        for n, record in enumerate(records):
            actions[n] = np.frombuffer(record.body, np.float32).reshape(self._shape)
        return InputHistory(
            chunk=np.array([r.header[0] for r in records], np.int64),
            latch_time=np.array([r.header[1] for r in records], np.float64),
            requested=actions[:, 0],
            applied=actions[:, 1],
            prompts=tuple((n, text) for n, text in texts if text is not None),
        )

    def close(self) -> None:
        self._tape.close()

    def _put(
        self,
        index: int,
        latch_time: float,
        requested: np.ndarray,
        applied: np.ndarray,
        prompt: str | None,
    ) -> None:
        body = b"".join(np.asarray(part, np.float32).tobytes() for part in (requested, applied))
        self._tape.append([index, latch_time, prompt], body)
        self.chunks += 1
