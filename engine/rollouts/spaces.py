"""Between Gymnasium's spaces and the world's own: actions in, pictures out.

F frames of a chunk, A action channels, H W pixels of the world, h w of the observation.
"""

from typing import Any

import av
import numpy as np
from gymnasium import spaces

from engine.rollouts.env_config import EnvConfig
from helios_core.world_api import WorldInfo


class Actions:
    """One way of naming an action, as a space and as values of the spec."""

    def __init__(self, info: WorldInfo, config: EnvConfig) -> None:
        self._spec, self._frames = info.spec, info.chunk_frames
        self._kind = config.actions if info.spec.size else "nothing"
        self.presets = {
            name: values
            for name, values in config.presets.items()
            if all(channel in info.spec.names for channel in values)
        }
        self.space = self._space()

    def _space(self) -> spaces.Space:
        channels = self._spec.channels
        low = np.array([c.low for c in channels], np.float32)
        high = np.array([c.high for c in channels], np.float32)
        if self._kind == "nothing":
            return spaces.Discrete(1)
        if self._kind == "box":
            return spaces.Box(low, high)
        if self._kind == "track":
            return spaces.Box(np.tile(low, (self._frames, 1)), np.tile(high, (self._frames, 1)))
        if self._kind == "normalised":
            return spaces.Box(-1.0, 1.0, (len(channels),))
        if self._kind == "dict":
            return spaces.Dict({
                c.name: spaces.Discrete(2)
                if c.kind == "button"
                else spaces.Box(c.low, c.high, (1,))
                for c in channels
            })  # fmt: skip
        if not self.presets:
            raise ValueError(f"no preset fits this world's channels: {', '.join(self._spec.names)}")
        return spaces.Discrete(len(self.presets))

    def values(self, action: Any) -> np.ndarray:
        """The action over a chunk, [F, A] in the spec's units and ranges."""
        spec = self._spec
        if self._kind == "nothing":
            return spec.zeros(self._frames)
        if self._kind == "discrete":
            if not 0 <= int(action) < len(self.presets):
                raise ValueError(f"action {action}: choose 0 to {len(self.presets) - 1}")
            return spec.build(self._frames, **list(self.presets.values())[int(action)])
        if self._kind == "dict":
            if set(action) != set(spec.names):
                names = ", ".join(spec.names)
                raise ValueError(f"the action names {', '.join(action)}; it takes {names}")
            row = np.array([np.asarray(action[name], np.float32).item() for name in spec.names])
        else:
            row = np.asarray(action, np.float32)
            if row.shape != self.space.shape:
                raise ValueError(f"the action has shape {row.shape}; it takes {self.space.shape}")
        if self._kind == "normalised":
            scale = np.array([c.scale for c in spec.channels], np.float32)
            button = np.array([c.kind == "button" for c in spec.channels])
            row = np.where(button, row > 0, row * scale)
        if not np.isfinite(row).all():
            raise ValueError(f"the action {action} is not finite")
        shape = (self._frames, spec.size)
        return spec.clip(np.broadcast_to(row, shape))


class Pictures:
    """Observations of the asked size and stack."""

    def __init__(self, info: WorldInfo, config: EnvConfig) -> None:
        self._own = (info.height, info.width)
        self._size = self._own if config.size is None else tuple(config.size)
        self._stack = config.stack
        shape = (*self._size, 3) if self._stack == 1 else (self._stack, *self._size, 3)
        self.space = spaces.Box(0, 255, shape, np.uint8)

    def observe(self, frames: np.ndarray) -> np.ndarray:
        """From the newest frames [n, H, W, 3]: [h, w, 3] or [stack, h, w, 3].

        Where fewer frames exist than are stacked, the oldest one is repeated.
        """
        newest = frames[-self._stack :]
        if self._size != self._own:
            newest = np.stack([self._resize(frame) for frame in newest])
        if self._stack == 1:
            return newest[-1].copy()
        missing = self._stack - len(newest)
        return np.concatenate([np.repeat(newest[:1], missing, 0), newest])

    def _resize(self, frame: np.ndarray) -> np.ndarray:
        height, width = self._size
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        small = picture.reformat(width=width, height=height, interpolation="AREA")
        return small.to_ndarray(format="rgb24")
