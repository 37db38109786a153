"""What the speed benchmarks share: hardware, timing, percentiles and the JSON line. No torch here.

Device work is timed with synchronisation around every repeat; the first ones are thrown away.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def add_common(parser: argparse.ArgumentParser, repeats: int) -> None:
    """Options that every speed benchmark has."""
    add = parser.add_argument
    add("--device", default="auto", help="cpu or cuda (default: cuda where there is one)")
    add("--dtype", choices=[*DTYPES, "auto"], default="auto", help="bf16 on a GPU, else fp32")
    add("--warmup", type=int, default=3, help="repeats thrown away first")
    add("--repeats", type=int, default=repeats, help="repeats timed")
    add("--size", choices=("14b", "tiny"), help="14b on a GPU, else tiny")
    add("--report", type=Path, metavar="FILE",
        help="write the JSON there too, after every part: a time limit loses little")  # fmt: skip


def settle(args: argparse.Namespace) -> None:
    """Fill in what was left to the machine; checks the rest."""
    import torch

    if args.repeats < 1 or args.warmup < 0:
        raise ValueError("--repeats is at least 1 and --warmup at least 0")
    if args.report is not None and not args.report.parent.is_dir():
        raise ValueError(f"--report {args.report}: there is no folder {args.report.parent}")
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device; leave it out for the CPU")
    if args.dtype == "auto":
        args.dtype = "bf16" if args.device == "cuda" else "fp32"
    args.size = args.size or ("14b" if args.device == "cuda" else "tiny")


def torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, DTYPES[name])


def hardware(device: str) -> dict[str, Any]:
    """Machine and versions, as printed and stored."""
    import torch

    from kernels.backend import has_triton, picked

    found: dict[str, Any] = {"device": platform.machine(), "cores": os.cpu_count()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found["device"] = properties.name
        found["multiprocessors"] = properties.multi_processor_count
        found["cuda"] = torch.version.cuda
    else:
        found["capability"] = torch.backends.cpu.get_cpu_capability()
        found["threads"] = torch.get_num_threads()
    found |= {"torch": str(torch.__version__), "python": platform.python_version()}
    if has_triton():
        from importlib.metadata import version

        found["triton"] = version("triton")
    return found | {"kernels": picked(torch.device(device))}


def timed(call: Callable[[], Any], *, device: str, warmup: int, repeats: int) -> list[float]:
    """Seconds of each repeat after the warm-up."""
    times = []
    for i in range(warmup + repeats):
        synchronise(device)
        began = time.perf_counter()
        call()
        synchronise(device)
        if i >= warmup:
            times.append(time.perf_counter() - began)
    return times


def synchronise(device: str) -> None:
    """Wait for the device; the host's clock says nothing before."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def release(device: str) -> None:
    """Give back what nobody holds any more, before the next model is built."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()


def summary(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    middle = statistics.median(ordered)
    return {"p50_ms": round(middle * 1e3, 4), "p95_ms": round(high * 1e3, 4)}


def ceilings(device: str, dtype: Any) -> dict[str, float]:
    """What this machine reaches: bytes/s of a large copy, FLOP/s of a large matrix product."""
    import torch

    side = 8192 if device == "cuda" else 768
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    count = (1 << 30) if device == "cuda" else (1 << 26)
    source = torch.empty(count, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    again = {"device": device, "warmup": 2, "repeats": 7}
    copy_s = summary(timed(lambda: target.copy_(source), **again))["p50_ms"] / 1e3
    product_s = summary(timed(lambda: a @ b, **again))["p50_ms"] / 1e3
    return {"bytes_per_s": 2 * source.numel() / copy_s, "flop_per_s": 2 * side**3 / product_s}


def choose_attention(device: str, work: Callable[[], Any]) -> None:
    """On a GPU, what `work` attends to takes the fastest backends from now on, as in play."""
    from engine.warm_up import seconds
    from kernels.attention import measuring

    if device == "cuda":
        with measuring(seconds):
            work()


def ceilings_of(world: Any) -> dict[str, float] | None:
    """The ceilings where a world computes, in its dtype; None for a world without a model."""
    parts = getattr(world, "parts", None)
    if parts is None:
        return None
    return ceilings(parts.device.type, next(parts.transformer.parameters()).dtype)


def floor_share(work: Any, limits: dict[str, float] | None, p50_ms: float) -> dict[str, Any]:
    """The floor of counted products, and its share of a median; None where nothing multiplies."""
    if work is None or limits is None:
        return {"gflop": None, "floor_ms": None, "floor_fraction": None}
    floor = work.floor(**limits) * 1e3
    return {
        "gflop": round(work.flops / 1e9, 4),
        "floor_ms": round(floor, 4),
        "floor_fraction": round(floor / p50_ms, 4),
    }


def share_text(found: dict[str, Any]) -> str:
    """`floor_share` for people."""
    share = found["floor_fraction"]
    return "no products" if share is None else f"{share:.0%} of the floor"


def keep(name: str, report: dict[str, Any], path: Path | None) -> None:
    """Write what was measured so far, where a file was asked for."""
    if path is not None:
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps({"bench": name, **report}) + "\n")
        draft.replace(path)


def finish(name: str, report: dict[str, Any], path: Path | None = None) -> int:
    """Print the JSON line, last."""
    keep(name, report, path)
    print(json.dumps({"bench": name, **report}), flush=True)
    return 0
