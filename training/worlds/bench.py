"""Frames per second of the worlds, by batch, resolution and device.

    python -m training.worlds.bench
    python -m training.worlds.bench --sizes 64x96 --batches 32 --seconds 5 --threads 2

Prints one row per setting: pictures per second while walkers walk, the same per second of processor
time (what a core gives when nothing else wants it), and steps of physics per second. Worlds are
drawn from seeds, so all biomes, hours and weathers take part.
"""

import argparse
import time

import numpy as np
import torch

from helios_core.allocator import keep_freed_memory
from training.worlds.wilds import policies
from training.worlds.wilds.world import Wilds


def _sync(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def measure(size: tuple[int, int], batch: int, device: str, seconds: float) -> tuple[float, ...]:
    """Pictures per second, pictures per second of processor time, physics steps per second."""
    wilds = Wilds(range(batch), *size, device=device)
    actions = policies.wander(np.random.default_rng(0), batch, 64, policies.no_aims(batch))
    for t in range(2):
        wilds.step(actions[:, t])
        wilds.render()
    _sync(device)
    done, stepping, busy, start = 0, 0.0, 0.0, time.perf_counter()
    while done == 0 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        wilds.step(actions[:, done % 64])
        _sync(device)
        stepping += time.perf_counter() - before
        used = time.process_time()
        wilds.render()
        _sync(device)
        busy += time.process_time() - used
        done += 1
    rendering = time.perf_counter() - start - stepping
    return tuple(done * batch / t for t in (rendering, busy, stepping))


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 64x96")
    return int(height), int(width)


def main(argv: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m training.worlds.bench",
        description="Frames per second of Wilds.",
        epilog="example: python -m training.worlds.bench --sizes 64x96 128x192 --batches 1 32",
    )
    parser.add_argument("--sizes", type=_size, nargs="+", default=[(64, 96), (128, 192)])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="per row")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args(argv)
    if min(args.batches) < 1 or args.threads < 1:
        parser.error("batches and threads are at least 1")
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the processes that render training data do
    print(f"device {args.device}, {args.threads} CPU thread(s), torch {torch.__version__}")
    print(f"{'size':>9} {'batch':>6} {'pictures/s':>11} {'per cpu s':>10} {'steps/s':>9}")
    for size in args.sizes:
        for batch in args.batches:
            pictures, busy, steps = measure(size, batch, args.device, args.seconds)
            label = f"{size[0]}x{size[1]}"
            print(
                f"{label:>9} {batch:>6} {pictures:>11.0f} {busy:>10.0f} {steps:>9.0f}", flush=True
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
