"""Rewards and terminations to start from: plain functions over a `Transition`.

Two examples that need nothing but frames and actions, and one that asks an oracle. Write your own
beside your training script and hand it to `gymnasium.make(..., reward=mine)`.
"""

from collections.abc import Callable

import numpy as np

from engine.rollouts.env_config import Transition


def no_reward(transition: Transition) -> float:
    return 0.0


def never(transition: Transition) -> bool:
    return False


def walked(transition: Transition) -> float:
    """Example 1, over actions: the share of time spent going forward."""
    return float(transition.applied[:, 0].mean()) if transition.applied.size else 0.0


def sees_colour(colour: tuple[int, int, int], *, within: float = 60.0) -> Callable:
    """Example 2, over frames: the share of the middle third that has about this colour.

    A landmark that stands out (a campfire, a lighthouse) grows as one walks towards it.
    """

    def reward(transition: Transition) -> float:
        frame = transition.frames[-1]
        h, w = frame.shape[:2]
        middle = frame[h // 3 : 2 * h // 3, w // 3 : 2 * w // 3].astype(np.float32)
        distance = np.linalg.norm(middle - np.array(colour, np.float32), axis=-1)
        return float((distance < within).mean())

    return reward


def fact_reached(name: str, value: float) -> Callable:
    """A termination by the oracle: a fact is at least so large."""

    def terminated(transition: Transition) -> bool:
        if transition.facts is None:
            raise ValueError(f"the fact {name!r} needs an environment with an oracle")
        return float(transition.facts[name]) >= value

    return terminated
