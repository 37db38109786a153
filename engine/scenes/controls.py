"""From what the player asks for to what the world gets: autopilot, limits, scaling, injection.

Pure functions over frames of scene time. The order is fixed: the autopilot stands in for an absent
player, limits and scaling shape what either does, injected tracks have the last word, and the
spec's ranges hold in the end. Not here: deciding when an injection begins (director).

F pixel frames, A action channels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np

from engine.scenes.tracks import Track
from engine.scenes.values import Ease, Range, Reference, Span, eased
from helios_core.actions import ActionSpec

_PATIENCE = Span(seconds=10.0)


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A named track."""

    SHORT: ClassVar[str] = "track"

    track: Track | None = None
    """The actions."""
    reverse: Annotated[str, Reference("macro")] | None = None
    """Another macro played backwards: from its end, with every axis turned round."""

    def __post_init__(self) -> None:
        if (self.track is None) == (self.reverse is None):
            raise ValueError("give either a track or a macro to reverse")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How far a channel goes in this scene."""

    SHORT: ClassVar[str] = "scale"

    scale: Annotated[float, Range(-4, 4)] = 1.0
    """Factor: 0 takes the channel away, 0.5 halves it."""
    low: float | None = None
    """Smallest value, in the channel's unit."""
    high: float | None = None
    """Largest value, in the channel's unit."""

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")


@dataclass(frozen=True, kw_only=True)
class Autopilot:
    """Who walks when nobody touches the controls."""

    SHORT: ClassVar[str] = "macro"

    macro: Annotated[str, Reference("macro")] | None = None
    """A name under `macros`."""
    track: Track | None = None
    """A track written here, instead of a macro."""
    after: Span = _PATIENCE
    """Nobody has touched anything for so long."""
    at_start: bool = False
    """Walk from the first frame on, until somebody touches the controls."""
    loop: bool = True
    """Begin again at the end; else stand still there."""

    def __post_init__(self) -> None:
        if (self.macro is None) == (self.track is None):
            raise ValueError("name either a macro or a track")


@dataclass(frozen=True)
class Playing:
    """An injected track that is under way."""

    text: str
    reverse: bool
    mode: Literal["replace", "add"]
    times: int
    over: int
    """Frames of the blend at either end."""
    ease: Ease
    start: int
    """Scene frame at which it began."""

    def frames(self, spec: ActionSpec, fps: int) -> int:
        return len(track_values(self.text, self.reverse, spec, fps)) * self.times


@dataclass(frozen=True)
class Ramp:
    """A channel's factor on its way."""

    channel: str
    begin: float
    """Factor at the start."""
    factor: float
    over: int
    """Frames until the factor is reached, and back."""
    ease: Ease
    start: int
    """Scene frame."""
    stop: int | None
    """Scene frame from which it goes back to 1; None for never."""

    def at(self, frame: int) -> float:
        if self.stop is None or frame < self.stop:
            return self._there(frame)
        reached = self._there(self.stop - 1)
        return reached + (1.0 - reached) * self._share(frame - self.stop)

    def _there(self, frame: int) -> float:
        """The factor on its way from the beginning."""
        return self.begin + (self.factor - self.begin) * self._share(frame - self.start)

    def _share(self, since: int) -> float:
        return eased((since + 1) / self.over, self.ease) if self.over else 1.0

    def over_at(self, frame: int) -> bool:
        """It has gone back to 1 for good."""
        return self.stop is not None and frame >= self.stop + self.over


@lru_cache(maxsize=256)
def track_values(text: str, reverse: bool, spec: ActionSpec, fps: int) -> np.ndarray:
    """A track's values [F, A], NaN where it says nothing; backwards with axes turned round."""
    values = Track.parse(text).values(spec, fps)
    if reverse:
        values = values[::-1] * _turned_round(spec)
    values.flags.writeable = False
    return values


def shape(
    requested: np.ndarray,
    spec: ActionSpec,
    limits: Mapping[str, Limit],
    ramps: Iterable[Ramp],
    at: int,
) -> np.ndarray:
    """Limits and scaling of the frames that begin at scene frame `at`."""
    values = np.array(requested, np.float32)
    for ramp in ramps:
        if ramp.channel in spec.names:
            factors = [ramp.at(at + i) for i in range(len(values))]
            values[:, spec.index(ramp.channel)] *= np.array(factors, np.float32)
    for name, limit in limits.items():
        if name in spec.names:
            column = values[:, spec.index(name)]
            column *= limit.scale
            np.clip(column, limit.low, limit.high, out=column)
    return spec.clip(values)


def inject(
    values: np.ndarray, spec: ActionSpec, fps: int, playing: Iterable[Playing], at: int
) -> np.ndarray:
    """Injected tracks over the frames that begin at scene frame `at`."""
    values = np.array(values, np.float32)
    for play in playing:
        track = track_values(play.text, play.reverse, spec, fps)
        total = len(track) * play.times
        for i in range(len(values)):
            since = at + i - play.start
            if 0 <= since < total:
                row = track[since % len(track)]
                weight = _blend(since, total, play)
                values[i] = _mix(values[i], row, weight, play.mode)
    return spec.clip(values)


def _blend(since: int, total: int, play: Playing) -> float:
    if not play.over:
        return 1.0
    edge = min(since + 1, total - since) / (play.over + 1)
    return eased(edge, play.ease)


def _mix(row: np.ndarray, track: np.ndarray, weight: float, mode: str) -> np.ndarray:
    said = ~np.isnan(track)
    wanted = np.nan_to_num(track)
    mixed = row + weight * wanted if mode == "add" else row + weight * (wanted - row)
    return np.where(said, mixed, row)


def _turned_round(spec: ActionSpec) -> np.ndarray:
    signs = [1.0 if channel.kind == "button" else -1.0 for channel in spec.channels]
    return np.array(signs, np.float32)
