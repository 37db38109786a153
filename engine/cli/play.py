"""`helios play`: a world in a window, or headless into a video.

Parses and prints; the parts are in engine.opening (what to play), engine.loop (windowed) and
engine.render (headless).
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLE = """helios play
  helios play demos/waiting_storm.yaml --seed 7
  helios play --headless --pack null --frames 100 --out walk.mp4 --actions walk.txt"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", nargs="?", default="", help="a scene (.yaml) or a saved session; a menu if absent")
    add("--pack", default="", help="name or folder of a pack; `null` costs nothing")
    add("--prompt", metavar="TEXT", help="what the world is")
    add("--image", type=Path, metavar="FILE", help="start from a picture")
    add("--clip", type=Path, metavar="FILE", help="start from the end of a video")
    add("--seed", type=int, help="another seed is another world; 0 unless told otherwise")
    add("--device", help="cpu or cuda; measured once if not given")
    add("--dtype", choices=["fp32", "bf16"], help="measured once if not given")
    add("--threads", type=int, metavar="N", help="of the CPU; measured once if not given")
    add("--graphs", action="store_true", help="replay CUDA graphs; for a pack that fits on the GPU")
    add("--codec-device", metavar="NAME", help="code and decode elsewhere, such as cuda:1")
    add("--eight-bits", choices=["fp8", "int8"], help="products in the blocks; see bench eightbit")
    add("--compile", action="store_true", help="compile an imported checkpoint's codec, on a GPU")
    add("--actions", type=Path, metavar="FILE", help="scripted input, `0-23: move_forward`")
    add("--frames", type=int, metavar="N", help="stop after so many frames")
    add("--record", type=Path, metavar="DIR", help="record a rollout dataset from the start")
    add("--latents", action="store_true", help="recordings keep the latents of every chunk too")
    add("--captures", type=Path, default=Path("captures"), metavar="DIR", help="for F5, F10, F12")
    add("--policy", choices=["stretch", "hold", "drop"], default="stretch", help="for slow worlds")
    add("--window", type=_size, default=(1280, 768), metavar="WxH", help="size of the window")
    add("--fullscreen", action="store_true", help="no window borders")
    add("--hud", action="store_true", help="show the numbers from the start (F3 toggles)")
    add("--no-vsync", action="store_true", help="present without waiting for the screen")
    add("--no-sound", action="store_true", help="open no audio device")
    add("--headless", action="store_true", help="no window: render as fast as can be")
    add("--out", type=Path, metavar="FILE.mp4", help="the video of a headless run")


def run(args: argparse.Namespace) -> int:
    if args.frames is not None and args.frames < 1:
        raise ValueError(f"--frames {args.frames}: ask for at least 1")
    if args.image and args.clip:
        raise ValueError("start from --image or from --clip, not from both")
    from engine.opening import refuse_new_beginning

    refuse_new_beginning(opening_config(args))
    if args.headless:
        return _headless(args)
    if args.out:
        raise ValueError("--out belongs to --headless; in a window F10 films")
    from engine.installation import check_installation

    check_installation()  # before pygame is imported, which two of its kind would break
    from engine.cli.play_window import play_in_window

    return play_in_window(args, opening_config(args), user_folder("cache"))


def opening_config(args: argparse.Namespace) -> Any:
    """What to play, from the arguments."""
    from engine.opening import OpeningConfig

    return OpeningConfig(
        what=args.what,
        pack=args.pack,
        prompt=args.prompt,
        image=args.image,
        clip=args.clip,
        seed=args.seed,
        device=args.device,
        dtype=args.dtype,
        threads=args.threads,
        graphs=args.graphs,
        codec_device=args.codec_device,
        eight_bits=args.eight_bits,
        compile=args.compile,
        actions=args.actions,
        user_bindings=None if args.headless else user_folder("config") / "bindings.yaml",
        live=not args.headless,
    )


def user_folder(kind: str) -> Path:
    """Where this user's settings (`config`) or throw-away files (`cache`) live."""
    home = os.environ.get("HELIOS_HOME")
    if home:
        return Path(home) / kind
    base = os.environ.get(f"XDG_{kind.upper()}_HOME")
    return (Path(base) if base else Path.home() / f".{kind}") / "helios"


def _headless(args: argparse.Namespace) -> int:
    from engine.cli.counting import loading_bar
    from engine.render import RenderConfig, render

    config = RenderConfig(
        frames=args.frames, out=args.out, record=args.record, latents=args.latents,
        captures=args.captures,
    )  # fmt: skip
    rendered = render(
        opening_config(args),
        config,
        say=lambda text: print(text, file=sys.stderr),
        on_frame=progress(args.frames),
        on_loading=loading_bar(),
    )
    world_seconds = rendered.frames / rendered.fps
    print(
        f"{rendered.frames} frames of {rendered.pack} in {rendered.seconds:.1f} s "
        f"({world_seconds / max(rendered.seconds, 1e-9):.2f} x real time)"
    )
    print(f"frame hash {rendered.frame_hash}")
    return 1 if rendered.problems else 0


def progress(total: int | None) -> Any:
    """A bar on stderr, drawn at most ten times a second and only for people."""
    if not sys.stderr.isatty():
        return lambda done: None
    drawn = [0.0]

    def show(done: int) -> None:
        now = time.monotonic()
        if now - drawn[0] < 0.1 and done != total:
            return
        drawn[0] = now
        width = 30 * done // total if total else 0
        bar = f"[{'#' * width:<30}] {done}/{total}" if total else f"{done} frames"
        print(f"\r{bar} ", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


def _size(text: str) -> tuple[int, int]:
    """`WxH` in pixels."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() for p in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: write WIDTHxHEIGHT, such as 1280x768")
    width, height = (int(p) for p in parts)
    if not (320 <= width <= 16384 and 200 <= height <= 16384):
        raise argparse.ArgumentTypeError(f"{text!r}: at least 320x200")
    return width, height
