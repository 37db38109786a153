"""`helios bench play`: latency, pacing and engine cost, each beside what it should be.

Parses and prints; engine.measure measures. The last line is JSON.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

EXAMPLE = """helios bench play --pack null
  helios bench play --flat 100000"""

LATCH_SETTINGS = [(make, frames) for frames in (4, 33) for make in (0.05, 0.15, 0.4)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--pack", action="append", help="pack to play (repeat for more); the default one and null")
    add("--events", type=int, default=60, metavar="N", help="key changes followed per setting")
    add("--no-latch", action="store_true", help="leave out the synthetic worlds")
    add("--flat", type=int, metavar="FRAMES", help="only this: memory over so many headless frames")
    add("--device", help="cpu or cuda")
    add("--dtype", choices=["fp32", "bf16"])
    add("--threads", type=int, metavar="N", help="of the CPU; measured once if not given")
    add("--graphs", action="store_true", help="replay CUDA graphs; for a pack that fits on the GPU")
    add("--codec-device", metavar="NAME", help="code and decode elsewhere, such as cuda:1")
    add("--eight-bits", choices=["fp8", "int8"], help="products in the blocks; see bench eightbit")
    add("--compile", action="store_true", help="compile an imported checkpoint's codec, on a GPU")


def run(args: argparse.Namespace) -> int:
    if args.events < 6:
        raise ValueError(f"--events {args.events}: at least 6 say something")
    hardware = describe_hardware()
    print(f"hardware: {', '.join(f'{k} {v}' for k, v in hardware.items())}")
    if args.flat is not None:
        return _flat(args, hardware)
    from engine.opening import default_pack
    from helios_core.packs.find import BUILTIN, find

    packs = args.pack or list(dict.fromkeys(["null", default_pack()]))
    for pack in set(packs) - set(BUILTIN):
        find(pack)  # a pack that is not there is an error before minutes are spent
    report: dict[str, Any] = {"bench": "play", "hardware": hardware}
    if not args.no_latch:
        report["latch"] = [_latch(make, frames, args.events) for make, frames in LATCH_SETTINGS]
    results = [measure_pack(pack, events=args.events, computed=_computed(args)) for pack in packs]
    report |= {"packs": results, **results[-1]}
    print(json.dumps(report))
    return 0


def describe_hardware() -> dict[str, Any]:
    """What the numbers were taken on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"torch": version("torch"), "python": platform.python_version()}
    return {"cpu": model, "cores": cores, "system": platform.system(), **versions}


def _latch(make: float, chunk_frames: int, events: int) -> dict[str, Any]:
    """One synthetic world: theory beside measurement."""
    from engine.measure import measure_latch

    result = measure_latch(make=make, chunk_frames=chunk_frames, events=events)
    (t50, m50), (t95, m95) = result.pair(0.5), result.pair(0.95)
    print(
        f"G {make * 1e3:3.0f} (G2 {result.make_p95 * 1e3:5.1f}), "
        f"D {result.chunk_seconds * 1e3:4.0f} ms ({chunk_frames:2} frames): "
        f"p50 theory {t50 * 1e3:6.1f} measured {m50 * 1e3:6.1f}   "
        f"p95 theory {t95 * 1e3:6.1f} measured {m95 * 1e3:6.1f} ms   "
        f"off by {result.error * 1e3:.1f} ms for 95 % of events, {result.underruns} underruns",
        flush=True,
    )
    return {
        "make_ms": make * 1e3,
        "make_p95_ms": round(result.make_p95 * 1e3, 1),
        "chunk_frames": chunk_frames,
        "theory_ms": {"p50": round(t50 * 1e3, 1), "p95": round(t95 * 1e3, 1)},
        "measured_ms": {"p50": round(m50 * 1e3, 1), "p95": round(m95 * 1e3, 1)},
        "error_ms": round(result.error * 1e3, 1),
        "events": len(result.measured),
    }


def measure_pack(pack: str, *, events: int, computed: dict[str, Any]) -> dict[str, Any]:
    """One pack in a window; `computed` is how, as the options of `play` say it."""
    from engine.cli.counting import loading_bar
    from engine.measure import LEFT_OUT, measure_play
    from engine.opening import load
    from engine.warm_up import warm_up

    first_frame = command_to_first_frame(pack, computed)
    world = load(pack, **computed)
    warm_up(world, on_progress=loading_bar())
    window = open_window()
    try:
        result = measure_play(world, window, events=events)
    finally:
        window.close()
    driver = os.environ.get("SDL_VIDEODRIVER", "the desktop's driver")
    print(
        f"{pack}: {world.info.width}x{world.info.height} in chunks of {world.info.chunk_frames}, "
        f"shown at 1280x768 by {driver}, {result.frames} frames, {LEFT_OUT} chunks of warm-up, "
        f"real-time factor {result.real_time_factor:.2f}, {result.underruns} underruns, "
        f"first frame after {first_frame:.1f} s"
    )
    rows = {
        "steps + decode per chunk": result.make,
        "action to photon": result.photon,
        "pacing error": result.pacing,
        "engine cost per frame": result.cost,
    }
    for name, values in rows.items():
        if values:
            cells = "  ".join(f"{v * 1e3:8.2f}" for v in values)
            print(f"  {name:<26} p50 p95 p99 {cells} ms", flush=True)
    floor = _floor(world, 1e3 * result.real_time_factor * world.info.chunk_seconds)
    return {
        "pack": pack,
        "real_time_factor": round(result.real_time_factor, 3),
        "action_to_photon_ms": _quantiles(result.photon),
        "command_to_first_frame_s": round(first_frame, 2),
        "pacing_error_ms": _quantiles(result.pacing),
        "engine_ms_per_frame": _quantiles(result.cost),
        "make_ms": _quantiles(result.make),
        "underruns": result.underruns,
        "frames": result.frames,
        **floor,
    }


def _floor(world: Any, chunk_ms: float) -> dict[str, Any]:
    """What a chunk's products take at least, beside the median of generation and decode."""
    from engine.cli.bench_report import ceilings_of, floor_share
    from helios_core.products import chunk_products

    limits = ceilings_of(world)
    found = floor_share(chunk_products(world), limits, chunk_ms)
    if limits is not None:
        print(
            f"  generation + decode, p50 {chunk_ms:.2f} ms: {found['floor_fraction']:.0%} of the "
            f"floor, {found['gflop']:.3f} GFLOP of products at {limits['flop_per_s'] / 1e9:.0f} "
            f"GFLOP/s and {limits['bytes_per_s'] / 1e9:.1f} GB/s",
            flush=True,
        )
    return {"chunk_ms": round(chunk_ms, 2), "ceilings": limits, **found}


def _quantiles(values: tuple[float, ...]) -> dict[str, float] | None:
    names = ("p50", "p95", "p99")
    return {n: round(v * 1e3, 2) for n, v in zip(names, values, strict=True)} if values else None


def open_window() -> Any:
    """A real window without vsync, with the HUD; SDL's dummy driver where there is no display."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    ):
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    from engine.present.screen import ScreenConfig
    from engine.present.window import Window, WindowConfig

    return Window(
        WindowConfig(screen=ScreenConfig(vsync=False), sound=False, mouse_look=False, hud=True)
    )


def _computed(args: argparse.Namespace) -> dict[str, Any]:
    """How the world is to be computed, as `play` and `load` take it."""
    names = ("device", "dtype", "threads", "graphs", "codec_device", "eight_bits", "compile")
    return {name: getattr(args, name) for name in names}


def command_to_first_frame(pack: str, computed: dict[str, Any]) -> float:
    """Seconds from the command line to the end of a run that shows one frame, in a new process."""
    command = [sys.executable, "-m", "engine", "play", "--pack", pack, "--frames", "1"]
    command += ["--headless"]
    for name, value in computed.items():
        option = f"--{name.replace('_', '-')}"
        command += [option] if value is True else [option, str(value)] if value else []
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        silent = f"{' '.join(command)}: ended with code {done.returncode} and said nothing"
        raise ValueError(said[-1] if said else silent)
    return time.perf_counter() - started


def _flat(args: argparse.Namespace, hardware: dict[str, Any]) -> int:
    """Memory, threads and files over a long headless run."""
    from engine.cli.play import progress
    from engine.measure import measure_flatness
    from engine.opening import load

    pack = (args.pack or ["null"])[0]
    world = load(pack, **_computed(args))
    samples = measure_flatness(world, frames=args.flat, on_frame=progress(args.flat))
    print(f"{'frame':>10} {'resident MB':>12} {'threads':>8} {'files':>6} {'ms per chunk':>13}")
    for s in samples:
        mb, ms = s.resident / 2**20, s.chunk_seconds * 1e3
        print(f"{s.frame:>10} {mb:>12.1f} {s.threads:>8} {s.files:>6} {ms:>13.3f}")
    first, last = samples[1], samples[-1]
    growth = last.resident / max(1, first.resident) - 1
    print(f"resident memory {growth:+.2%} from frame {first.frame} to {last.frame}")
    report = {
        "bench": "play",
        "pack": pack,
        "frames": args.flat,
        "memory_growth": round(growth, 5),
        "threads": [first.threads, last.threads],
        "files": [first.files, last.files],
        "chunk_ms": [round(first.chunk_seconds * 1e3, 3), round(last.chunk_seconds * 1e3, 3)],
        "hardware": hardware,
    }
    print(json.dumps(report))
    return 0
