"""Which captions, cards and fades are on the screen at a frame. Pure; drawing is elsewhere.

At most one title card and one fade are in force, and `MAX_CAPTIONS` captions; a newer one takes
the place of the oldest. Ages count presented frames of world time.

    track = OverlayTrack().begin(Caption(text="dawn", frames=40), frame=100)
    track.at(120)   # (Overlay(effect=..., age=20),)
"""

from dataclasses import dataclass

from engine.director import Caption, Effect, Fade, TitleCard
from engine.present.api import Overlay

MAX_CAPTIONS = 4


@dataclass(frozen=True)
class OverlayTrack:
    """Effects with the frame at which each began."""

    begun: tuple[tuple[Caption | TitleCard | Fade, int], ...] = ()

    def begin(self, effect: Effect, frame: int) -> "OverlayTrack":
        """The track with one more effect; effects that are not drawn leave it as it is."""
        if not isinstance(effect, Caption | TitleCard | Fade):
            return self
        kept = [(e, f) for e, f in self.begun if _lives(e, frame - f)]
        limit = MAX_CAPTIONS if isinstance(effect, Caption) else 1
        same = [pair for pair in kept if type(pair[0]) is type(effect)]
        for pair in same[: max(0, len(same) - limit + 1)]:
            kept.remove(pair)
        return OverlayTrack((*kept, (effect, frame)))

    def at(self, frame: int) -> tuple[Overlay, ...]:
        """What is on the screen at a frame, the oldest first."""
        return tuple(
            Overlay(effect=effect, age=frame - begun)
            for effect, begun in self.begun
            if _lives(effect, frame - begun)
        )


def _lives(effect: Caption | TitleCard | Fade, age: int) -> bool:
    if isinstance(effect, Fade) and effect.to == "colour":
        return age >= 0
    return 0 <= age < effect.frames
