"""What a scene senses: ways walked, angles turned, keys held, the look of the last frames.

All in world time and from what was applied and generated, so that a headless run senses what a
windowed one does. Positions are dead reckoning: the world itself is never asked.

F pixel frames, A action channels, H W pixels.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from engine.scenes.values import Range
from helios_core.actions import ActionSpec


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast the player walks, for distances; the world itself is never asked."""

    walk: Annotated[float, Range(0.01, 1000)] = 4.0
    """Metres per second at full `move_forward`."""
    run: Annotated[float, Range(0.01, 1000)] = 8.0
    """Metres per second with `run` held."""


@dataclass(frozen=True, kw_only=True)
class Odometer:
    """Where the applied actions have led."""

    distance: float = 0.0
    """Metres along the path."""
    x: float = 0.0
    y: float = 0.0
    """Metres from the beginning, ahead and to the right of where the player then looked."""
    yaw: float = 0.0
    """Degrees turned, right positive, never wrapped."""
    pitch: float = 0.0
    """Degrees looked up."""

    @property
    def away(self) -> float:
        return math.hypot(self.x, self.y)

    def moved(self, applied: np.ndarray, spec: ActionSpec, fps: int, speed: Speed) -> "Odometer":
        """After some frames [F, A]."""
        column = {name: applied[:, i].astype(np.float64) for i, name in enumerate(spec.names)}
        still = np.zeros(len(applied))
        ahead, right = column.get("move_forward", still), column.get("strafe", still)
        rate = np.where(column.get("run", still) > 0.5, speed.run, speed.walk) / fps
        yaw = self.yaw + np.cumsum(column.get("look_yaw", still)) / fps
        pitch = self.pitch + float(column.get("look_pitch", still).sum()) / fps
        c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        return replace(
            self,
            distance=self.distance + float((np.hypot(ahead, right) * rate).sum()),
            x=self.x + float(((ahead * c - right * s) * rate).sum()),
            y=self.y + float(((ahead * s + right * c) * rate).sum()),
            yaw=float(yaw[-1]) if len(yaw) else self.yaw,
            pitch=min(90.0, max(-90.0, pitch)),
        )


def look(frames: np.ndarray | None) -> dict[str, float]:
    """Mean brightness and colour of frames [F, H, W, 3], every 4th pixel each way; 0 if none."""
    if frames is None:
        return dict.fromkeys(("red", "green", "blue", "brightness"), 0.0)
    red, green, blue = (float(v) / 255.0 for v in frames[:, ::4, ::4].mean(axis=(0, 1, 2)))
    brightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return {"red": red, "green": green, "blue": blue, "brightness": brightness}


def hold(held: Mapping[str, int], down: frozenset[str], frames: int) -> dict[str, int]:
    """Frames that each input has been held, after a chunk in which `down` are."""
    return {name: held.get(name, 0) + frames for name in sorted(down)}


def draw(seed: int, site: str, chunk: int) -> float:
    """A number in [0, 1) that depends on nothing else: rewinding draws the same one again."""
    digest = hashlib.blake2b(f"{seed}/{site}/{chunk}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
