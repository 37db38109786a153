"""Events on a condition: they fire when it turns true.

What a trigger remembers is a `Fuse`: whether its condition held at the last latch and when it
fired. Not here: the language of conditions (expressions), what they read (senses).
"""

from dataclasses import dataclass

from engine.scenes.effects import Effects
from engine.scenes.expressions import Expression
from engine.scenes.values import Name, Span


@dataclass(frozen=True, kw_only=True)
class Trigger(Effects):
    """Something that happens when a condition turns true, and acts from the next chunk on."""

    when: Expression
    """The condition; see the language below."""
    name: Name | None = None
    """For the log, and for keeping its memory when the file is edited while it plays."""
    once: bool = False
    """Fires once in a scene, or once per visit to its phase."""
    cooldown: Span | None = None
    """At least so long between two firings. It then fires again while the condition stays true."""


@dataclass(frozen=True)
class Fuse:
    """What is remembered of one trigger."""

    was_true: bool = False
    fired_at: int = -1
    """Scene frame of the last firing; -1 for never."""

    def test(self, trigger: Trigger, holds: bool, frame: int, fps: int) -> tuple[bool, "Fuse"]:
        """Whether it fires now, and the fuse after."""
        fires = holds and not self.was_true
        if self.fired_at >= 0 and trigger.once:
            fires = False
        elif trigger.cooldown is not None:
            rest = trigger.cooldown.frames_at(fps)
            fires = holds and (self.fired_at < 0 or frame - self.fired_at >= rest)
        return fires, Fuse(holds, frame if fires else self.fired_at)


def labels(triggers: tuple[Trigger, ...], phase: str = "") -> list[str]:
    """A name for each trigger under which its fuse is kept: stable while others come and go."""
    seen: dict[str, int] = {}
    names = []
    for trigger in triggers:
        base = f"{phase}/{trigger.name or trigger.when.text}"
        seen[base] = seen.get(base, 0) + 1
        names.append(base if seen[base] == 1 else f"{base}#{seen[base]}")
    return names
