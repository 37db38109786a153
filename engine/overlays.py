"""Which captions, cards and fades are on the screen at a frame. Pure; drawing is elsewhere.

At most one title card and one fade are in force, and `MAX_CAPTIONS` captions; a newer one takes
the place of the oldest. Ages count presented frames of world time.

    track = OverlayTrack().begin(Caption(text="dawn", frames=40), frame=100)
    track.at(120)   # (Overlay(effect=..., age=20),)
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.director import Caption, Effect, Fade, TitleCard
from engine.present.api import Overlay

MAX_CAPTIONS = 4
KINDS: dict[str, type[Caption | TitleCard | Fade]] = {
    "caption": Caption, "title": TitleCard, "fade": Fade,
}  # fmt: skip
"""Effects that are drawn, by their name in files."""


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

    def begin_all(self, effects: Iterable[Effect], frame: int) -> "OverlayTrack":
        """The track with all effects of a chunk that begins at this frame."""
        track = self
        for effect in effects:
            track = track.begin(effect, frame)
        return track

    def living(self, frame: int) -> "OverlayTrack":
        """Without what is over by this frame."""
        return OverlayTrack(tuple((e, f) for e, f in self.begun if _lives(e, frame - f)))

    def lasting(self) -> "OverlayTrack":
        """Only what stays until something takes it away."""
        return OverlayTrack(tuple((e, f) for e, f in self.begun if _lasts(e)))

    def to_json(self) -> list[dict[str, Any]]:
        names = {kind: name for name, kind in KINDS.items()}
        return [{"kind": names[type(e)], "begun": f, **asdict(e)} for e, f in self.begun]

    @staticmethod
    def from_json(rows: Iterable[Mapping[str, Any]]) -> "OverlayTrack":
        """Inverse of `to_json`; a KeyError or a TypeError for anything else."""
        begun = []
        for row in rows:
            fields: dict[str, Any] = {**row}
            kind, frame = KINDS[fields.pop("kind")], fields.pop("begun")
            if kind is Fade:
                fields["colour"] = tuple(fields["colour"])
            begun.append((kind(**fields), frame))
        return OverlayTrack(tuple(begun))

    def at(self, frame: int) -> tuple[Overlay, ...]:
        """What is on the screen at a frame, the oldest first."""
        return tuple(
            Overlay(effect=effect, age=frame - begun)
            for effect, begun in self.begun
            if _lives(effect, frame - begun)
        )


NOTHING = OverlayTrack()
"""A picture as it is."""


def _lives(effect: Caption | TitleCard | Fade, age: int) -> bool:
    return age >= 0 and (_lasts(effect) or age < effect.frames)


def _lasts(effect: Caption | TitleCard | Fade) -> bool:
    return isinstance(effect, Fade) and effect.to == "colour"
