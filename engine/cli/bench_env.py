"""`helios bench env`: frames per second of the Gymnasium world, alone and in batches."""

import argparse
import statistics
import time

EXAMPLE = "helios bench env --pack wilds --batch 1 2 4 8"


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
    alone = 0.0
    print("worlds  frames/s  per world  against the first")
    for count in args.batch:
        rate = frames_per_second(
            args.pack, count, chunks=args.chunks, device=args.device, threads=args.threads
        )
        alone = alone or rate
        print(f"{count:6d}  {rate:8.1f}  {rate / count:9.1f}  {rate / alone:5.2f} x", flush=True)
    return 0


def frames_per_second(
    pack: str, count: int, *, chunks: int, device: str = "cpu", threads: int | None = None
) -> float:
    """Frames of all worlds over the median time of a step, observations included."""
    import gymnasium

    envs = gymnasium.make_vec(
        "engine.rollouts:helios/World-v0", num_envs=count,
        vectorization_mode="vector_entry_point", pack=pack, device=device, threads=threads,
    )  # fmt: skip
    envs.reset(seed=0)
    envs.action_space.seed(0)
    times = []
    for _ in range(chunks + 2):
        actions = envs.action_space.sample()
        began = time.perf_counter()
        envs.step(actions)
        times.append(time.perf_counter() - began)
    info = envs.unwrapped.world.info  # type: ignore[attr-defined]
    envs.close()
    return count * info.chunk_frames / statistics.median(times[2:])
