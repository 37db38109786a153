"""What a player can do in a world: named channels, and tracks of their values.

One schema for the model, the log, the clip, the replay and the environment. A channel is semantic
(`move_forward`, `look_yaw`), never a key code; bindings map devices to channels elsewhere. Not
here: encoding for the model (helios_core.conditioning), devices (engine.input).

    spec = ActionSpec(channels=(Channel(name="strafe", kind="axis", low=-1, high=1),))
    track = ActionTrack(spec=spec, values=spec.zeros(24))

F pixel frames, A channels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One thing a player controls."""

    name: str
    """Semantic name, lower case with underscores."""
    kind: Literal["button", "axis"]
    """A button is 0 or 1; an axis is any value in [low, high]."""
    low: float = 0.0
    """Smallest value (0 for a button)."""
    high: float = 1.0
    """Largest value (1 for a button)."""
    unit: str = ""
    """Unit of an axis, such as `deg/s`; empty for a ratio."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise ValueError(f"channel name {self.name!r}: use lower case letters, digits and _")
        if self.kind not in ("button", "axis"):
            raise ValueError(f"channel {self.name}: kind {self.kind!r} is neither button nor axis")
        if self.kind == "button" and (self.low, self.high) != (0.0, 1.0):
            raise ValueError(f"channel {self.name}: a button ranges from 0 to 1")
        if not self.low < self.high or not np.isfinite([self.low, self.high]).all():
            raise ValueError(f"channel {self.name}: range [{self.low}, {self.high}] is empty")

    @property
    def scale(self) -> float:
        """The largest magnitude, by which encoders normalise."""
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """The ordered channels of a pack, a dataset or an environment."""

    channels: tuple[Channel, ...] = ()
    """Empty for a pack without action training: it plays by text."""

    def __post_init__(self) -> None:
        names = self.names
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"channels named twice: {', '.join(sorted(doubled))}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)

    @property
    def size(self) -> int:
        return len(self.channels)

    def index(self, name: str) -> int:
        """Position of a channel; an unknown one is an error that names the nearest."""
        if name in self.names:
            return self.names.index(name)
        near = get_close_matches(name, self.names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(self.names)}"
        raise ValueError(f"no channel {name!r} in this action spec{hint}")

    def zeros(self, frames: int) -> np.ndarray:
        """Standing still for some frames: [F, A]. This is not the null (dropped) action."""
        return np.zeros((frames, self.size), np.float32)

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Values brought into every channel's range, buttons rounded to 0 or 1."""
        if self.size == 0:
            return np.asarray(values, np.float32)
        low = np.array([c.low for c in self.channels], np.float32)
        high = np.array([c.high for c in self.channels], np.float32)
        clipped = np.clip(np.asarray(values, np.float32), low, high)
        buttons = np.array([c.kind == "button" for c in self.channels])
        return np.where(buttons, np.round(clipped), clipped).astype(np.float32)

    def validate(self, values: np.ndarray) -> np.ndarray:
        """The values as float32 [F, A], or a ValueError that names what is wrong and where."""
        array = np.asarray(values, np.float32)
        if array.ndim != 2 or array.shape[1] != self.size:
            raise ValueError(
                f"actions have shape {array.shape}; this spec wants [frames, {self.size}] "
                f"({', '.join(self.names) or 'no channels'})"
            )
        for i, channel in enumerate(self.channels):
            column = array[:, i]
            bad = ~np.isfinite(column) | (column < channel.low - 1e-4)
            bad |= column > channel.high + 1e-4
            if bad.any():
                frame = int(np.argmax(bad))
                raise ValueError(
                    f"frame {frame}: {channel.name} = {column[frame]:g} is outside "
                    f"[{channel.low:g}, {channel.high:g}]"
                )
        return array

    def build(self, frames: int, **channels: Any) -> np.ndarray:
        """Values [F, A] from keyword arguments, each a number or one value per frame."""
        values = self.zeros(frames)
        for name, value in channels.items():
            values[:, self.index(name)] = value
        return self.validate(values)

    def to_dict(self) -> list[dict[str, Any]]:
        return [
            {"name": c.name, "kind": c.kind, "low": c.low, "high": c.high, "unit": c.unit}
            for c in self.channels
        ]

    @staticmethod
    def from_dict(rows: Iterable[Mapping[str, Any]]) -> "ActionSpec":
        """Inverse of `to_dict`; unknown keys are errors."""
        channels = []
        for row in rows:
            unknown = set(row) - {"name", "kind", "low", "high", "unit"}
            if unknown:
                raise ValueError(f"channel {row.get('name')!r}: unknown keys {sorted(unknown)}")
            channels.append(Channel(**{str(k): v for k, v in row.items()}))
        return ActionSpec(channels=tuple(channels))


@dataclass(frozen=True, kw_only=True, eq=False)
class ActionTrack:
    """Values of every channel at pixel-frame rate; read-only once made."""

    spec: ActionSpec
    values: np.ndarray
    """float32 [F, A] in the spec's units."""

    def __post_init__(self) -> None:
        values = self.spec.validate(self.values).copy()
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, frames: slice) -> "ActionTrack":
        return ActionTrack(spec=self.spec, values=self.values[frames])


WALK_SPEC = ActionSpec(
    channels=(
        Channel(name="move_forward", kind="axis", low=-1.0, high=1.0),
        Channel(name="strafe", kind="axis", low=-1.0, high=1.0),
        Channel(name="look_yaw", kind="axis", low=-240.0, high=240.0, unit="deg/s"),
        Channel(name="look_pitch", kind="axis", low=-120.0, high=120.0, unit="deg/s"),
        Channel(name="jump", kind="button"),
        Channel(name="run", kind="button"),
    )
)
"""First-person walking: forward, right, yaw right and pitch up are positive."""
