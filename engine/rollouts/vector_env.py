"""N worlds in one forward pass: one model, N states.

    envs = gymnasium.make_vec(
        "engine.rollouts:helios/World-v0", num_envs=8,
        vectorization_mode="vector_entry_point", pack="wilds-nano",
    )

An ended world begins anew at the next step (Gymnasium's NEXT_STEP autoreset). Recordings go to
one dataset per world, `RECORD/world-000` and so on; `helios rollouts merge` joins them.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate

from engine.rollouts.env_config import env_config
from engine.rollouts.env_line import EnvLine, EnvState, open_world
from engine.rollouts.lines import Line, advance


class WorldVectorEnv(VectorEnv):
    """N lines of play of one world."""

    metadata = {  # noqa: RUF012 - Gymnasium's own
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **settings: Any,
    ) -> None:
        if max_episode_steps:
            settings = {**settings, "max_steps": max_episode_steps}
        config = env_config(settings)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.world = open_world(config)
        self.metadata = {**self.metadata, "render_fps": self.world.info.fps}
        folder = f"{config.record}/world-" if config.record else ""
        self._rows = [
            EnvLine(self.world, config, record=folder and f"{folder}{i:03d}")
            for i in range(num_envs)
        ]
        self.single_observation_space = self._rows[0].pictures.space
        self.single_action_space = self._rows[0].actions.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._draws = [seeding.np_random()[0] for _ in range(num_envs)]
        """Per world: the seeds of its next episodes, as a single environment draws them."""
        self._ended = np.zeros(num_envs, bool)
        self._options: dict[str, Any] = {}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """All worlds anew. An int seed gives world i the seed + i; options as of `WorldEnv`.

        What a world's later episodes are follows from its own seed, as in `WorldEnv`."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        if seed is None or isinstance(seed, int):
            seed = [None if seed is None else seed + i for i in range(self.num_envs)]
        self._options = dict(options or {})
        for i, (row, own) in enumerate(zip(self._rows, seed, strict=True)):
            if own is not None:
                self._draws[i], _ = seeding.np_random(int(own))
            row.begin(self._draw(i) if own is None else own, self._options)
        self._ended[:] = False
        self._advance(self._rows, [self._still] * self.num_envs)
        firsts = [row.first() for row in self._rows]
        infos: dict[str, Any] = {}
        for i, (_, info) in enumerate(firsts):
            infos = self._add_info(infos, info, i)
        return np.stack([observation for observation, _ in firsts]), infos

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Time goes on in every world; those that ended at the last step begin anew instead."""
        begun = self._ended.copy()
        for i in np.flatnonzero(begun).tolist():
            self._rows[i].begin(self._draw(i), self._options)
        chosen = [
            self._still if again else row.actions.values(action)
            for row, again, action in zip(
                self._rows, begun, iterate(self.action_space, actions), strict=True
            )
        ]
        waiting = [i for i, row in enumerate(self._rows) if row.wants_chunk]
        self._advance([self._rows[i] for i in waiting], [chosen[i] for i in waiting])
        observations, infos = [], {}
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for i, row in enumerate(self._rows):
            if begun[i]:
                observation, info = row.first()
            else:
                step = row.step()
                observation, info = step.observation, step.info
                rewards[i], terminated[i], truncated[i] = (
                    step.reward, step.terminated, step.truncated
                )  # fmt: skip
            observations.append(observation)
            infos = self._add_info(infos, info, i)
        self._ended = terminated | truncated
        return np.stack(observations), rewards, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The newest frame of every world."""
        if self.render_mode is None:
            return None
        return tuple(row.picture.copy() for row in self._rows)

    def set_prompts(self, prompts: Sequence[str | None]) -> None:
        """Another text per world from its next chunk on; None leaves it."""
        for row, prompt in zip(self._rows, prompts, strict=True):
            if prompt is not None:
                self._line(row).ask(prompt)

    def get_state(self) -> list[EnvState]:
        """This moment of every world."""
        return [row.snapshot() for row in self._rows]

    def set_state(self, moments: Sequence[EnvState]) -> np.ndarray:
        """Put every world to a moment; the same one N times plans ahead in parallel."""
        for row, moment in zip(self._rows, moments, strict=True):
            row.restore(moment)
        self._ended[:] = False
        return np.stack([row.observation for row in self._rows])

    def close_extras(self, **kwargs: Any) -> None:
        for row in self._rows:
            row.close()

    @property
    def _still(self) -> np.ndarray:
        return self.world.info.spec.zeros(self.world.info.chunk_frames)

    def _draw(self, i: int) -> int:
        return int(self._draws[i].integers(2**31))

    def _advance(self, rows: list[EnvLine], actions: list[np.ndarray]) -> None:
        if not rows:
            return
        chunks = advance(self.world, [self._line(row) for row in rows], actions)
        for row, chunk in zip(rows, chunks, strict=True):
            row.take(chunk)

    def _line(self, row: EnvLine) -> Line:
        if row.line is None:
            raise gym.error.ResetNeeded("call reset first")
        return row.line
