"""Record episodes of any Gymnasium game as action-labelled clips.

Every episode's seed follows from the first one and its number, so that a recording that was
stopped goes on where it ended. A frame is the picture after its action, as in play. Not here: the
file format (engine.rollouts), what actions mean (training.worlds.games).

    record(load_mapping("freedoom"), RecordConfig(out="clips/doom", episodes=10))

F frames, H W pixels, A channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.rollouts.reader import RolloutDataset
from engine.rollouts.spec import Column, RolloutSpec
from engine.rollouts.writer import RolloutWriter
from training.clips.pictures import fit
from training.clips.policies import Policy, make_policy
from training.worlds.games.mapping import GameMapping

CHUNK = 20
"""Frames handed to the writer at a time, fewer where the prompt changes."""
POSE = Column(name="observation.pose", dtype="float64", size=6)


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """What to record."""

    out: str
    """Folder of the data set; one that exists is appended to."""
    episodes: int = 10
    """Episodes in the data set when done."""
    frames: int = 600
    """Frames of an episode at most."""
    policy: str = "random"
    """`random` or a Python file."""
    seed: int = 0
    """First seed."""

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.frames < 1:
            raise ValueError("episodes and frames are at least 1")


def record(
    mapping: GameMapping,
    config: RecordConfig,
    *,
    player: Policy | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Record until the data set holds `episodes` or the policy ends it; returns the frames
    recorded now."""
    env = _make(mapping)
    try:
        picture, info = env.reset(seed=config.seed)
        spec = _spec(mapping, _picture(env, picture), info)
        done = _episodes(config.out, spec)
        progress(done, config.episodes)
        frames, who = 0, "the player" if player else f"the policy {config.policy}"
        with RolloutWriter.open(config.out, spec) as writer:
            for number in range(done, config.episodes):
                seed = config.seed + number
                policy = player or make_policy(
                    config.policy, mapping.spec, seed=seed, fps=mapping.fps
                )
                episode = _Episode(env, mapping, writer, seed)
                frames += episode.play(_checked(policy, who, mapping), config.frames)
                writer.raise_if_failed()
                if episode.left:
                    break
                progress(number + 1, config.episodes)
        return frames
    finally:
        env.close()


def _checked(policy: Policy, who: str, mapping: GameMapping) -> Policy:
    """The policy, held to one value for every channel: fewer would be spread over all of them."""
    spec = mapping.spec

    def answer(picture: np.ndarray, frame: int) -> np.ndarray | None:
        values = policy(picture, frame)
        if values is not None and np.shape(values) != (spec.size,):
            raise ValueError(
                f"{who} answered values of shape {np.shape(values)} in frame {frame}; "
                f"give {spec.size}: {', '.join(spec.names)}"
            )
        return values

    return answer


class _Episode:
    """One episode: what was asked, what came of it, handed on in chunks."""

    def __init__(self, env: Any, mapping: GameMapping, writer: RolloutWriter, seed: int) -> None:
        self.env, self.mapping, self.writer, self.seed = env, mapping, writer, seed
        self.pictures: list[np.ndarray] = []
        self.asked: list[np.ndarray] = []
        self.applied: list[np.ndarray] = []
        self.poses: list[np.ndarray] = []
        self.prompt = ""
        self.written = self.chunk = 0
        self.left = False

    def play(self, policy: Policy, frames: int) -> int:
        """Up to so many frames; `left` tells that the policy ended the recording. What there is
        by then is an episode."""
        observation, info = self.env.reset(seed=self.seed)
        picture = _picture(self.env, observation)
        self.prompt = self._prompt(info)
        self.writer.begin_episode(prompt=self.prompt, seed=self.seed)
        for frame in range(frames):
            wanted = policy(picture, frame)
            if wanted is None:
                self.left = True
                break
            values = self.mapping.spec.clip(wanted)
            action = self.mapping.to_env(values)
            picture, info, over = self._step(action)
            self._keep(picture, values, action, info)
            if len(self.pictures) == CHUNK:
                self._flush()
            if over:
                break
        self._flush()
        if self.written:
            self.writer.end_episode()
        else:
            self.writer.drop_episode()
        return self.written

    def _step(self, action: Any) -> tuple[np.ndarray, dict[str, Any], bool]:
        observation, info, over = None, {}, False
        for _ in range(self.mapping.hold):
            observation, _, ended, cut, info = self.env.step(action)
            over = over or ended or cut
            if over:
                break
        return _picture(self.env, observation), info, over

    def _keep(
        self, picture: np.ndarray, values: np.ndarray, action: Any, info: dict[str, Any]
    ) -> None:
        spec, prompt = self.writer.spec, self._prompt(info)
        if prompt != self.prompt:
            self._flush()
            self.prompt = prompt
        self.pictures.append(fit(picture, spec.height, spec.width))
        self.asked.append(values)
        self.applied.append(self.mapping.from_env(action))
        if spec.extras:
            self.poses.append(np.array(info["pose"], np.float64))  # which may change in place

    def _flush(self) -> None:
        if not self.pictures:
            return
        extra = {POSE.name: np.stack(self.poses)} if self.poses else {}
        self.writer.write(
            np.stack(self.pictures),
            np.stack(self.asked),
            np.stack(self.applied),
            prompt=self.prompt,
            chunk=self.chunk,
            extra=extra,
        )
        self.written, self.chunk = self.written + len(self.pictures), self.chunk + 1
        self.pictures, self.asked, self.applied, self.poses = [], [], [], []

    def _prompt(self, info: dict[str, Any]) -> str:
        return str(info.get("prompt") or self.mapping.prompt)


def _make(mapping: GameMapping) -> Any:
    """The game; a ValueError says what it lacks, or where the mapping misses it."""
    import gymnasium

    arguments = {"render_mode": "rgb_array", **mapping.kwargs}
    try:
        env = gymnasium.make(mapping.env, disable_env_checker=True, **arguments)
    except (gymnasium.error.Error, ImportError) as error:
        raise ValueError(
            f"{mapping.env} cannot be made: {error}; the shipped games come with the extra "
            "'games': pip install 'helios-engine[games]'"
        ) from error
    except TypeError as error:
        raise ValueError(
            f"{mapping.env} cannot be made with kwargs {sorted(arguments)}: {error}; the mapping's "
            "kwargs are the arguments of the environment"
        ) from error
    try:
        mapping.check(env.action_space)
    except ValueError:
        env.close()
        raise
    return env


def _picture(env: Any, observation: Any) -> np.ndarray:
    """The observation if it is a picture, else what the environment renders."""
    array = np.asarray(observation)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
        return array
    rendered = env.render()
    if not isinstance(rendered, np.ndarray) or rendered.ndim != 3:
        raise ValueError(
            "this environment neither observes nor renders pictures [H, W, 3] of bytes; make it "
            "with render_mode='rgb_array' in the mapping's kwargs"
        )
    return rendered


def _spec(mapping: GameMapping, picture: np.ndarray, info: dict[str, Any]) -> RolloutSpec:
    height = mapping.height or picture.shape[0] // 2 * 2
    width = mapping.width or picture.shape[1] // 2 * 2
    posed = "pose" in info and np.shape(info["pose"]) == (POSE.size,)
    return RolloutSpec(
        fps=mapping.fps,
        height=height,
        width=width,
        actions=mapping.spec,
        extras=(POSE,) if posed else (),
        source=_source(mapping),
    )


def _source(mapping: GameMapping) -> dict[str, Any]:
    """What a recording says of its game; the keys travel on into packs that learn from it."""
    source = {"env": mapping.env, "licence": mapping.licence}
    return {**source, "bindings": dict(mapping.bindings)} if mapping.bindings else source


def _episodes(out: str, spec: RolloutSpec) -> int:
    """Whole episodes that are there already; another spec is refused before a game starts."""
    if not (Path(out) / "meta").exists():
        return 0
    there = RolloutDataset.open(out)
    differences = there.spec.differences(spec)
    if differences:
        raise ValueError(f"{out} holds other clips: {differences[0]}; record into another folder")
    return sum(episode.complete for episode in there.episodes)
