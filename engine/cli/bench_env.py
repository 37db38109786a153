"""`helios bench env`: frames per second of the Gymnasium world, alone and in batches.

The last line says what limits a batch. Seconds of processor count all threads, so they tell what
the work costs even where other work shares the machine.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

EXAMPLE = "helios bench env --pack wilds-nano --batch 1 2 4 8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--pack", default="random", help="name or folder of a pack")
    add("--device", default="cpu")
    add("--threads", type=int, help="of torch (default: torch's own)")
    add("--batch", type=int, nargs="+", default=[1, 2, 4, 8], help="worlds in one forward pass")
    add("--chunks", type=int, default=30, help="chunks timed for each")


def run(args: argparse.Namespace) -> int:
    if min(*args.batch, args.chunks, args.batch[0]) < 1:
        raise ValueError("--batch and --chunks are at least 1")
    print("worlds  frames/s  per world  against the first  per second of processor")
    steps: list[Step] = []
    for count in args.batch:
        step = measure(
            args.pack, count, chunks=args.chunks, device=args.device, threads=args.threads
        )
        steps.append(step)
        rate = step.frames / step.seconds
        gain = rate * steps[0].seconds / steps[0].frames
        print(
            f"{count:6d}  {rate:8.1f}  {rate / count:9.1f}  {gain:15.2f} x  "
            f"{step.frames / step.busy:23.1f}",
            flush=True,
        )
    if len(set(args.batch)) > 1:
        print(_why(args.batch, [step.seconds for step in steps]))
    return 0


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step of all worlds costs, at the median."""

    frames: int
    """Of all worlds."""
    seconds: float
    busy: float
    """Seconds of processor, of all threads."""


def measure(
    pack: str, count: int, *, chunks: int, device: str = "cpu", threads: int | None = None
) -> Step:
    """The median step of so many worlds, observations included."""
    import gymnasium

    envs = gymnasium.make_vec(
        "engine.rollouts:helios/World-v0", num_envs=count,
        vectorization_mode="vector_entry_point", pack=pack, device=device, threads=threads,
    )  # fmt: skip
    envs.reset(seed=0)
    envs.action_space.seed(0)
    times, used = [], []
    for _ in range(chunks + 2):
        actions = envs.action_space.sample()
        began, busy = time.perf_counter(), time.process_time()
        envs.step(actions)
        times.append(time.perf_counter() - began)
        used.append(time.process_time() - busy)
    info = envs.unwrapped.world.info  # type: ignore[attr-defined]
    envs.close()
    return Step(
        frames=count * info.chunk_frames,
        seconds=statistics.median(times[2:]),
        busy=statistics.median(used[2:]),
    )


def _why(counts: Sequence[int], seconds: Sequence[float]) -> str:
    """What limits the gain of a batch: the part of a step that every world adds to it."""
    each, fixed = statistics.linear_regression(counts, seconds)
    if fixed <= 0 or each <= 0:
        return "these times are too noisy to tell what a world adds to a step"
    return (
        f"a step costs {fixed * 1e3:.1f} ms and {each * 1e3:.1f} ms per world, so no batch gives "
        f"more than {(fixed + each) / each:.1f} x of one world"
    )
