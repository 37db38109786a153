"""`helios play`: a world in a window, or headless into a video.

Parses and prints; the parts are in engine.opening (what to play), engine.loop (windowed) and
engine.headless.
"""

import argparse
import sys
from pathlib import Path

EXAMPLE = "helios play --headless --pack null --frames 100 --out walk.mp4 --actions walk.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="", help="a scene (.yaml) or a saved session")
    parser.add_argument("--pack", default="", help="name or folder of a pack; `null` costs nothing")
    parser.add_argument("--prompt", default=None, metavar="TEXT", help="what the world is")
    parser.add_argument("--image", type=Path, help="start from a picture")
    parser.add_argument("--clip", type=Path, help="start from the end of a video")
    parser.add_argument("--seed", type=int, default=None, help="0 unless told otherwise")
    parser.add_argument("--device", default=None, help="cpu or cuda; measured once if not given")
    parser.add_argument("--dtype", default=None, choices=["fp32", "bf16"])
    parser.add_argument("--actions", type=Path, metavar="FILE", help="scripted input")
    parser.add_argument("--frames", type=int, default=None, help="stop after so many frames")
    parser.add_argument("--record", type=Path, metavar="DIR", help="record a rollout dataset")
    parser.add_argument("--headless", action="store_true", help="no window: render to --out")
    parser.add_argument("--out", type=Path, metavar="FILE.mp4", help="the video of a headless run")


def run(args: argparse.Namespace) -> int:
    from engine.director import PassThrough
    from engine.frame_hash import FrameHash
    from engine.headless import play_headless
    from engine.input.bindings import bindings_from
    from engine.input.mapper import InputMapper
    from engine.intake import Intake
    from engine.maker import ChunkMaker, Place
    from engine.stage import Stage
    from engine.video import Film
    from helios_core.null_world import NullWorld

    world = NullWorld()
    maker = ChunkMaker(world, PassThrough())
    maker.jump(Place(state=world.start(seed=args.seed or 0, prompt=args.prompt or "")))
    intake = Intake(InputMapper(world.info.spec, bindings_from(world.info.spec), fps=20))
    stage = Stage(
        on_effect=lambda effect: None,
        on_message=lambda text: print(text, file=sys.stderr),
        draw=lambda frame, overlays: frame,
    )
    hashed = FrameHash()
    stage.add_sink(hashed)
    if args.out:
        stage.start_film(Film(args.out, fps=world.info.fps))
    result = play_headless(maker, intake, sources=[], stage=stage, frames=args.frames)
    stage.close()
    print(f"{result.frames} frames, hash {hashed.hexdigest()}")
    return 0
