"""`helios bench dit`: one forward per pyramid stage, against the counted floor."""

import argparse
from typing import Any

from engine.cli.bench_report import (
    add_common,
    ceilings,
    choose_attention,
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

EXAMPLE = "helios bench dit --size tiny"
VARIANTS = ("reference", "kernels", "cached", "cached_8bit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, repeats=8)
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="default: all")
    parser.add_argument("--no-graph", action="store_true", help="launch kernels one by one")


def run(args: argparse.Namespace) -> int:
    settle(args)
    machine, limits = hardware(args.device), ceilings(args.device, torch_dtype(args.dtype))
    print(f"{machine}\n{args.size}, {args.dtype}, warm-up {args.warmup}, "
          f"products reach {limits['flop_per_s'] / 1e12:.3f} TFLOP/s")  # fmt: skip
    rows = []
    report = {"hardware": machine, "ceilings": limits, "size": args.size, "dtype": args.dtype,
              "warmup": args.warmup, "rows": rows}  # fmt: skip
    for name in args.variant or VARIANTS:
        rows += _variant(name, args, limits)
        release(args.device)
        keep("dit", report, args.report)
    return finish("dit", report, args.report)


def _variant(name: str, args: argparse.Namespace, limits) -> list[dict[str, Any]]:
    """Every stage of one way of running the model."""
    import torch

    from engine.cli.bench_model import (
        CACHED,
        SIZES,
        config_of,
        random_history,
        random_model,
        random_text,
    )
    from helios_core.costs import chunk_costs
    from helios_core.eightbit import use_eight_bits
    from helios_core.products import count_products
    from helios_core.program import ModelProgram
    from kernels.backend import using

    cached, dtype = name.startswith("cached"), torch_dtype(args.dtype)
    config, size = config_of(args.size, **(CACHED if cached else {})), SIZES[args.size]
    model = random_model(config, args.device, dtype)
    if name == "cached_8bit":
        use_eight_bits(model)
    steps = (1,) * (3 if args.size == "14b" else 2)
    stages = chunk_costs(config, size, steps=steps, text_tokens=0)
    rows = []
    with using("reference" if name == "reference" else "auto"), torch.no_grad():
        call = model if args.no_graph or args.device == "cpu" else ModelProgram(model)
        text = model.text_cache(random_text(config, args.size, args.device, dtype))
        history = random_history(config, size, args.device, dtype)
        past = model.history_cache(history) if cached else history
        for stage in stages.stages:
            shape = (1, config.in_channels, size.frames, stage.rows, stage.columns)
            noisy = torch.randn(shape, device=args.device).to(dtype)
            time = torch.full((1,), 700.0, device=args.device)
            again = {"device": args.device, "warmup": args.warmup, "repeats": args.repeats}
            choose_attention(args.device, lambda n=noisy, t=time: model(n, t, text, past))
            found = summary(timed(lambda n=noisy, t=time: call(n, t, text, past), **again))
            counted = count_products(lambda n=noisy, t=time: model(n, t, text, past))
            found |= floor_share(counted, limits, found["p50_ms"])
            tokens = stage.tokens.noisy if cached else stage.tokens.all
            rows.append({"variant": name, "tokens": tokens, **found})
            print(f"{name:<12} {tokens:>6} tokens {found['p50_ms']:10.2f} ms"
                  f"  p95 {found['p95_ms']:10.2f}  {share_text(found)}", flush=True)  # fmt: skip
    return rows
