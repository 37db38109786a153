"""`helios run`: a scene rendered without a window, as fast as it can, the same every time.

Same file, seed, pack, device and dtype give the same frames; their hash is printed and `--expect`
checks it. Exit code 1 when the hash is another one, or when a video or a recording is not whole.
Not here: rendering (engine.render).
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.scenes.load import SceneFile

EXAMPLE = """helios run demos/waiting_storm.yaml --out storm.mp4
  helios run demos/long_walk.yaml --sheet ten-minutes.png --every 10
  helios run demos/lab.yaml --pack null --frames 200 --expect 0f3c..."""
SHORTEST_HASH = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("scene", type=Path, help="a scene file")
    add("--out", type=Path, metavar="FILE.mp4", help="the video")
    add("--sheet", type=Path, metavar="FILE.png", help="pictures of the whole play, side by side")
    add("--every", type=float, default=10.0, metavar="S", help="seconds between them: 10")
    add("--frames", type=int, metavar="N", help="how many; until the scene ends if not given")
    add("--actions", type=Path, metavar="FILE", help="scripted input, `0-23: move_forward`")
    add("--record", type=Path, metavar="DIR", help="record a rollout dataset")
    add("--latents", action="store_true", help="recordings keep the latents of every chunk too")
    add("--captures", type=Path, default=Path("captures"), metavar="DIR", help="for screenshots")
    add("--expect", metavar="HASH", help="fail unless the frames have this hash, or begin of one")
    add("--seed", type=int, help="another seed than the scene's")
    add("--pack", default="", help="another pack than the scene's")
    add("--device", help="cpu or cuda")
    add("--dtype", choices=["fp32", "bf16"])


def run(args: argparse.Namespace) -> int:
    if args.frames is not None and args.frames < 1:
        raise ValueError(f"--frames {args.frames}: ask for at least 1")
    expected = _expected(args.expect)
    from engine.cli.counting import loading_bar
    from engine.cli.play import progress
    from engine.opening import OpeningConfig, refuse_new_beginning
    from engine.render import RenderConfig, render
    from engine.scenes.load import load_scene
    from engine.scenes.packs import pack_facts

    config = RenderConfig(
        frames=args.frames, out=args.out, record=args.record, latents=args.latents,
        captures=args.captures, sheet=args.sheet, every=args.every,
    )  # fmt: skip
    if args.frames is None:
        scene = load_scene(args.scene, packs=lambda name: pack_facts(args.pack or name))
        _refuse_endless(scene)
    opening = OpeningConfig(
        what=str(args.scene),
        pack=args.pack,
        seed=args.seed,
        device=args.device,
        dtype=args.dtype,
        actions=args.actions,
    )
    refuse_new_beginning(opening)
    rendered = render(
        opening,
        config,
        say=lambda text: print(text, file=sys.stderr),
        on_frame=progress(args.frames),
        on_loading=loading_bar(),
    )
    print(f"{rendered.frames} frames of {rendered.pack} in {rendered.seconds:.1f} s")
    print(f"frame hash {rendered.frame_hash}")
    if expected and not rendered.frame_hash.startswith(expected):
        print(f"helios run: expected the hash {expected}", file=sys.stderr)
        return 1
    return 1 if rendered.problems else 0


def _expected(text: str | None) -> str:
    """The hash to compare with; a shortened one is enough."""
    if text is None:
        return ""
    expected = text.lower()
    if not SHORTEST_HASH <= len(expected) <= 64 or set(expected) - set("0123456789abcdef"):
        raise ValueError(f"--expect {text!r}: give {SHORTEST_HASH} to 64 digits of a frame hash")
    return expected


def _refuse_endless(file: "SceneFile") -> None:
    if not any(event.end or event.jump for _, event in file.scene.all_events()):
        raise ValueError(f"{file.path} never ends by itself; say how long: --frames N")
