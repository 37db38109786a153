"""Print what a chunk costs, and time a small one.

    python -m helios_core.bench                                  # the released 14B, 384x640
    python -m helios_core.bench --preset small --height 64 --width 96 --frames 1 --steps 3
    python -m helios_core.bench --config transformer/config.json --steps 1,1,1

Tokens, operations and bytes are arithmetic (helios_core.costs) and hold for any machine. The
timing at the end is of a small model on this machine's CPU. The last line is JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

HISTORY_LENGTHS = (0, 20, 60, 180, 360, 1440)
"""Latent frames of history for the comparison with plain concatenation."""
TERA = 1e12


def main(arguments: list[str] | None = None) -> int:
    """Run the command; bad input is one sentence on stderr and exit code 2."""
    args = _parser().parse_args(arguments)
    try:
        result = run(args)
    except (ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the tables and return what the JSON line holds."""
    from helios_core.costs import Size
    from helios_core.sampling.pyramid import check_pyramid

    config = _config(args)
    if args.height % args.spatial or args.width % args.spatial:
        raise ValueError(f"height and width must be multiples of {args.spatial} pixels")
    size = Size(args.height // args.spatial, args.width // args.spatial, args.frames)
    steps = _steps(args.steps)
    stages = len(steps)
    check_pyramid(size.rows, size.columns, stages=stages, patch=config.patch, spatial=args.spatial)
    result: dict[str, Any] = {"height": args.height, "width": args.width, "steps": list(steps)}
    result |= _stage_table(config, size, steps, args.text_tokens)
    result |= _way_table(config, size, steps, args.text_tokens)
    result |= _byte_table(config, size, steps, args.bytes)
    result |= _history_table(config, size, args.text_tokens)
    if not args.no_timing:
        result |= _timing(args.threads, args.repeats)
    return result


def _stage_table(config, size, steps, text_tokens: int) -> dict[str, Any]:
    from helios_core.costs import chunk_costs

    print("per forward, released maths (TFLOP)")
    print(
        f"{'stage':>9} {'steps':>5} {'tokens':>7} {'history':>7} {'self lin':>9} {'ffn':>9} "
        f"{'cross lin':>9} {'text kv':>9} {'cross':>9} {'self':>9} {'total':>9}"
    )
    rows = []
    for stage in chunk_costs(config, size, steps=steps, text_tokens=text_tokens).stages:
        f, t = stage.flops, stage.tokens
        kinds = (f.self_linear, f.ffn, f.cross_linear, f.cross_key_value)
        numbers = [n / TERA for n in (*kinds, f.cross_attention, f.self_attention, f.total)]
        text = " ".join(f"{n:9.4g}" for n in numbers)
        print(
            f"{stage.rows:>4}x{stage.columns:<4} {stage.steps:>5} {t.all:>7} {t.history:>7} {text}"
        )
        rows.append({"tokens": t._asdict(), "steps": stage.steps, "tflop": numbers[-1]})
    return {"stages": rows}


def _way_table(config, size, steps, text_tokens: int) -> dict[str, Any]:
    from helios_core.costs import WAYS, chunk_costs, memory_saving, pyramid_saving

    print(f"\nper chunk of {size.frames} latent frames (TFLOP)")
    totals = {}
    for name, way in WAYS.items():
        cost = chunk_costs(config, size, steps=steps, text_tokens=text_tokens, way=way)
        totals[name] = cost.total / TERA
        per_step = ", ".join(f"{s.flops.total / TERA:.4g}" for s in cost.stages)
        print(f"{totals[name]:>10.4g}  {name}: {cost.once.total / TERA:.4g} once, then {per_step}")
    saved = memory_saving(config, size) if config.multi_term_memory else 1.0
    pyramid = pyramid_saving(config, size, steps)
    print(f"history compression saves {saved:.2f}x tokens, the pyramid {pyramid:.2f}x")
    return {"chunk_tflop": totals, "memory_saving": saved, "pyramid_saving": pyramid}


def _byte_table(config, size, steps, width: int) -> dict[str, Any]:
    from helios_core.costs import (
        chunk_costs,
        history_cache_bytes,
        modulation_bytes,
        state_bytes,
        weight_count,
    )

    stages = chunk_costs(config, size, steps=steps, text_tokens=0).stages
    weights = weight_count(config)
    read = weights * width * sum(steps)
    print(f"\nbytes at {width} per number")
    print(f"{weights / 1e9:.4g} billion weights, {weights * width / 1e9:.4g} GB")
    print(f"{read / 1e9:.4g} GB of weights read per chunk")
    for stage in stages:
        tokens = stage.tokens.all
        kept, spread = (modulation_bytes(config, n, width) for n in (2, tokens))
        print(
            f"{stage.rows:>4}x{stage.columns:<4} tokens {tokens * config.dim * width / 1e6:.4g} MB;"
            f" modulation {kept / 1e6:.4g} MB in 2 rows ({spread / 1e9:.4g} GB if expanded)"
        )
    cache = history_cache_bytes(config, stages[-1].tokens, width)
    state = state_bytes(config, size)
    print(f"history keys and values {cache / 1e9:.4g} GB; state {state / 1e6:.4g} MB in fp32")
    return {
        "weights": weights,
        "weight_bytes_read": read,
        "history_cache_bytes": cache,
        "state_bytes": state,
        "modulation_bytes_expanded": modulation_bytes(config, stages[-1].tokens.all, width),
    }


def _history_table(config, size, text_tokens: int) -> dict[str, Any]:
    from helios_core.costs import forward_flops, naive_flops, tokens_of

    tokens = tokens_of(config, size, size.rows, size.columns)
    ours = forward_flops(config, tokens, text_tokens).total / TERA
    print("\none full-size forward by length of history (TFLOP)")
    print(f"{'latents':>8} {'concatenated':>13} {'ours':>9}")
    rows = []
    for length in HISTORY_LENGTHS:
        naive = naive_flops(config, size, length, text_tokens) / TERA
        print(f"{length:>8} {naive:>13.4g} {ours:>9.4g}")
        rows.append({"latents": length, "naive_tflop": naive, "ours_tflop": ours})
    return {"by_history": rows}


def _timing(threads: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of a shipped-size chunk on this CPU: history once, then three steps."""
    import torch

    from helios_core.config import small
    from helios_core.memory import make_history
    from helios_core.sampling.chunk import Conditions, sample_chunk
    from helios_core.sampling.noise import SeededNoise
    from helios_core.sampling.plan import few_steps
    from helios_core.transformer import HeliosTransformer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = small(channels=24, width=320, layers=8, text_dim=192, restrict_history=True)
    model = HeliosTransformer(config).eval().requires_grad_(False)
    torch.nn.init.normal_(model.proj_out.weight, std=0.02)
    shape = (1, 24, 1, 8, 12)
    frames = torch.randn(1, 24, config.kept_frames, 8, 12)
    history = make_history(frames, frames[:, :, :1], config.history_sizes)
    plan, times = few_steps(1, 0.75, 0.4), []
    with torch.inference_mode():
        text = model.text_cache(torch.randn(1, 24, 192))
        for chunk in range(repeats + 1):
            began = time.perf_counter()
            past = model.history_cache(history)
            prepared = time.perf_counter()
            given = Conditions(text=text, history=past)
            sample_chunk(model, plan, SeededNoise([(0, chunk)]), shape, given)
            times.append((prepared - began, time.perf_counter() - prepared))
    prepare, steps = (sorted(t[i] for t in times[1:])[repeats // 2] * 1e3 for i in range(2))
    print(f"\ntimed: width 320, 8 layers, 8x12 latents, {threads} threads, median of {repeats}")
    print(f"history once {prepare:.1f} ms, three steps {steps:.1f} ms per chunk")
    return {"timed": {"history_ms": prepare, "steps_ms": steps, "threads": threads}}


def _config(args: argparse.Namespace):
    from helios_core.config import TransformerConfig, helios_14b, small

    if args.config is not None:
        values = json.loads(Path(args.config).read_text())
        released = "num_layers" in values
        read = TransformerConfig.from_diffusers if released else TransformerConfig.from_dict
        return read(values)
    if args.preset == "helios_14b":
        return helios_14b()
    return small(channels=24, width=320, layers=8, text_dim=192, restrict_history=True)


def _steps(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"steps {text!r}: give whole numbers per stage, such as 2,2,2")
    return tuple(int(part) for part in parts)


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m helios_core.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", choices=("helios_14b", "small"), default="helios_14b")
    parser.add_argument("--config", help="a transformer config as JSON, released or ours")
    parser.add_argument("--height", type=int, default=384, help="pixels")
    parser.add_argument("--width", type=int, default=640, help="pixels")
    parser.add_argument("--spatial", type=int, default=8, help="pixels per latent")
    parser.add_argument("--frames", type=int, default=9, help="latent frames per chunk")
    parser.add_argument("--steps", default="2,2,2", help="steps per stage, coarse to fine")
    parser.add_argument("--text-tokens", type=int, default=512)
    parser.add_argument("--bytes", type=int, default=2, help="bytes per number")
    parser.add_argument("--threads", type=int, default=2, help="of the timing")
    parser.add_argument("--repeats", type=int, default=9, help="of the timing")
    parser.add_argument("--no-timing", action="store_true", help="counts only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
