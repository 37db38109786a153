"""The prompt in force: a blend of texts that crossfades towards the newest one.

A value, carried by every world state. It holds texts and weights, never embeddings, so that it
saves, loads and logs as plain data; embeddings are cached by text elsewhere. The crossfade moves
from its first chunk on, and a new prompt that comes during a crossfade starts from the blend then
in force.

    track = PromptTrack.hard("a meadow")
    track = track.switch("snow falls", chunks=5)   # 1/5 of the new text in the next chunk
"""

from dataclasses import dataclass

MAX_TEXTS = 8
"""A blend keeps at most so many texts; the lightest go first. Bounds the state's size."""


@dataclass(frozen=True, kw_only=True)
class PromptTrack:
    """Where the blend started, where it goes, and how far it has come."""

    start: tuple[tuple[str, float], ...]
    """The blend that the crossfade left from: (text, weight), weights sum to 1."""
    text: str
    """The newest prompt."""
    step: int
    """Chunks of the crossfade already played."""
    length: int
    """Chunks that the crossfade takes; 1 is a hard switch."""

    @staticmethod
    def hard(text: str) -> "PromptTrack":
        return PromptTrack(start=((text, 1.0),), text=text, step=1, length=1)

    @property
    def weight(self) -> float:
        """Share of the newest text, 0 to 1."""
        return min(1.0, self.step / self.length)

    @property
    def blend(self) -> tuple[tuple[str, float], ...]:
        """The texts in force with their weights, the newest last."""
        if self.weight >= 1.0:
            return ((self.text, 1.0),)
        old = [(t, w * (1 - self.weight)) for t, w in self.start if t != self.text]
        new = self.weight + sum(w * (1 - self.weight) for t, w in self.start if t == self.text)
        return (*old, (self.text, new))

    def switch(self, text: str, *, chunks: int) -> "PromptTrack":
        """Head for another text over some chunks, from the blend now in force."""
        if chunks < 1:
            raise ValueError(f"a crossfade takes at least 1 chunk, not {chunks}")
        if text == self.text:
            return self
        return PromptTrack(start=_heaviest(self.blend), text=text, step=0, length=chunks)

    def advance(self) -> "PromptTrack":
        """The track one chunk later."""
        if self.step >= self.length:
            return self
        return PromptTrack(start=self.start, text=self.text, step=self.step + 1, length=self.length)


def _heaviest(blend: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    kept = sorted(blend, key=lambda pair: pair[1])[-MAX_TEXTS:]
    total = sum(weight for _, weight in kept)
    return tuple((text, weight / total) for text, weight in kept)
