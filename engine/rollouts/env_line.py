"""One environment's line of play: starts, chunks shown frame by frame, rewards, ends, the log.

The single environment has one, the vector environment N that share their forward passes. Chunks
are made outside (`lines.advance`) and handed in. Not here: Gymnasium's interfaces.

F frames of a chunk, A action channels, H W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.rollouts.env_config import EnvConfig, Transition, resolve
from engine.rollouts.lines import Line, LineChunk
from engine.rollouts.recorder import Recorder
from engine.rollouts.spaces import Actions, Pictures
from helios_core.world_api import World

if TYPE_CHECKING:
    from engine.opening import Opening

OPTIONS = ("prompt", "image", "clip", "state", "seed")


@dataclass(frozen=True, kw_only=True, eq=False)
class EnvState:
    """A moment of an environment, to clone, branch or plan from. Costs little: states share."""

    line: tuple
    chunk: LineChunk | None
    offset: int
    recent: np.ndarray
    steps: int
    seed: int
    oracle: Any


@dataclass(frozen=True, kw_only=True)
class StateHandle:
    """The world's state after a chunk, as `info["state"]`; `reset` takes it as option `state`."""

    chunk: int
    seed: int
    prompt: str
    state: Any = field(compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What Gymnasium's `step` returns."""

    observation: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


def open_world(config: EnvConfig) -> World:
    """The world of a config; one that was loaded lately is shared, since worlds keep no state."""
    if not isinstance(config.pack, str):
        return config.pack()
    return _load(config.pack, config.device, config.threads)


@lru_cache(maxsize=2)
def _load(pack: str, device: str, threads: int | None) -> World:
    from helios_core.packs import load_world

    return load_world(pack, device=device, threads=threads)


class EnvLine:
    """A line of play with what an environment adds to it."""

    def __init__(self, world: World, config: EnvConfig, *, record: str) -> None:
        self.world, self.config = world, config
        self.actions, self.pictures = Actions(world.info, config), Pictures(world.info, config)
        self.reward: Callable = resolve(config.reward)
        self.terminated: Callable = resolve(config.terminated)
        self._make_oracle = resolve(config.oracle)
        self._recorder = Recorder(Path(record), world, latents=config.latents) if record else None
        self._oracle: Any = None
        self._chunk: LineChunk | None = None
        self._offset = 0
        self._rewards: list[float] = []
        self._recording = False
        self.line: Line | None = None
        self.steps, self.seed = 0, 0

    def begin(self, seed: int, options: Mapping[str, Any]) -> None:
        """A new episode; its first chunk, made standing still, gives the first picture."""
        self._flush(done=False)
        self._end_log()
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise ValueError(f"reset has no option {unknown[0]!r}; it takes {', '.join(OPTIONS)}")
        self.seed = int(options.get("seed", seed))
        self.line = self._start(options)
        self._oracle = self._make_oracle(self.seed) if self._make_oracle else None
        self._chunk, self._offset, self.steps = None, 0, 0

    def _start(self, options: Mapping[str, Any]) -> Line:
        """Of the beginnings that are given, a state or a picture comes before the scene's own."""
        world, config = self.world, self.config
        state, prompt = options.get("state"), options.get("prompt")
        pictures = {name: options.get(name) for name in ("image", "clip")}
        pictured = any(picture is not None for picture in pictures.values())
        if state is not None and pictured:
            raise ValueError("reset begins from a state, or from an image or clip: give one")
        opening = self._open_scene(prompt) if config.scene else None
        named = None
        if state is not None:
            begun = state.state if isinstance(state, StateHandle) else world.load_state(state)
            asked = prompt
        elif opening is not None and not pictured:
            begun, asked, named = opening.place.state, opening.prompt, opening.place.named
        else:
            own = config.prompt if opening is None else opening.place.state.prompt.text
            text = own if prompt is None else prompt
            begun, asked = world.start(seed=self.seed, prompt=text, **pictures), None
        line = Line(world, begun, opening and opening.director, named=named)
        if asked is not None:
            line.ask(asked)
        return line

    def _open_scene(self, prompt: str | None) -> "Opening":
        from engine.opening import OpeningConfig, open_play

        config = OpeningConfig(
            what=self.config.scene, pack=self.world.info.name, prompt=prompt, seed=self.seed
        )
        return open_play(config, world=self.world)

    @property
    def wants_chunk(self) -> bool:
        """Whether the next step latches an action."""
        return self._chunk is None or self._offset == len(self._chunk.frames)

    def take(self, chunk: LineChunk) -> None:
        """The chunk that the next steps show. Where a scene loaded what it had saved, the log
        begins another episode, as that of windowed play does: it continues no frame of this one."""
        if self._chunk is not None and chunk.state_before is not self._chunk.state_after:
            self._end_log()
        keep = self.config.stack
        old = self._recent if self._chunk is not None else chunk.frames[:0]
        self._chunk, self._offset, self._recent = chunk, 0, old[-keep:]

    def first(self) -> tuple[np.ndarray, dict[str, Any]]:
        """The observation and info of a reset, after its chunk was taken."""
        assert self._chunk is not None
        count = len(self._chunk.frames)
        if self._oracle is not None:
            self._oracle.step(self._chunk.plan.applied)
        self._show(count)
        self._rewards += [0.0] * count
        self._flush(done=False)
        return self.observation, self.info()

    def step(self) -> Step:
        """Time goes on by a chunk or by a frame."""
        assert self._chunk is not None and not self.wants_chunk, "take a chunk first"
        chunk, count = self._chunk, self._frames_per_step
        rows = slice(self._offset, self._offset + count)
        self._show(count)
        self.steps += 1
        applied = chunk.plan.applied[rows]
        facts = self._oracle.step(applied) if self._oracle is not None else None
        info = self.info()
        if facts is not None:
            info["facts"] = dict(facts)
        transition = Transition(frames=chunk.frames[rows], applied=applied, info=info, facts=facts)
        reward = float(self.reward(transition))
        terminated = bool(self.terminated(transition)) or (chunk.ends and self.wants_chunk)
        truncated = bool(self.config.max_steps) and self.steps >= self.config.max_steps
        self._rewards += [0.0] * (count - 1) + [reward]
        if self.wants_chunk or terminated or truncated:
            self._flush(done=terminated)
        return Step(
            observation=self.observation, reward=reward, terminated=terminated,
            truncated=truncated, info=info,
        )  # fmt: skip

    @property
    def _frames_per_step(self) -> int:
        assert self._chunk is not None
        return len(self._chunk.frames) if self.config.step == "chunk" else 1

    def _show(self, count: int) -> None:
        assert self._chunk is not None
        new = self._chunk.frames[self._offset : self._offset + count]
        keep = self.config.stack
        self._recent = np.concatenate([self._recent, new])[-keep:]
        self._offset += count

    @property
    def observation(self) -> np.ndarray:
        return self.pictures.observe(self._recent)

    @property
    def picture(self) -> np.ndarray:
        """The newest frame at full size."""
        return self._recent[-1]

    def info(self) -> dict[str, Any]:
        """What is known of the newest frame."""
        chunk = self._chunk
        assert chunk is not None
        after, offset = chunk.state_after, self._offset - 1
        track = after.prompt
        return {
            "prompt": track.text,
            "prompt_weight": track.weight,
            "chunk": chunk.state_before.chunk,
            "offset": offset,
            "age_ms": 1000.0 * offset / self.world.info.fps,
            "applied_action": chunk.plan.applied[offset].copy(),
            "events": tuple(chunk.plan.events),
            "seed": self.seed,
            "state": StateHandle(
                chunk=after.chunk, seed=after.seed, prompt=track.text, state=after
            ),
        }

    def snapshot(self) -> EnvState:
        assert self.line is not None, "reset the environment first"
        if self._oracle is not None and not hasattr(self._oracle, "snapshot"):
            raise ValueError("this oracle has no snapshot(), so its moment cannot be kept")
        return EnvState(
            line=self.line.snapshot(), chunk=self._chunk, offset=self._offset,
            recent=self._recent, steps=self.steps, seed=self.seed,
            oracle=None if self._oracle is None else self._oracle.snapshot(),
        )  # fmt: skip

    def restore(self, moment: EnvState) -> None:
        """Go back, or over, to a moment of this world; the log opens a new episode there."""
        self._flush(done=False)
        self._end_log()
        if self.line is None:
            self.line = self._start({})
        self.line.restore(moment.line)
        self._chunk, self._offset, self._recent = moment.chunk, moment.offset, moment.recent
        self.steps, self.seed = moment.steps, moment.seed
        if moment.oracle is not None:
            self._oracle = self._oracle or self._make_oracle(self.seed)
            self._oracle.restore(moment.oracle)

    def close(self) -> None:
        if self._recorder is not None:
            self._flush(done=False)
            self._end_log()
            self._recorder.close()
            self._recorder = None

    def _flush(self, *, done: bool) -> None:
        """Log the frames of the chunk that were shown since the last time: the newest, one for
        each reward."""
        rewards, self._rewards = self._rewards, []
        if self._recorder is None or not rewards or self._chunk is None:
            return
        if not self._recording:
            self._recorder.begin(self._chunk.state_before, extra={"env_seed": self.seed})
            self._recording = True
        self._recorder.add(self._chunk, rewards, first=self._offset - len(rewards), done=done)

    def _end_log(self) -> None:
        if self._recorder is not None and self._recording:
            self._recorder.end()
        self._recording = False
