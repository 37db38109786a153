"""Who plays while clips are recorded: at random, a track, or a Python file.

A policy is called once per frame with the picture and answers channel values. `random` holds each
channel for a random while and stands still for a tenth of the time, so that "no input, no motion"
is learned too. Not here: the walks of Wilds (training.worlds.wilds.policies), a human (--play).

    policy = make_policy("random", spec, seed=3)
    values = policy(observation, frame)          # [A]

A channels, F frames.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from helios_core.actions import ActionSpec, Channel

Policy = Callable[[np.ndarray, int], np.ndarray | None]
"""(picture [H, W, 3], frame of the episode) to channel values [A], or None to end the recording."""

STILL = 0.1
"""Share of time in which the random policy touches nothing."""


class RandomPolicy:
    """Channels held for half a second on average; looking is smooth, buttons are rare."""

    def __init__(self, spec: ActionSpec, *, seed: int, fps: int) -> None:
        self.spec = spec
        self.rng = np.random.default_rng(seed)
        self.change = min(1.0, 2.0 / fps)
        self.target = np.zeros(spec.size, np.float32)
        self.values = np.zeros(spec.size, np.float32)
        self.still_frames = 0

    def __call__(self, picture: np.ndarray, frame: int) -> np.ndarray:
        if self.still_frames > 0:
            self.still_frames -= 1
            return np.zeros(self.spec.size, np.float32)
        if self.rng.random() < self.change * STILL / (1 - STILL) / 4:
            self.still_frames = int(self.rng.integers(1, 8) / self.change)
        for i, channel in enumerate(self.spec.channels):
            if self.rng.random() < self.change:
                self.target[i] = self._draw(channel)
        self.values += 0.4 * (self.target - self.values)
        return self.spec.clip(self.values)

    def _draw(self, channel: Channel) -> float:
        rng = self.rng
        if channel.kind == "button":
            return float(rng.random() < 0.12)
        if channel.unit:
            spread = 0.25 if channel.name != "look_pitch" else 0.06
            return float(np.clip(rng.normal() * spread, -1, 1)) * channel.scale
        if channel.low < 0:
            bias = 0.6 if channel.name == "move_forward" else 0.0
            return float(rng.choice([channel.low, 0.0, channel.high], p=_three(bias)))
        return float(rng.random() * channel.high * (rng.random() < 0.6))


def _three(bias: float) -> list[float]:
    """Chances of low, nothing and high."""
    high = 0.25 + 0.5 * bias
    low = 0.25 - 0.25 * bias
    return [low, 1 - low - high, high]


def make_policy(name: str, spec: ActionSpec, *, seed: int, fps: int) -> Policy:
    """`random`, or the path of a Python file."""
    if name == "random":
        return RandomPolicy(spec, seed=seed, fps=fps)
    if name.endswith(".py"):
        return _from_file(Path(name), spec, seed)
    raise ValueError(f"no policy {name!r}: say random, scripted or the path of a Python file")


def repeat(track: np.ndarray) -> Policy:
    """A track [F, A] played over and over."""
    if len(track) == 0:
        raise ValueError("the script names no frames")
    return lambda picture, frame: track[frame % len(track)]


def _from_file(path: Path, spec: ActionSpec, seed: int) -> Policy:
    """A file that defines `make_policy(spec, seed)`, which returns (picture, frame) -> values."""
    if not path.exists():
        raise ValueError(f"no policy file {path}")
    module_spec = importlib.util.spec_from_file_location("recorded_policy", path)
    assert module_spec is not None and module_spec.loader is not None
    module: Any = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    if not hasattr(module, "make_policy"):
        raise ValueError(f"{path} defines no make_policy(spec, seed)")
    return module.make_policy(spec, seed)
