"""One wild world as a Gymnasium environment, so that one recorder and one agent serve all sources.

    env = gymnasium.make("training.worlds:helios/Wilds-v0", height=64, width=96)
    frame, info = env.reset(seed=7, options={"biome": "desert", "weather": "clear", "hour": 18})
    frame, reward, terminated, truncated, info = env.step(env.action_space.sample())

The world has no goal of its own: the reward is 0 and nothing but the time limit ends an episode;
wrappers add goals from `info["facts"]` and `info["pose"]`, which are ground truth.
"""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from training.worlds.wilds.spec import FPS, SPEC
from training.worlds.wilds.world import Wilds, WildsConfig

OPTIONS = ("biome", "weather", "hour", "event")


def _one(options: dict[str, Any], name: str) -> tuple[Any, ...] | None:
    return (options[name],) if name in options else None


class WildsEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """First-person walks; observation uint8 [H, W, 3], action float32 [A] in the spec's units."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(
        self,
        height: int = 128,
        width: int = 192,
        device: str = "cpu",
        facts_every: int = FPS,
        render_mode: str | None = None,
    ) -> None:
        self.height, self.width, self.device = height, width, device
        self.facts_every, self.render_mode = facts_every, render_mode
        low = np.array([c.low for c in SPEC.channels], np.float32)
        high = np.array([c.high for c in SPEC.channels], np.float32)
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.wilds: Wilds | None = None
        self.frame = np.zeros((height, width, 3), np.uint8)
        self.steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new world; `options` may fix its biome, weather, hour (0 to 24)."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := sorted(set(options) - set(OPTIONS)):
            raise ValueError(f"no reset option {unknown[0]!r}; there are {', '.join(OPTIONS)}")
        config = WildsConfig(
            biomes=_one(options, "biome"),
            weathers=_one(options, "weather"),
            hours=_one(options, "hour"),
        )
        world = int(self.np_random.integers(2**31))
        self.wilds = Wilds([world], self.height, self.width, self.device, config)
        self.steps = 0
        if "event" in options:
            self.cause(options["event"])
        return self._look()

    def cause(self, event: str) -> None:
        """Lets something begin, by its name in `events.EVENTS`."""
        assert self.wilds is not None, "reset first"
        self.wilds.event([event])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One frame of 1/20 s."""
        assert self.wilds is not None, "reset first"
        values = SPEC.clip(np.asarray(action, np.float32).reshape(1, -1))
        self.wilds.step(values)
        self.steps += 1
        frame, info = self._look()
        return frame, 0.0, False, False, info

    def _look(self) -> tuple[np.ndarray, dict[str, Any]]:
        assert self.wilds is not None
        self.frame = self.wilds.render()[0].cpu().numpy()
        info: dict[str, Any] = {"pose": self.wilds.poses()[0]}
        if self.steps % self.facts_every == 0:
            info["facts"] = self.wilds.facts()[0]
        return self.frame.copy(), info

    def render(self) -> np.ndarray | None:
        """The present frame, if made with render_mode="rgb_array"."""
        return self.frame.copy() if self.render_mode == "rgb_array" else None
