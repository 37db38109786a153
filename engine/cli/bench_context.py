"""`helios bench context`: a forward pass shared by several devices, against one device alone.

Starts one process per device (gloo on CPUs, where it proves that the command works and that the
results agree; nccl on GPUs). The first process times the model alone while the others wait, then
all time it shared. Every kernel is launched by itself: a graph cannot hold the exchange on a CPU.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from engine.cli.bench_report import (
    add_common,
    ceilings,
    finish,
    hardware,
    settle,
    summary,
    timed,
    torch_dtype,
)

EXAMPLE = "helios bench context --size tiny --device cpu"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, repeats=8)
    parser.add_argument("--processes", type=int, default=2, help="devices that share (default 2)")


def run(args: argparse.Namespace) -> int:
    import torch

    settle(args)
    if args.processes < 2:
        raise ValueError("--processes is at least 2: one has nobody to share with")
    if args.device == "cuda" and torch.cuda.device_count() < args.processes:
        raise ValueError(
            f"--processes {args.processes}: torch finds {torch.cuda.device_count()} CUDA devices; "
            "ask for fewer, or for --device cpu"
        )
    machine, limits = hardware(args.device), ceilings(args.device, torch_dtype(args.dtype))
    print(f"{machine}\n{args.size}, {args.dtype}, warm-up {args.warmup}, "
          f"{args.processes} processes", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_process, (args, limits, folder), args.processes)
        rows = json.loads(Path(folder, "rows.json").read_text())
    for row in rows:
        print(f"{row['tokens']:>6} tokens  alone {row['alone']['p50_ms']:10.2f} ms  shared "
              f"{row['shared']['p50_ms']:10.2f} ms  p95 {row['shared']['p95_ms']:10.2f}  "
              f"{row['ratio']:.2f} x  {row['floor_fraction']:.0%} of the floor")  # fmt: skip
    return finish("context", {"hardware": machine, "ceilings": limits, "size": args.size,
                              "dtype": args.dtype, "warmup": args.warmup,
                              "processes": args.processes, "rows": rows}, args.report)  # fmt: skip


def _process(rank: int, args: argparse.Namespace, limits: dict[str, float], folder: str) -> None:
    """What each process does; the first writes the rows."""
    import torch
    import torch.distributed as dist

    device = args.device
    if device == "cuda":
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=args.processes)
    try:
        with torch.no_grad():
            rows = _measure(rank, args, limits)
        if rank == 0:
            Path(folder, "rows.json").write_text(json.dumps(rows))
    finally:
        dist.destroy_process_group()


def _measure(rank: int, args: argparse.Namespace, limits) -> list[dict[str, Any]]:
    """Every stage alone, then shared; the same weights and inputs in every process."""
    import torch
    import torch.distributed as dist

    from engine.cli.bench_model import (
        SIZES,
        TEXT_TOKENS,
        config_of,
        random_history,
        random_model,
        random_text,
    )
    from helios_core.context import share_context
    from helios_core.costs import Way, chunk_costs

    torch.manual_seed(3)
    dtype, size, config = torch_dtype(args.dtype), SIZES[args.size], config_of(args.size)
    model = random_model(config, args.device, dtype)
    text = model.text_cache(random_text(config, args.size, args.device, dtype))
    history = random_history(config, size, args.device, dtype)
    steps = (1,) * (3 if args.size == "14b" else 2)
    costs = chunk_costs(config, size, steps=steps, text_tokens=TEXT_TOKENS[args.size],
                        way=Way(cache_text=True, trim_last=True))  # fmt: skip
    calls = []
    for stage in costs.stages:
        shape = (1, config.in_channels, size.frames, stage.rows, stage.columns)
        noisy = torch.randn(shape, device=args.device).to(dtype)
        time = torch.full((1,), 700.0, device=args.device)
        calls.append(lambda n=noisy, t=time: model(n, t, text, history))
    again = {"device": args.device, "warmup": args.warmup, "repeats": args.repeats}
    alone = [(timed(c, **again), c()) for c in calls] if rank == 0 else []
    dist.barrier()
    share_context(model)
    shared = [(timed(c, **again), c()) for c in calls]
    return [
        _row(stage, one, many, args.processes, limits)
        for stage, one, many in zip(costs.stages, alone, shared, strict=rank == 0)
    ]


def _row(stage, alone, shared, processes: int, limits) -> dict[str, Any]:
    one, many = summary(alone[0]), summary(shared[0])
    floor = stage.flops.total / processes / limits["flop_per_s"] * 1e3
    error = (shared[1] - alone[1]).float().norm() / alone[1].float().norm()
    return {"tokens": stage.tokens.all, "alone": one, "shared": many,
            "ratio": round(one["p50_ms"] / many["p50_ms"], 3), "relative_error": float(error),
            "floor_fraction": round(floor / many["p50_ms"], 4)}  # fmt: skip
