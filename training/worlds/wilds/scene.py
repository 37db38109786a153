"""All that a picture and the facts about it depend on, as one value.

Made by the world, read by the renderer and by facts; nothing here changes.

N cameras.
"""

from dataclasses import dataclass

from torch import Tensor

from training.worlds.wilds.camera import Camera
from training.worlds.wilds.terrain import Land


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that a picture depends on. `clock` float64 [N] seconds; the rest [N] or [N, columns]."""

    land: Land
    camera: Camera
    hour: Tensor
    clock: Tensor
    weather: Tensor
    snowpack: Tensor
    """How white the ground is, 0..1."""
    fire: Tensor
    """How high the campfires burn, 0..1."""
    steady: bool = False
    """Compute what no camera sees too, so that every picture takes the same operations and none
    waits for an answer: what a graph of them needs (training.graphed)."""

    def rows(self, part: slice) -> "Scene":
        """Some of the cameras."""
        return Scene(
            land=self.land.rows(part),
            camera=self.camera.rows(part),
            steady=self.steady,
            **{k: getattr(self, k)[part] for k in ("hour", "clock", "weather", "snowpack", "fire")},
        )
