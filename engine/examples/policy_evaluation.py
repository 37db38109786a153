"""Can a generated world rank policies as the true one does?

Scripted policies walk from the same start in the world model and in the true `wilds`, which the
model is shown a second of. Each is scored by pictures alone: how much of the first view is in the
last one again. The rank correlation of the two score lists says how far the model may stand in for
the truth.

    python -m engine.examples.policy_evaluation --pack wilds-nano --starts 4
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.opening import default_pack
from engine.rollouts.lines import Line, advance
from helios_core.actions import ActionSpec
from helios_core.packs import load_world
from helios_core.world_api import World

FRAMES = 40


def policies(spec: ActionSpec, frames: int) -> dict[str, np.ndarray]:
    """Ten scripted policies, each the actions [F, A] of a whole walk."""
    half = np.where(np.arange(frames) < frames // 2, 1.0, -1.0)
    scripts: dict[str, dict[str, Any]] = {
        "stand": {},
        "forward": {"move_forward": 1},
        "run": {"move_forward": 1, "run": 1},
        "back": {"move_forward": -1},
        "turn left": {"look_yaw": -40},
        "turn right": {"look_yaw": 40},
        "turn and return": {"look_yaw": 40 * half},
        "walk and return": {"move_forward": half},
        "look up and down": {"look_pitch": 25 * half},
        "strafe": {"strafe": 1},
    }
    return {name: spec.build(frames, **script) for name, script in scripts.items()}


def score(first: np.ndarray, last: np.ndarray) -> float:
    """Likeness of two pictures: 0 is the same, lower is less alike (grey levels)."""
    return -float(np.abs(first.astype(np.float32) - last.astype(np.float32)).mean())


def true_walks(seed: int, walks: Sequence[np.ndarray], info: Any) -> tuple[np.ndarray, np.ndarray]:
    """The clip that precedes the walks [20, H, W, 3], and each walk's last picture."""
    from training.worlds.wilds.world import Wilds

    wilds = Wilds([seed], info.height, info.width)
    before = []
    for _ in range(info.fps):
        wilds.step(info.spec.zeros(1))
        before.append(wilds.render()[0].numpy())
    moment, lasts = wilds.state, []
    for actions in walks:
        wilds.state = moment
        for row in actions:
            wilds.step(row[None])
        lasts.append(wilds.render()[0].numpy())
    return np.stack(before), np.stack(lasts)


def world_walks(world: World, clip: np.ndarray, walks: Sequence[np.ndarray], prompt: str) -> Any:
    """Each walk's last picture, all walks in one batch."""
    state = world.start(seed=0, prompt=prompt, clip=clip)
    lines = [Line(world, state) for _ in walks]
    size = world.info.chunk_frames
    frames: list[np.ndarray] = []
    for t in range(0, len(walks[0]) // size * size, size):
        frames = [c.frames for c in advance(world, lines, [w[t : t + size] for w in walks])]
    return np.stack([f[-1] for f in frames])


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks, ties sharing their mean rank."""

    def ranks(values: Sequence[float]) -> np.ndarray:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank policies in a world and in the truth.")
    parser.add_argument("--pack", default=default_pack())
    parser.add_argument("--starts", type=int, default=4, help="places to start from")
    parser.add_argument("--prompt", default="")
    args = parser.parse_args()
    world = load_world(args.pack)
    walks = policies(world.info.spec, FRAMES)
    scores = np.zeros((2, args.starts, len(walks)))
    for seed in range(args.starts):
        clip, truth = true_walks(seed, list(walks.values()), world.info)
        made = world_walks(world, clip, list(walks.values()), args.prompt)
        scores[0, seed] = [score(clip[-1], last) for last in truth]
        scores[1, seed] = [score(clip[-1], last) for last in made]
    print(f"{'policy':<18} {'wilds':>8} {args.pack:>8}")
    for i, name in enumerate(walks):
        print(f"{name:<18} {scores[0, :, i].mean():8.2f} {scores[1, :, i].mean():8.2f}")
    overall = rank_correlation(*scores.mean(1))
    each = [rank_correlation(scores[0, s], scores[1, s]) for s in range(args.starts)]
    print(f"rank correlation of {len(walks)} policies: {overall:.2f} (per start: ", end="")
    print(", ".join(f"{r:.2f}" for r in each) + ")")


if __name__ == "__main__":
    main()
