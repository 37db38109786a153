"""`helios bench eightbit`: a pack's chunk with 8-bit products against one without, and its quality.

Both sides make the same chunk from the same state by turns, decode included, so that what else the
machine does hits both alike. Seconds of processor count all threads: where other work shares the
cores, their ratio is the one to believe. Then both are compared at moments of a random walk: layer
by layer on the same inputs, over the steps of a chunk, and in the frames that a player sees.
"""

import argparse
import inspect
import statistics
import time
from typing import Any

from engine.cli.bench_report import (
    DTYPES,
    ceilings_of,
    finish,
    floor_share,
    hardware,
    share_text,
    summary,
    synchronise,
)

EXAMPLE = "helios bench eightbit --pack wilds-nano"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--pack", default="", help="name or folder of a pack (default: the one that play takes)")
    add("--kind", choices=("int8", "fp8"), help="of the products (default: int8; fp8 on a GPU)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--dtype", choices=[*DTYPES], default="bf16", help="of the rest (default: bf16)")
    add("--threads", type=int, help="of torch (default: torch's own)")
    add("--warmup", type=int, default=5, help="chunks thrown away first (default: 5)")
    add("--repeats", type=int, default=40, help="pairs of chunks timed (default: 40)")
    add("--moments", type=int, default=8, help="chunks of the walk compared (default: 8)")


def run(args: argparse.Namespace) -> int:
    import torch

    from engine.opening import default_pack
    from helios_core.products import chunk_products

    if min(args.repeats, args.moments) < 1 or args.warmup < 0:
        raise ValueError("--repeats and --moments are at least 1, --warmup at least 0")
    kind = args.kind or ("int8" if args.device == "cpu" else "fp8")
    given = {"device": args.device, "dtype": DTYPES[args.dtype], "threads": args.threads}
    pack, names = args.pack or default_pack(), (args.dtype, kind)
    sides = [_world(pack, **given), _world(pack, **given, eight_bits=kind)]
    machine, limits = hardware(args.device), ceilings_of(sides[0])
    info = sides[0].info
    size = f"{info.chunk_frames}x{info.height}x{info.width}"
    print(f"{machine}\n{pack}, {size}, {args.dtype} against {kind}, warm-up {args.warmup}")
    walk = _walk(sides[0], args.warmup + args.moments)
    counted, rows = chunk_products(sides[0]), []
    for name, found in zip(names, _by_turns(sides, walk[-1], args), strict=True):
        found |= floor_share(counted, limits, found["p50_ms"])
        rows.append({"products": name, **found})
        print(f"{name:<6} {found['p50_ms']:9.2f} ms  p95 {found['p95_ms']:9.2f}  of processor "
              f"{found['cpu_ms']:9.2f}  {share_text(found)}", flush=True)  # fmt: skip
    clock = "cpu_ms" if args.device == "cpu" else "p50_ms"
    ratio = rows[0][clock] / rows[1][clock]
    print(f"{kind} is {ratio:.2f} x as fast as {args.dtype} by {clock}")
    with torch.inference_mode():
        quality = _quality(sides, walk[args.warmup :])
    return finish("eightbit", {"hardware": machine, "ceilings": limits, "pack": pack, "size": size,
                               "dtype": args.dtype, "kind": kind, "warmup": args.warmup,
                               "repeats": args.repeats, "rows": rows, "speed": round(ratio, 3),
                               "quality": quality})  # fmt: skip


def _world(pack: str, **given: Any) -> Any:
    from helios_core.packs import load_world
    from helios_core.world import WorldModel

    world = load_world(pack, **given)
    if not isinstance(world, WorldModel):
        raise ValueError(f"--pack {pack}: it multiplies nothing; give a pack with weights")
    return world


def _walk(world: Any, chunks: int) -> list[tuple[Any, Any]]:
    """States of a walk with random actions, each with the actions of its next chunk."""
    import numpy as np

    from engine.opening import first_state

    spec, frames, drawn = world.info.spec, world.info.chunk_frames, np.random.default_rng(0)
    state, moments = first_state(world, seed=0), []
    for _ in range(chunks):
        actions = None
        if spec.size:
            held = {c.name: drawn.choice([c.low, 0.0, c.high]) for c in spec.channels}
            actions = spec.build(frames, **held)
        moments.append((state, actions))
        state, _ = world.generate(state, actions)
    return moments


def _by_turns(sides: list[Any], moment: tuple, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Wall and processor time of a chunk of each world, the same chunk every time."""
    wall: list[list[float]] = [[] for _ in sides]
    busy: list[list[float]] = [[] for _ in sides]
    for repeat in range(args.warmup + args.repeats):
        for i, world in enumerate(sides):
            began, used = time.perf_counter(), time.process_time()
            world.advance(*moment)
            synchronise(args.device)
            if repeat >= args.warmup:
                wall[i].append(time.perf_counter() - began)
                busy[i].append(time.process_time() - used)
    return [
        {**summary(taken), "cpu_ms": round(statistics.median(used) * 1e3, 4)}
        for taken, used in zip(wall, busy, strict=True)
    ]


def _quality(sides: list[Any], moments: list[tuple]) -> dict[str, Any]:
    """`eightbit.compare` at every moment: means, and the worst of trajectories and frames."""
    reports = [_compared(*sides, *moment) for moment in moments]
    mean = statistics.fmean
    layers = [
        round(mean(errors), 5) for errors in zip(*(r["layers"] for r in reports), strict=True)
    ]
    outputs, trajectories, psnr = (
        [report[name] for report in reports] for name in ("output", "trajectory", "psnr")
    )
    found = {
        "moments": len(moments),
        "layers": layers,
        "output": round(mean(outputs), 5),
        "trajectory": {"mean": round(mean(trajectories), 5), "worst": round(max(trajectories), 5)},
        "psnr": {"mean": round(mean(psnr), 2), "worst": round(min(psnr), 2)},
    }
    print(
        f"relative error, mean of {len(moments)} moments: "
        f"layers {', '.join(f'{error:.4f}' for error in layers)}; output {found['output']:.4f}"
    )
    print("chunk's latents: mean {mean:.4f}, worst {worst:.4f}".format(**found["trajectory"]))
    print(
        "PSNR of decoded frames: mean {mean:.1f} dB, worst {worst:.1f} dB".format(**found["psnr"])
    )
    return found


def _compared(exact: Any, rounded: Any, state: Any, actions: Any) -> dict[str, Any]:
    """Both worlds' next chunk from one state; the layers on what the exact one's were given."""
    import torch

    from helios_core.eightbit import compare

    model, eight = exact.parts.transformer, rounded.parts.transformer
    calls: list[dict[str, Any]] = []
    bind = inspect.signature(model.forward).bind
    hook = model.register_forward_pre_hook(lambda _, given: calls.append(bind(*given).arguments))
    after, _ = exact.generate(state, actions)
    hook.remove()

    def sample(which: Any) -> Any:
        return (exact if which is model else rounded).generate(state, actions)[1]

    def decode(latents: Any) -> Any:
        return torch.from_numpy(exact.decode(after, latents)) / 127.5 - 1

    return compare(model, eight, calls[-1], sample, decode)
