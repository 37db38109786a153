"""Acts of a scene: named phases with events, limits and an autopilot of their own.

The first phase in the file begins with the scene; `go: NAME` enters another. Not here: entering
(director).
"""

from dataclasses import dataclass, field
from typing import Annotated

from engine.scenes.controls import Autopilot, Limit
from engine.scenes.effects import Effects
from engine.scenes.timeline import TimedEvent
from engine.scenes.triggers import Trigger
from engine.scenes.values import Reference


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One act. What the scene says at its top level holds in every phase as well."""

    enter: Effects | None = None
    """What happens when it is entered."""
    timeline: tuple[TimedEvent, ...] = ()
    """Events at times that count from its beginning."""
    triggers: tuple[Trigger, ...] = ()
    """Events on conditions, tested in this phase only."""
    limits: dict[Annotated[str, Reference("channel")], Limit] = field(default_factory=dict)
    """Limits in this phase, instead of the scene's for the same channels."""
    autopilot: Autopilot | None = None
    """The autopilot of this phase, instead of the scene's."""
