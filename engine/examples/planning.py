"""Plan in a generated world: find the way to a place that is known from a picture.

A hidden walk ends at a landmark, and its last picture is the goal. The planner does not know the
walk. It imagines candidates in a batch of worlds, keeps those whose last picture is nearest to the
goal, samples around them (the cross-entropy method), walks the best one, and is compared with a
random candidate over many seeds, with a bootstrap interval of the difference.

    python -m engine.examples.planning --seeds 20
"""

import argparse
from dataclasses import dataclass

import gymnasium
import numpy as np

from engine.opening import default_pack


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """How hard the planner thinks."""

    chunks: int = 5
    """Length of the hidden walk, and of a plan."""
    candidates: int = 16
    """Plans imagined at once, one world each."""
    rounds: int = 3
    """Times that the candidates are narrowed down."""
    elite: int = 4
    """Best candidates that the next round samples around."""


def plans(rng, config: PlanConfig, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Normalised actions [candidates, chunks, A]: one action per chunk."""
    noise = rng.standard_normal((config.candidates, *mean.shape))
    return np.clip(mean + spread * noise, -1, 1).astype(np.float32)


def imagine(envs, moment, actions: np.ndarray) -> np.ndarray:
    """The last pictures [candidates, H, W, 3] of walking each plan from a moment."""
    envs.unwrapped.set_state([moment] * len(actions))
    for t in range(actions.shape[1]):
        pictures = envs.step(actions[:, t])[0]
    return pictures


def distance(pictures: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Mean difference [candidates], in grey levels, of pictures seen from afar (8x8 blurred)."""

    def blurred(x: np.ndarray) -> np.ndarray:
        h, w = x.shape[-3] // 8 * 8, x.shape[-2] // 8 * 8
        x = x[..., :h, :w, :].astype(np.float32)
        return x.reshape(*x.shape[:-3], h // 8, 8, w // 8, 8, 3).mean((-4, -2))

    return np.abs(blurred(pictures) - blurred(goal)).mean((-3, -2, -1))


def plan(envs, moment, goal: np.ndarray, config: PlanConfig, rng) -> np.ndarray:
    """The best plan found [chunks, A], by the cross-entropy method."""
    size = envs.single_action_space.shape[0]
    mean = np.zeros((config.chunks, size))
    spread = np.ones_like(mean)
    best, least = mean, np.inf
    for _ in range(config.rounds):
        actions = plans(rng, config, mean, spread)
        costs = distance(imagine(envs, moment, actions), goal)
        order = np.argsort(costs)
        if costs[order[0]] < least:
            best, least = actions[order[0]], costs[order[0]]
        elite = actions[order[: config.elite]]
        mean, spread = elite.mean(0), elite.std(0) + 0.1
    return best


def compare(envs, seed: int, config: PlanConfig) -> tuple[float, float]:
    """How far from the goal a plan and a random walk end, in one world."""
    rng = np.random.default_rng(seed)
    envs.reset(seed=seed)
    moment = envs.unwrapped.get_state()[0]
    nowhere = np.zeros((config.chunks, envs.single_action_space.shape[0]))
    hidden = plans(rng, config, nowhere, nowhere + 1)
    goal = imagine(envs, moment, hidden)[0]
    best = plan(envs, moment, goal, config, rng)
    tried = plans(rng, config, nowhere, nowhere + 1)
    tried[0] = best
    ends = distance(imagine(envs, moment, tried), goal)
    return float(ends[0]), float(ends[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Plan the way to a goal picture.")
    parser.add_argument("--pack", default=default_pack())
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    config = PlanConfig()
    envs = gymnasium.make_vec(
        "engine.rollouts:helios/World-v0", num_envs=config.candidates,
        vectorization_mode="vector_entry_point", pack=args.pack, actions="normalised",
    )  # fmt: skip
    ends = np.array([compare(envs, seed, config) for seed in range(args.seeds)])
    gain = ends[:, 1] - ends[:, 0]
    draws = np.random.default_rng(0).choice(gain, (10_000, len(gain))).mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    print(f"{args.pack}, {args.seeds} seeds: grey levels from the goal at the end")
    print(f"planned {ends[:, 0].mean():.2f}, random {ends[:, 1].mean():.2f}")
    print(f"planning ends nearer by {gain.mean():.2f} (95 % interval {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
