"""What a scene remembers between two chunks, as one immutable value that JSON can hold.

It serves saving, rewinding and editing a scene while it plays. Its size does not grow with play
time. Not here: what happens at a latch (director).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from engine.scenes.controls import Playing, Ramp
from engine.scenes.scene import Scene
from engine.scenes.senses import Odometer
from engine.scenes.triggers import Fuse, labels

Variables = Mapping[str, float | bool]
MAX_PLAYING = 16
"""Injected tracks under way at once; the oldest ends when one more begins."""


@dataclass(frozen=True, kw_only=True)
class SceneMemory:
    """A moment of a scene."""

    frame: int = 0
    """Scene frame at which the next chunk begins."""
    phase: str = ""
    """Name of the phase; empty before the first latch and in a scene without phases."""
    phase_start: int = 0
    """Scene frame at which it began."""
    idle: int = 0
    """Frames since anybody touched the controls."""
    touched: bool = False
    """Somebody has, at some time."""
    autopilot: int = 0
    """Frames of its track that the autopilot has walked."""
    variables: Variables = field(default_factory=dict)
    """Counters and flags."""
    fuses: Mapping[str, Fuse] = field(default_factory=dict)
    """What is remembered of each trigger, by label."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Frames that each input has been held."""
    playing: tuple[Playing, ...] = ()
    """Injected tracks under way."""
    ramps: tuple[Ramp, ...] = ()
    """Channels that are scaled."""
    odometer: Odometer = field(default_factory=Odometer)
    """Ways and angles."""

    @staticmethod
    def begin(scene: Scene) -> "SceneMemory":
        return SceneMemory(variables={**scene.counters, **scene.flags})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "SceneMemory":
        """Inverse of `to_json`; anything else, as a damaged file may hold, is a ValueError."""
        names = {f.name for f in fields(SceneMemory)}
        if not isinstance(value, Mapping) or set(value) != names:
            odd = sorted(set(value) ^ names) if isinstance(value, Mapping) else sorted(names)
            raise ValueError(f"no memory of a scene: {', '.join(odd)} unknown or missing")
        try:
            return SceneMemory(
                **{
                    **value,
                    "variables": dict(value["variables"].items()),
                    "held": dict(value["held"].items()),
                    "fuses": {name: Fuse(**fuse) for name, fuse in value["fuses"].items()},
                    "playing": tuple(Playing(**play) for play in value["playing"]),
                    "ramps": tuple(Ramp(**ramp) for ramp in value["ramps"]),
                    "odometer": Odometer(**value["odometer"]),
                }
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(f"no memory of a scene: {error}") from error

    def fitted(self, scene: Scene) -> "SceneMemory":
        """The same moment in an edited scene: what it no longer has is forgotten.

        A phase that is gone gives way to the first one, which is then entered. At its beginning
        it has no past to keep: its counters and flags are as the file has them now.
        """
        if not self.frame:
            return SceneMemory.begin(scene)
        first = {**scene.counters, **scene.flags}
        kept = {
            name: value
            for name, value in self.variables.items()
            if name in first and isinstance(value, bool) == isinstance(first[name], bool)
        }
        known = set(labels(scene.triggers))
        for name, phase in scene.phases.items():
            known |= set(labels(phase.triggers, name))
        return replace(
            self,
            phase=self.phase if self.phase in scene.phases else "",
            variables={**first, **kept},
            fuses={label: fuse for label, fuse in self.fuses.items() if label in known},
        )
