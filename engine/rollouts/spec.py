"""What one dataset of rollouts holds: sizes, actions, extra columns, and where it came from.

A recording is a LeRobot-v3 dataset with more columns. This module names those columns and their
types; `engine.rollouts.layout` says where the files are. Nothing here touches a disk.

    spec = RolloutSpec(fps=20, height=128, width=192, actions=WALK_SPEC, source={"pack": "null"})

F frames, A action channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from helios_core.actions import ActionSpec

CAMERA = "observation.images.front"
"""LeRobot's name of the one video of a dataset."""

DTYPES = ("float32", "float64", "int64", "bool", "string")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One value, or one vector, per pixel frame."""

    name: str
    """LeRobot feature name; dots group (`observation.state`), a slash is forbidden there."""
    dtype: Literal["float32", "float64", "int64", "bool", "string"] = "float32"
    """Type of each value."""
    size: int = 1
    """Values per frame; 1 is stored as a plain number."""
    names: tuple[str, ...] = ()
    """What the values of a vector are, for people and viewers."""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f"column name {self.name!r}: LeRobot forbids empty names and slashes")
        if self.dtype not in DTYPES:
            raise ValueError(f"column {self.name}: dtype {self.dtype!r} is none of {DTYPES}")
        if self.size < 1 or (self.dtype == "string" and self.size != 1):
            raise ValueError(f"column {self.name}: size {self.size} cannot be stored")
        if self.names and len(self.names) != self.size:
            raise ValueError(f"column {self.name}: {len(self.names)} names for {self.size} values")

    def array(self, values: Any, frames: int) -> np.ndarray:
        """The values as [F] or [F, size] of this column's type, or a ValueError."""
        array = np.asarray(values, object if self.dtype == "string" else self.dtype)
        shape = (frames,) if self.size == 1 else (frames, self.size)
        if self.size == 1 and array.shape == (frames, 1):
            array = array[:, 0]
        if array.shape != shape:
            raise ValueError(f"column {self.name} has shape {array.shape}; it wants {shape}")
        return array


ENGINE_COLUMNS = (
    Column(name="seed", dtype="int64"),
    Column(name="chunk", dtype="int64"),
    Column(name="chunk.offset", dtype="int64"),
    Column(name="prompt.weight", dtype="float32"),
    Column(name="latch.time", dtype="float64"),
    Column(name="latch.plan", dtype="string"),
    Column(name="frame.age_ms", dtype="float32"),
    Column(name="frame.hash", dtype="int64"),
    Column(name="events", dtype="string"),
)
"""What every rollout logs beside its actions. `latch.plan` and `events` are JSON, or empty."""

INDEX_COLUMNS = (
    Column(name="timestamp", dtype="float32"),
    Column(name="frame_index", dtype="int64"),
    Column(name="episode_index", dtype="int64"),
    Column(name="index", dtype="int64"),
    Column(name="task_index", dtype="int64"),
)
"""What LeRobot demands; written when a part is published."""


@dataclass(frozen=True, kw_only=True)
class RolloutSpec:
    """What every episode of one dataset has in common."""

    fps: int
    """Pixel frames per second of world time."""
    height: int
    """Pixels; even, since video halves the colour planes."""
    width: int
    """Pixels; even."""
    actions: ActionSpec
    """Channels of the requested and of the applied action."""
    extras: tuple[Column, ...] = ()
    """Further columns that every `write` must fill, such as a pose or a reward."""
    latents: tuple[int, int, int, int] | None = None
    """(C, T, h, w) where the latents of every chunk are kept too."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Pack name and hash or environment id, licence, device, dtype, engine version, fingerprint.
    Stored per episode; it may differ between the sessions that fill one dataset."""

    def __post_init__(self) -> None:
        if self.fps < 1:
            raise ValueError(f"fps {self.fps} is less than 1")
        for name, size in (("height", self.height), ("width", self.width)):
            if size < 2 or size % 2:
                raise ValueError(f"{name} {size}: video wants an even number of pixels; resize")
        names = [c.name for c in self.columns + INDEX_COLUMNS] + [CAMERA]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"extra columns clash with the format's own: {', '.join(doubled)}")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every logged column, in the order of the files."""
        size, names = self.actions.size, self.actions.names
        kinds = ("action", "action.requested") if size else ()
        actions = tuple(Column(name=name, size=size, names=names) for name in kinds)
        return actions + ENGINE_COLUMNS + self.extras

    def differences(self, other: "RolloutSpec") -> list[str]:
        """Why episodes of `other` cannot join a dataset of this spec; empty if they can."""
        found = []
        for name in ("fps", "height", "width"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                found.append(f"{name} is {mine}, not {theirs}")
        if self.actions != other.actions:
            mine, theirs = (", ".join(s.actions.names) or "none" for s in (self, other))
            detail = " (another range, kind or unit)" if mine == theirs else ""
            found.append(f"action channels are {mine}, not {theirs}{detail}")
        if self.extras != other.extras:
            mine, theirs = (", ".join(c.name for c in s.extras) or "none" for s in (self, other))
            found.append(f"extra columns are {mine}, not {theirs}")
        if self.latents != other.latents:
            mine, theirs = (s.latents or "not kept" for s in (self, other))
            found.append(f"latents are {mine}, not {theirs}")
        return found

    def to_dict(self) -> dict[str, Any]:
        return {
            "fps": self.fps,
            "height": self.height,
            "width": self.width,
            "actions": self.actions.to_dict(),
            "extras": [
                {"name": c.name, "dtype": c.dtype, "size": c.size, "names": list(c.names)}
                for c in self.extras
            ],
            "latents": self.latents and list(self.latents),
            "source": dict(self.source),
        }

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> "RolloutSpec":
        """Inverse of `to_dict`."""
        extras = tuple(Column(**{**row, "names": tuple(row["names"])}) for row in body["extras"])
        actions = ActionSpec.from_dict(body["actions"])
        latents = body.get("latents")  # recordings from before these were kept say nothing
        if latents is not None:
            latents = (latents[0], latents[1], latents[2], latents[3])
        return RolloutSpec(**{**body, "actions": actions, "extras": extras, "latents": latents})
