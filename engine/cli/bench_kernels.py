"""`helios bench kernels`: each fused kernel and attention backend against its reference."""

import argparse
from collections.abc import Callable
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

EXAMPLE = "helios bench kernels --size tiny"

SHAPES = {"14b": (2400, 8640, 40, 128, 13824), "tiny": (30, 60, 3, 16, 160)}
"""History tokens, noisy tokens, heads, head width, feed-forward width."""
BOUNDS = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 3e-2}
"""Allowed relative error of values and gradients between two implementations."""
Case = tuple[Callable[[], Any], int, int, tuple]
"""The call, the fewest bytes it moves, the fewest that its gradients move, and whose those are.
Backward reads the gradients of what it gave out, and again the inputs whose values matter; it
writes gradients, but none that are only passed on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, repeats=20)


def run(args: argparse.Namespace) -> int:
    from kernels.backend import picked

    settle(args)
    import torch

    machine, limits = hardware(args.device), ceilings(args.device, torch_dtype(args.dtype))
    print(f"{machine}\nshapes {SHAPES[args.size]}, {args.dtype}, warm-up {args.warmup}")
    print(f"copy {limits['bytes_per_s'] / 1e9:.1f} GB/s, products {limits['flop_per_s'] / 1e12:.3f}"
          " TFLOP/s")  # fmt: skip
    names = ["reference"]
    if picked(torch.device(args.device)) == "triton":
        names.append("triton")
    rows: list[dict[str, Any]] = []
    report = {"hardware": machine, "ceilings": limits, "dtype": args.dtype, "warmup": args.warmup,
              "shapes": SHAPES[args.size], "kernels": rows, "attention": []}  # fmt: skip
    for case in _cases(args).items():
        rows += _rows(*case, names, args, limits)
        keep("kernels", report, args.report)
    release(args.device)
    report["attention"] = _attention(args, limits)
    far = sorted({f"{row['kernel']} by {row['backend']}" for row in rows if row["far"]})
    if far:
        print(f"more than {BOUNDS[args.dtype]} away from the reference: {', '.join(far)}")
    finish("kernels", report, args.report)
    return 1 if far else 0


def _rows(name: str, case: Case, backends: list[str], args, limits) -> list[dict[str, Any]]:
    """One line per implementation and direction."""
    import torch

    from kernels.backend import using

    call, forward, backward, leaves = case
    rows, wanted = [], _results(call, leaves, "reference")
    for backend in backends:
        error = _largest_error(_results(call, leaves, backend), wanted)
        for gradient in (False, True) if leaves else (False,):

            def work(gradient: bool = gradient) -> None:
                with torch.set_grad_enabled(gradient):
                    out = call()
                    if gradient:
                        outs = list(out) if isinstance(out, tuple) else [out]
                        torch.autograd.grad(outs, leaves, [torch.ones_like(o) for o in outs])

            with using(backend):
                found = summary(timed(work, device=args.device, warmup=args.warmup,
                                      repeats=args.repeats))  # fmt: skip
            row = {"kernel": name, "backend": backend, "gradient": gradient, **found}
            row |= {"error": round(error, 8), "far": not error < BOUNDS[args.dtype]}
            moved = forward + backward * gradient
            floor = moved / limits["bytes_per_s"] * 1e3
            row |= {"bytes": moved, "floor_fraction": round(floor / found["p50_ms"], 4)}
            kind = "forward + backward" if gradient else "forward"
            print(f"{name:<28} {backend:<10} {kind:<19} {found['p50_ms']:10.3f} ms"
                  f"  p95 {found['p95_ms']:10.3f}  {share_text(row)}")  # fmt: skip
            rows.append(row)
    return rows


def _results(call: Callable[[], Any], leaves: tuple, backend: str) -> list[Any]:
    """Outputs and gradients of one call."""
    import torch

    from kernels.backend import using

    with using(backend), torch.set_grad_enabled(bool(leaves)):
        out = call()
        outs = list(out) if isinstance(out, tuple) else [out] if out is not None else []
        if not leaves:
            return outs
        return outs + list(torch.autograd.grad(outs, leaves, [o.detach() for o in outs]))


def _largest_error(found: list[Any], wanted: list[Any]) -> float:
    """Relative error of the worst output or gradient."""
    import torch

    pairs = zip(found, wanted, strict=True)
    errors = [(a.float() - b.float()).norm() / b.float().norm() for a, b in pairs]
    return float(torch.stack(errors).detach().max()) if errors else 0.0  # keeps a NaN


def _cases(args: argparse.Namespace) -> dict[str, Case]:
    import torch

    from kernels.ema import update_average
    from kernels.gelu import gelu_tanh
    from kernels.heads import norm_heads
    from kernels.norm import (
        Rows,
        gated_residual,
        gated_residual_layer_norm,
        norm_modulate,
        residual_norm_modulate,
    )
    from kernels.quantise import norm_modulate_quantise

    history, noisy, heads, width, inner = SHAPES[args.size]
    n, d, dtype = history + noisy, heads * width, torch_dtype(args.dtype)
    bytes_each = dtype.itemsize

    def new(*shape: int, kind=dtype) -> torch.Tensor:
        return torch.randn(shape, device=args.device).to(kind).requires_grad_()

    x, y, wide = new(1, n, d), new(1, n, d), new(1, noisy, inner)
    later = new(1, noisy, d)
    gate, scale, shift = (new(1, 2, d, kind=torch.float32) for _ in range(3))
    weight, bias = new(d, kind=torch.float32), new(d, kind=torch.float32)
    table = torch.randn(n, width // 2, 2, device=args.device)
    growth, rows, eps = new(heads, kind=torch.float32), Rows(history, noisy), 1e-6
    average = torch.randn(n, d, device=args.device)
    one, part, turns = n * d * bytes_each, noisy * d * bytes_each, table.numel() * 4
    large = noisy * inner * bytes_each
    return {
        "norm + modulate": (
            lambda: norm_modulate(x, scale, shift, rows, eps),
            2 * one, 3 * one, (x, scale, shift)),
        "gated residual": (lambda: gated_residual(x, y, gate, rows),
            3 * one, 3 * one, (x, y, gate)),
        "gated residual + affine norm": (
            lambda: gated_residual_layer_norm(x, y, gate, rows, weight, bias, eps, first=history),
            3 * one + part, 4 * one + 2 * part, (x, y, gate, weight, bias)),
        "residual + norm + modulate": (
            lambda: residual_norm_modulate(x, later, scale, shift, rows, eps, first=history),
            3 * one + part, 4 * one, (x, later, scale, shift)),
        "norm + rotary + growth": (
            lambda: norm_heads(x, weight, heads, eps, table, growth, history),
            2 * one + turns, 3 * one + turns, (x, weight, growth)),
        "gelu": (lambda: gelu_tanh(wide), 2 * large, 3 * large, (wide,)),
        "norm + modulate + fp8": (
            lambda: norm_modulate_quantise(x, scale, shift, rows, eps), one + n * d, 0, ()),
        "moving average": (
            lambda: update_average([average], [x[0]], 0.99), n * d * (8 + bytes_each), 0, ()),
    }  # fmt: skip


def _attention(args: argparse.Namespace, limits: dict[str, float]) -> list[dict[str, Any]]:
    """Every backend on self- and cross-attention; the fastest is what that shape takes."""
    import torch

    from helios_core.products import count_products
    from kernels.attention import attention, forget, measure

    history, noisy, heads, width, _ = SHAPES[args.size]
    rows = []
    for name, queries, keys in (
        ("self", history + noisy, history + noisy),
        ("cached history", noisy, history + noisy),
        ("text", noisy, 512),
    ):
        q, k, v = (
            torch.randn(1, n, heads, width, device=args.device)
            .to(torch_dtype(args.dtype)).transpose(1, 2)
            for n in (queries, keys, keys)
        )  # fmt: skip
        again = {"device": args.device, "warmup": args.warmup, "repeats": args.repeats}
        kept: list[dict[str, Any]] = []

        def clock(call: Callable[[], Any], kept=kept, again=again) -> float:
            kept.append(summary(timed(call, **again)))
            return kept[-1]["p50_ms"]

        times = measure(q, k, v, None, clock)
        counted = count_products(lambda q=q, k=k, v=v: attention(q, k, v))
        for backend, found in zip(times, kept, strict=True):
            row = {"attention": name, "backend": backend, **found}
            rows.append(row | floor_share(counted, limits, found["p50_ms"]))
        for row in sorted(rows[-len(kept) :], key=lambda row: row["p50_ms"]):
            print(f"attention {name:<18} {row['backend']:<10} {row['p50_ms']:10.3f} ms"
                  f"  p95 {row['p95_ms']:10.3f}  {share_text(row)}")  # fmt: skip
    forget()  # a benchmark leaves no choice behind in its process
    return rows
