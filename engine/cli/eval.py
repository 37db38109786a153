"""`helios eval`: how good a world is, in figures with intervals, plots and videos."""

import argparse
from pathlib import Path

EXAMPLE = "helios eval wilds-nano --suite fidelity,action --out runs/eval"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pack", help="name or folder of a pack")
    parser.add_argument(
        "--suite",
        default="all",
        help="comma-separated: fidelity, action, drift, prompt, revisit, bench, or latency",
    )
    parser.add_argument("--events", type=int, default=60, help="key changes that latency follows")
    parser.add_argument("--quick", action="store_true", help="a few clips: minutes, wide intervals")
    parser.add_argument(
        "--lpips",
        default="",
        metavar="FILE",
        help="fidelity by LPIPS too, with the weights of this safetensors file: the state dict of "
        "the public lpips package's alex or vgg; nothing is downloaded",
    )
    parser.add_argument("--out", default="", help="folder of the report (default: runs/eval/PACK)")
    parser.add_argument(
        "--against",
        metavar="REPORT",
        help="folder of another pack's report: print both and their difference, with an interval "
        "where they were measured on the same clips, and * where that leaves out zero",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default=None, help="bfloat16, float16 or float32")


def run(args: argparse.Namespace) -> int:
    from helios_core.packs import load_world
    from training.evaluation import against
    from training.evaluation.run import SUITES, evaluate

    suites = list(SUITES) if args.suite == "all" else [s for s in args.suite.split(",") if s]
    if args.lpips and "fidelity" not in suites:
        raise ValueError("--lpips: only the suite fidelity reads it; add fidelity to --suite")
    other = against.read(args.against) if args.against else None
    world = load_world(args.pack, device=args.device, dtype=args.dtype)
    folder = args.out or f"runs/eval/{world.info.name}"
    wanted = [name for name in suites if name != "latency"]
    if wanted:
        settings = {"fidelity": {"lpips": args.lpips}}
        path = evaluate(world, wanted, folder, quick=args.quick, settings=settings)
        print(f"report: {path}")
        if other is not None:
            print(f"  {'against ' + args.against:<40} {'this':>8} {'that':>8}  difference")
            for row in against.rows(against.read(path), other):
                print(row)
    if "latency" in suites:
        print(f"report: {_latency(args, folder, world.info.pack_hash)}")
    return 0


def _latency(args: argparse.Namespace, folder: str, pack_hash: str) -> Path:
    """What `helios bench play` measures, kept beside the other figures."""
    from engine.cli import bench_play
    from training.evaluation.report import Report

    short = {"float32": "fp32", "bfloat16": "bf16"}.get(args.dtype, args.dtype)
    computed = {"device": args.device, "dtype": short}
    report = Report(folder)
    report.note("latency.hardware", bench_play.describe_hardware())
    report.note(
        "latency", bench_play.measure_pack(args.pack, events=args.events, computed=computed)
    )
    return report.save(pack_hash=pack_hash)
