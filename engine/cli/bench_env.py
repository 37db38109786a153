"""`helios bench env`: frames per second of the Gymnasium world, alone and in batches.

A sentence says what limits a batch. Seconds of processor count all threads, so they tell what
the work costs even where other work shares the machine.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.cli.bench_report import (
    ceilings_of,
    finish,
    floor_share,
    hardware,
    share_text,
    summary,
)

EXAMPLE = "helios bench env --pack wilds-nano --batch 1 2 4 8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--pack", default="random", help="name or folder of a pack")
    add("--device", default="cpu")
    add("--threads", type=int, help="of torch (default: torch's own)")
    add("--batch", type=int, nargs="+", default=[1, 2, 4, 8], help="worlds in one forward pass")
    add("--warmup", type=int, default=2, help="chunks thrown away first (default: 2)")
    add("--chunks", type=int, default=30, help="chunks timed for each (default: 30)")


def run(args: argparse.Namespace) -> int:
    if min(*args.batch, args.chunks) < 1 or args.warmup < 0:
        raise ValueError("--batch and --chunks are at least 1, --warmup at least 0")
    steps, limits = [], None
    for count in args.batch:
        step = measure(
            args.pack, count, warmup=args.warmup, chunks=args.chunks,
            device=args.device, threads=args.threads, limits=limits,
        )  # fmt: skip
        if not steps:  # the threads of torch are set from here on
            machine, limits = hardware(args.device), step.limits
            _head(args, step, machine)
        steps.append(step)
        _print(step, steps[0])
    if len(set(args.batch)) > 1:
        print(_why(args.batch, [step.p50 for step in steps]))
    return finish("env", {"hardware": machine, "ceilings": limits, "pack": args.pack,
                          "size": steps[0].size, "dtype": steps[0].dtype, "warmup": args.warmup,
                          "chunks": args.chunks, "rows": [step.row for step in steps]})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step of all worlds costs."""

    worlds: int
    frames: int
    """Of all worlds."""
    seconds: tuple[float, ...]
    """Of each step, observations included."""
    busy: float
    """Seconds of processor at the median, of all threads."""
    floor: dict[str, Any]
    """The floor of the products, and its share of the median."""
    limits: dict[str, float] | None
    """What this machine reaches; None for a world without a model."""
    size: str
    """Frames of a chunk, and their height and width."""
    dtype: str

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def row(self) -> dict[str, Any]:
        """As the JSON line has it."""
        rates = {
            "frames_per_s": self.frames / self.p50,
            "frames_per_cpu_s": self.frames / self.busy,
        }
        rates = {name: round(rate, 1) for name, rate in rates.items()}
        return {"worlds": self.worlds, **summary(list(self.seconds)), **rates, **self.floor}


def measure(
    pack: str,
    count: int,
    *,
    warmup: int,
    chunks: int,
    device: str = "cpu",
    threads: int | None = None,
    limits: dict[str, float] | None = None,
) -> Step:
    """Steps of so many worlds. The machine's ceilings are measured where none are given."""
    import gymnasium

    from helios_core.products import chunk_products

    envs = gymnasium.make_vec(
        "engine.rollouts:helios/World-v0", num_envs=count,
        vectorization_mode="vector_entry_point", pack=pack, device=device, threads=threads,
    )  # fmt: skip
    envs.reset(seed=0)
    envs.action_space.seed(0)
    times, used = [], []
    for _ in range(warmup + chunks):
        actions = envs.action_space.sample()
        began, busy = time.perf_counter(), time.process_time()
        envs.step(actions)
        times.append(time.perf_counter() - began)
        used.append(time.process_time() - busy)
    world: Any = envs.unwrapped.world  # type: ignore[attr-defined]
    info, limits = world.info, limits or ceilings_of(world)
    taken = tuple(times[warmup:])
    work = chunk_products(world, count)
    envs.close()
    return Step(
        worlds=count,
        frames=count * info.chunk_frames,
        seconds=taken,
        busy=statistics.median(used[warmup:]),
        floor=floor_share(work, limits, statistics.median(taken) * 1e3),
        limits=limits,
        size=f"{info.chunk_frames}x{info.height}x{info.width}",
        dtype=info.fingerprint.get("dtype", "-"),
    )


def _head(args: argparse.Namespace, step: Step, machine: dict[str, Any]) -> None:
    print(f"{machine}\n{args.pack}, {step.size}, {step.dtype}, warm-up {args.warmup} chunks")
    if step.limits is not None:
        print(f"copy {step.limits['bytes_per_s'] / 1e9:.1f} GB/s, products "
              f"{step.limits['flop_per_s'] / 1e12:.3f} TFLOP/s")  # fmt: skip
    print("worlds    p50 ms    p95 ms  frames/s  per world  against the first  per second of "
          "processor")  # fmt: skip


def _print(step: Step, first: Step) -> None:
    row = step.row
    gain = row["frames_per_s"] / first.row["frames_per_s"]
    print(
        f"{step.worlds:6d}  {row['p50_ms']:8.2f}  {row['p95_ms']:8.2f}  {row['frames_per_s']:8.1f}"
        f"  {row['frames_per_s'] / step.worlds:9.1f}  {gain:15.2f} x  "
        f"{row['frames_per_cpu_s']:23.1f}  {share_text(row)}",
        flush=True,
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
