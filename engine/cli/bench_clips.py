"""`helios bench clips`: how fast random windows of a recording stream, decoded, as training asks.

One reader on one thread of Python. Beside the frames per second stands the same per second of
processor time, which is what a core gives when nothing else wants it.
"""

import argparse
import time
from pathlib import Path

from engine.cli.bench_report import finish, summary

EXAMPLE = """helios record --env wilds --episodes 8 --frames 200 --out clips/wilds
  helios bench clips clips/wilds --frames 24"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, help="a recording")
    add("--frames", type=int, default=24, help="frames of a window (default: 24)")
    add("--windows", type=int, default=200, help="windows timed (default: 200)")
    add("--warmup", type=int, default=8, help="windows thrown away first (default: 8)")
    add("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    from engine.cli.bench_play import describe_hardware
    from engine.rollouts.reader import RolloutDataset

    if args.frames < 1 or args.windows < 1 or args.warmup < 0:
        raise ValueError("--frames and --windows are at least 1, --warmup at least 0")
    data = RolloutDataset.open(args.folder)
    stream = data.windows(args.frames, seed=args.seed)
    for _ in range(args.warmup):
        next(stream)
    times, used = [], time.process_time()
    for _ in range(args.windows):
        began = time.perf_counter()
        next(stream)
        times.append(time.perf_counter() - began)
    used = time.process_time() - used
    frames, hardware = args.frames * args.windows, describe_hardware()
    size = f"{data.spec.height}x{data.spec.width}"
    rates = {"frames_per_s": frames / sum(times), "frames_per_cpu_s": frames / used}
    rates = {name: round(rate, 1) for name, rate in rates.items()}
    print(f"hardware: {', '.join(f'{k} {v}' for k, v in hardware.items())}")
    print(f"{len(data.episodes)} episodes, {data.frames} frames of {size}")
    print(f"{args.windows} random windows of {args.frames} frames, after {args.warmup} to warm up")
    print("{frames_per_s} frames/s, {frames_per_cpu_s} per second of processor".format(**rates))
    report = {"hardware": hardware, "size": size, "window": args.frames, "windows": args.windows}
    return finish("clips", {**report, **rates, **summary(times)})
