"""`helios/World-v0`: a generated world as a Gymnasium environment.

    env = gymnasium.make("engine.rollouts:helios/World-v0", pack="wilds-nano", prompt="a meadow")
    observation, info = env.reset(seed=0, options={"prompt": "a desert at dusk"})
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

Settings are the fields of `EnvConfig`. `get_state` and `set_state` clone and branch.
"""

from typing import Any

import gymnasium as gym
import numpy as np

from engine.rollouts.env_config import env_config
from engine.rollouts.env_line import EnvLine, EnvState, open_world
from engine.rollouts.lines import advance


class WorldEnv(gym.Env):
    """One world."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - Gymnasium's own

    def __init__(self, render_mode: str | None = None, **settings: Any) -> None:
        config = env_config(settings)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode {render_mode!r}: this environment draws rgb_array")
        self.render_mode = render_mode
        self.world = open_world(config)
        self.metadata = {**self.metadata, "render_fps": self.world.info.fps}
        self._line = EnvLine(self.world, config, record=config.record)
        self.observation_space = self._line.pictures.space
        self.action_space = self._line.actions.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode. Options: `prompt`, `image`, `clip` (uint8), `state`, `seed`.

        A `state` is `info["state"]` of an earlier step, or bytes of `World.save_state`. A scene
        runs from its beginning over a `state`, an `image` or a `clip` in place of its own.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self._line.begin(drawn, options or {})
        self._advance(self.world.info.spec.zeros(self.world.info.chunk_frames))
        return self._line.first()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """A chunk, or a frame, of time. Within a chunk the action of its latch holds."""
        if self._line.line is None:
            raise gym.error.ResetNeeded("call reset before step")
        if self._line.wants_chunk:
            self._advance(self._line.actions.values(action))
        step = self._line.step()
        return step.observation, step.reward, step.terminated, step.truncated, step.info

    def render(self) -> np.ndarray | None:
        """The newest frame at full size."""
        return None if self.render_mode is None else self._line.picture.copy()

    def set_prompt(self, prompt: str) -> None:
        """Head for another text from the next chunk on."""
        assert self._line.line is not None, "reset the environment first"
        self._line.line.ask(prompt)

    def get_state(self) -> EnvState:
        """This moment, as a value that stays valid."""
        return self._line.snapshot()

    def set_state(self, moment: EnvState) -> np.ndarray:
        """Back to a moment; returns its observation."""
        self._line.restore(moment)
        return self._line.observation

    def close(self) -> None:
        self._line.close()

    def _advance(self, actions: np.ndarray) -> None:
        assert self._line.line is not None
        self._line.take(advance(self.world, [self._line.line], [actions])[0])
