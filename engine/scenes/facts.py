"""What conditions read at one latch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.director import LatchContext
from engine.scenes.memory import SceneMemory
from engine.scenes.scene import Scene
from engine.scenes.senses import draw, look


@dataclass
class LatchFacts:
    """Answers an expression's questions (`engine.scenes.expressions.Facts`)."""

    memory: SceneMemory
    """After the input was looked at."""
    ctx: LatchContext
    scene: Scene
    site: str = ""
    """The trigger or the value to set that asks; makes its `chance` its own."""
    unseen: bool = False
    """Somebody asked for a brightness or colour where there are no frames yet."""

    @property
    def fps(self) -> int:
        return self.ctx.fps

    @property
    def frames(self) -> int:
        return len(self.ctx.requested)

    @cached_property
    def _frames(self) -> np.ndarray | None:
        return self.ctx.last_frames()

    @cached_property
    def _look(self) -> dict[str, float]:
        return look(self._frames)

    def sense(self, name: str) -> float:
        memory = self.memory
        if name in ("brightness", "red", "green", "blue"):
            self.unseen = self.unseen or self._frames is None
            return self._look[name]
        if name == "crossfade":
            return self.ctx.state.prompt.weight
        odometer = memory.odometer
        value = {
            "time": memory.frame / self.fps,
            "phase_time": (memory.frame - memory.phase_start) / self.fps,
            "idle": memory.idle / self.fps,
            "distance": odometer.distance,
            "away": odometer.away,
            "turned": odometer.yaw,
            "tilted": odometer.pitch,
        }[name]
        return round(value, 6)  # so that a sum of steps reaches the round number that it means

    def variable(self, name: str) -> float | bool:
        return self.memory.variables[name]

    def call(self, function: str, name: str, offset: int) -> float | bool:
        if function == "held":
            return self.memory.held.get(name, 0) / self.fps
        if function == "tapped":
            return name in self.ctx.tapped
        if function == "prompt":
            return self.ctx.state.prompt.text == self.scene.prompts[name].text
        if function == "phase":
            # Before the first latch none is entered; the first one begins with the scene.
            return (self.memory.phase or next(iter(self.scene.phases))) == name
        assert function == "chance", function
        seconds = self.frames / self.fps
        site = f"{self.site}@{offset}"
        return draw(self.ctx.state.seed, site, self.ctx.chunk) >= (1 - float(name)) ** seconds
