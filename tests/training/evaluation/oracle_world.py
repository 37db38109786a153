"""Wilds itself as a `World`: what a perfect model would be, to test the measurements with.

It is started from an oracle episode's past by looking the episode up by its seed, and it can be
made worse on purpose: deaf (no actions), mirrored (turns the wrong way), frozen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from helios_core.prompts import PromptTrack
from helios_core.world_api import WorldInfo
from training.evaluation import oracle
from training.worlds.wilds.physics import Body
from training.worlds.wilds.spec import FPS, SPEC
from training.worlds.wilds.world import State, Wilds


@dataclass(frozen=True, kw_only=True, eq=False)
class TrueState:
    chunk: int
    seed: int
    prompt: PromptTrack
    wilds: Any


def row(state: State, i: int) -> State:
    """The state of one world of a batch."""
    part = slice(i, i + 1)
    body = Body(**{f.name: getattr(state.body, f.name)[part] for f in fields(Body)})
    rest = {f.name: getattr(state, f.name)[part] for f in fields(State) if f.name != "body"}
    return State(body=body, **rest)


class OracleWorld:
    """The truth, one Wilds per state."""

    def __init__(self, *, height: int = 32, width: int = 48, fault: str = "") -> None:
        self.fault = fault
        self.info = WorldInfo(
            name="oracle", fps=FPS, chunk_frames=4, height=height, width=width, spec=SPEC,
            layout="streamed", pack_hash="oracle",
        )  # fmt: skip
        self.episodes: dict[bytes, tuple[Any, int]] = {}

    def remember(self, monkeypatch) -> None:
        """Have every oracle frame's moment looked up by its picture from now on."""
        original = oracle._render

        def render(wilds: Wilds, actions: np.ndarray):
            pictures = np.empty((*actions.shape[:2], wilds.height, wilds.width, 3), np.uint8)
            poses = np.empty((*actions.shape[:2], 6))
            for t in range(actions.shape[1]):
                one, pose = original(wilds, actions[:, t : t + 1])
                pictures[:, t], poses[:, t] = one[:, 0], pose[:, 0]
                for i in range(wilds.count):
                    key = pictures[i, t].tobytes()
                    self.episodes[key] = row(wilds.state, i), int(wilds.seeds[i])
            return pictures, poses

        monkeypatch.setattr(oracle, "_render", render)

    def start(self, *, seed: int, prompt: str = "", image=None, clip=None) -> TrueState:
        assert clip is not None
        moment = self.episodes[clip[-1].tobytes()]
        return TrueState(chunk=0, seed=seed, prompt=PromptTrack.hard(prompt), wilds=moment)

    def generate_batch(
        self, states: Sequence[TrueState], actions, prompts, *, crossfade=None
    ) -> tuple[list[TrueState], list[np.ndarray]]:
        after, chunks = [], []
        for state, values in zip(states, actions, strict=True):
            moment, seed = state.wilds
            wilds = Wilds([seed], self.info.height, self.info.width)
            wilds.state = moment
            chunks.append(self._frames(wilds, values))
            after.append(replace(state, chunk=state.chunk + 1, wilds=(wilds.state, seed)))
        return after, chunks

    def _frames(self, wilds: Wilds, values: np.ndarray | None) -> np.ndarray:
        values = SPEC.zeros(4) if values is None or self.fault == "deaf" else values.copy()
        if self.fault == "mirrored":
            values[:, SPEC.index("look_yaw")] *= -1
        frames = []
        for t in range(4):
            if self.fault != "frozen":
                wilds.step(values[None, t])
            frames.append(wilds.render()[0].numpy())
        return np.stack(frames)

    def decode_batch(self, states: Sequence[TrueState], latents: list[np.ndarray]) -> np.ndarray:
        return np.stack(latents)
