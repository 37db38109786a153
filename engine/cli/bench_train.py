"""`helios bench train`: a training step of a few blocks, unfused against fused, by part."""

import argparse
from dataclasses import replace
from typing import Any

from engine.cli.bench_report import (
    add_common,
    ceilings,
    finish,
    floor_share,
    hardware,
    keep,
    release,
    settle,
    share_text,
    summary,
    timed,
    torch_dtype,
)

EXAMPLE = "helios bench train --size tiny"
LAYERS = 2
"""Blocks at full width: their step scales to 40, and fits beside its gradients."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, repeats=8)


def run(args: argparse.Namespace) -> int:
    import torch

    from kernels.backend import picked

    settle(args)
    machine, limits = hardware(args.device), ceilings(args.device, torch_dtype(args.dtype))
    print(f"{machine}\n{args.size}, {LAYERS} blocks, {args.dtype}, warm-up {args.warmup}, "
          f"products reach {limits['flop_per_s'] / 1e12:.3f} TFLOP/s")  # fmt: skip
    names = ["reference"]
    if picked(torch.device(args.device)) == "triton":
        names.append("triton")
    rows: list[dict[str, Any]] = []
    report: dict[str, Any] = {"hardware": machine, "ceilings": limits, "size": args.size}
    report |= {"dtype": args.dtype, "layers": LAYERS, "warmup": args.warmup, "rows": rows}
    for name in names:
        rows.append(_step(name, args, limits))
        release(args.device)
        keep("train", report, args.report)
    if len(rows) == 2:
        report["saved"] = round(1 - rows[1]["step"]["p50_ms"] / rows[0]["step"]["p50_ms"], 4)
        print(f"fused kernels take {report['saved']:.1%} off the step")
    return finish("train", report, args.report)


def _step(backend: str, args: argparse.Namespace, limits: dict[str, float]) -> dict[str, Any]:
    """Forward + backward, and the whole step with its optimiser, beside the same floor."""
    import torch

    from engine.cli.bench_model import SIZES, config_of, random_history, random_model, random_text
    from helios_core.products import count_products
    from kernels.backend import using

    size, dtype = SIZES[args.size], torch_dtype(args.dtype)
    config = replace(config_of(args.size), layers=LAYERS)
    model = random_model(config, args.device, dtype).train().requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=args.device == "cuda")
    text = random_text(config, args.size, args.device, dtype)
    history = random_history(config, size, args.device, dtype)
    shape = (1, config.in_channels, size.frames, size.rows, size.columns)
    noisy = torch.randn(shape, device=args.device).to(dtype)
    time = torch.full((1,), 700.0, device=args.device)

    def backward() -> None:
        optimiser.zero_grad(set_to_none=False)
        model(noisy, time, text, history).float().square().mean().backward()

    def step() -> None:
        backward()
        optimiser.step()

    with using("reference"):
        counted = count_products(backward)  # the optimiser multiplies no matrices
    row: dict[str, Any] = {"backend": backend}
    for name, work in (("forward_backward", backward), ("step", step)):
        with using(backend):
            found = timed(work, device=args.device, warmup=args.warmup, repeats=args.repeats)
        row[name] = summary(found)
        row[name] |= floor_share(counted, limits, row[name]["p50_ms"])
        print(f"{backend:<10} {name:<17} {row[name]['p50_ms']:10.2f} ms  p95 "
              f"{row[name]['p95_ms']:10.2f}  {share_text(row[name])}", flush=True)  # fmt: skip
    return row
