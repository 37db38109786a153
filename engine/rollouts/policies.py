"""Who acts when nobody plays: named policies and policies from a file.

A factory takes the action spec and a seed and gives a policy; a policy takes the newest frames
[F, H, W, 3] and a number of frames and gives the actions of those to come [n, A]. Not here:
policies that need the truth of `wilds` (training.worlds.wilds.policies).

    policy = make_policy("random", spec, seed=0)
    actions = policy(frames, 4)
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from helios_core.actions import ActionSpec

Policy = Callable[[np.ndarray, int], np.ndarray]
Factory = Callable[[ActionSpec, int], Policy]


def random_walk(spec: ActionSpec, seed: int) -> Policy:
    """Axes drift smoothly and return to rest; buttons are tapped now and then."""
    rng = np.random.default_rng([seed, 0x5EED])
    scale = np.array([c.scale for c in spec.channels], np.float32)
    button = np.array([c.kind == "button" for c in spec.channels], bool)
    value = np.zeros(spec.size, np.float32)

    def policy(frames: np.ndarray, count: int) -> np.ndarray:
        nonlocal value
        rows = np.zeros((count, spec.size), np.float32)
        for row in rows:
            value = 0.9 * value + 0.25 * rng.standard_normal(spec.size).astype(np.float32)
            row[:] = np.where(button, value > 0.9, np.clip(value, -1, 1) * scale)
        return spec.clip(rows)

    return policy


def still(spec: ActionSpec, seed: int) -> Policy:
    """Nobody touches anything."""
    return lambda frames, count: spec.zeros(count)


def forward(spec: ActionSpec, seed: int) -> Policy:
    """Straight ahead."""
    return lambda frames, count: spec.build(count, move_forward=1.0)


POLICIES: dict[str, Factory] = {"random": random_walk, "still": still, "forward": forward}


def make_policy(name: str, spec: ActionSpec, *, seed: int) -> Policy:
    """A named policy, or FILE.py with a function `policy(spec, seed)` that makes one."""
    if name in POLICIES:
        return POLICIES[name](spec, seed)
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"no policy {name!r}: use {', '.join(POLICIES)} or a FILE.py")
    found = importlib.util.spec_from_file_location("helios_policy_file", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    if not callable(getattr(module, "policy", None)):
        raise ValueError(f"{path} has no function `policy(spec, seed)`")
    return module.policy(spec, seed)
