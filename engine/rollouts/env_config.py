"""What an environment is made of, as keyword arguments of `gymnasium.make`.

    gymnasium.make("engine.rollouts:helios/World-v0", pack="wilds-nano", actions="discrete")

F frames of a chunk, A action channels, H W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np

from helios_core.world_api import World

ACTION_KINDS = ("box", "normalised", "dict", "discrete", "track")

PRESETS: dict[str, dict[str, float]] = {
    "still": {},
    "forward": {"move_forward": 1.0},
    "back": {"move_forward": -1.0},
    "left": {"look_yaw": -60.0},
    "right": {"look_yaw": 60.0},
    "forward left": {"move_forward": 1.0, "look_yaw": -60.0},
    "forward right": {"move_forward": 1.0, "look_yaw": 60.0},
    "jump": {"jump": 1.0},
}
"""Discrete actions; those that need a channel the world lacks are left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Transition:
    """What a reward or a termination is computed from."""

    frames: np.ndarray
    """uint8 [n, H, W, 3]: the new frames of this step."""
    applied: np.ndarray
    """float32 [n, A]: what the world was told for them, in the spec's units."""
    info: Mapping[str, Any]
    """What `step` returns as `info`."""
    facts: Mapping[str, Any] | None
    """What the oracle says after this step, if there is one."""


class Oracle(Protocol):
    """A true world beside the generated one, told the same actions."""

    def step(self, applied: np.ndarray) -> Mapping[str, Any]:
        """Facts after the frames of [n, A]."""
        ...


Reward = Callable[[Transition], float]
Termination = Callable[[Transition], bool]


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Settings of a world environment; functions may be given as "module:name"."""

    pack: str | Callable[[], World] = "wilds-nano"
    """Name or folder of a pack, or a function that gives a `World` (Gymnasium copies settings,
    and functions are copied by reference)."""
    device: str = "cpu"
    threads: int | None = None
    """Threads of torch, for the whole process."""
    scene: str = ""
    """A scene file: its start, its events and its ending."""
    prompt: str = ""
    """Text of a free world; `reset(options={"prompt": ...})` overrides it."""
    step: Literal["chunk", "frame"] = "chunk"
    """A `chunk` step takes one action and F frames of time; a `frame` step takes one frame, and
    its action counts only where a chunk begins: it is held for the whole of it."""
    actions: Literal["box", "normalised", "dict", "discrete", "track"] = "box"
    """`box`: [A] in the spec's units; `normalised`: [A] in [-1, 1], a button is down above 0;
    `dict`: by channel name; `discrete`: one of `presets`; `track`: [F, A], a row per frame."""
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: PRESETS)
    """Discrete actions: name to channel values."""
    size: tuple[int, int] | None = None
    """(height, width) of observations; None for the world's own."""
    stack: int = 1
    """More than 1: observations are the newest frames [stack, H, W, 3]."""
    max_steps: int = 0
    """Truncate an episode after so many steps; 0 for never."""
    reward: Reward | str = "engine.rollouts.rewards:no_reward"
    terminated: Termination | str = "engine.rollouts.rewards:never"
    oracle: Callable[[int], Oracle] | str | None = None
    """Makes the true world of a seed, whose facts rewards may use."""
    record: str = ""
    """Folder of a rollout recording of every episode."""
    latents: bool = False
    """Keep the latents of every chunk in the recording."""

    def __post_init__(self) -> None:
        if self.step not in ("chunk", "frame"):
            raise ValueError(f"step {self.step!r}: choose chunk or frame")
        if self.actions not in ACTION_KINDS:
            raise ValueError(f"actions {self.actions!r}: choose one of {', '.join(ACTION_KINDS)}")
        if self.actions == "track" and self.step == "frame":
            raise ValueError('actions "track" has a row per frame of a chunk; use step "chunk"')
        if self.stack < 1 or self.max_steps < 0:
            raise ValueError("stack is at least 1 and max_steps at least 0")


def env_config(settings: Mapping[str, Any]) -> EnvConfig:
    """Settings by keyword; an unknown one is an error that names the nearest."""
    names = [f.name for f in fields(EnvConfig)]
    for name in settings:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}"
            raise ValueError(f"the environment has no setting {name!r}{hint}")
    return EnvConfig(**settings)


def resolve(function: Any) -> Any:
    """A function, or the one that "module:name" names."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    if not name:
        raise ValueError(f"{function!r}: name a function as module:name")
    return getattr(import_module(module), name)
