"""`helios rollouts`: what to do with recordings, and how to make many of them."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.rollouts.reader import RolloutDataset

EXAMPLE = """helios rollouts info runs/first
  helios rollouts check runs/first --repair
  helios rollouts export runs/first --format frames --out out
  helios rollouts merge runs/all runs/monday runs/tuesday
  helios rollouts generate --pack wilds-nano --episodes 100 --workers 2 --out runs/walks
  helios rollouts view runs/first"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = commands.add_parser("info", help="what is in a recording")
    info.add_argument("dir", type=Path, help="a recording")
    check = commands.add_parser("check", help="find what is broken; exit code 1 if something is")
    check.add_argument("dir", type=Path, help="a recording")
    check.add_argument("--repair", action="store_true", help="publish what a crash left first")
    merge = commands.add_parser("merge", help="append recordings to one")
    merge.add_argument("out", type=Path, help="recording to append to; made if it is not there")
    merge.add_argument("dirs", type=Path, nargs="+", help="recordings of the same columns")
    export = commands.add_parser("export", help="write another format")
    export.add_argument("dir", type=Path, help="a recording")
    formats = ["frames", "hdf5", "minari", "rerun"]
    export.add_argument("--format", choices=formats, default="frames", help="(default: frames)")
    export.add_argument("--out", type=Path, required=True, help="a folder, whatever the format")
    view = commands.add_parser("view", help="look at recordings, one or two side by side")
    view.add_argument("dir", type=Path, help="a recording")
    view.add_argument("other", type=Path, nargs="?", help="a second one, beside the first")
    view.add_argument("--episode", type=int, default=0)
    view.add_argument("--other-episode", type=int, help="episode of the second (default: the same)")
    _add_generate(commands.add_parser("generate", help="let a policy walk, many times"))


def _add_generate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--pack", required=True, help="name or folder of a pack")
    add("--policy", default="random", help="random, still, forward or FILE.py")
    add("--episodes", type=int, default=1)
    add("--chunks", type=int, default=50, help="length of an episode")
    add("--prompt", default="", help="text (default: the pack's presets in turn)")
    add("--seed", type=int, default=0, help="seed of the first episode")
    add("--batch", type=int, default=4, help="episodes in one forward pass")
    add("--device", default="cpu")
    add("--threads", type=int, default=1, help="of torch, in each worker")
    add("--workers", type=int, default=1, help="processes, or Ray actors")
    add("--latents", action="store_true", help="keep the latents of every chunk too")
    add("--ray", action="store_true", help="on the machines of a Ray cluster")
    add("--out", type=Path, required=True, help="dataset, made or appended to")


def run(args: argparse.Namespace) -> int:
    actions = {
        "info": _info, "check": _check, "merge": _merge,
        "export": _export, "view": _view, "generate": _generate,
    }  # fmt: skip
    return actions[args.action](args)


def _info(args: argparse.Namespace) -> int:
    from engine.rollouts.reader import RolloutDataset

    data = RolloutDataset.open(args.dir)
    spec, episodes = data.spec, data.episodes
    minutes = data.frames / spec.fps / 60
    size = sum(p.stat().st_size for p in args.dir.rglob("*") if p.is_file()) / 1e6
    broken = sum(not e.complete for e in episodes)
    print(f"{len(episodes)} episodes, {data.frames} frames, {minutes:.1f} min, {size:.1f} MB")
    print(f"{spec.width}x{spec.height} at {spec.fps} fps")
    print(f"actions: {', '.join(spec.actions.names) or 'none'}")
    if spec.extras:
        print(f"also: {', '.join(c.name for c in spec.extras)}")
    if spec.latents:
        chunks = sum(len(set(data.columns(e.index)["chunk"].tolist())) for e in episodes)
        print(f"latents of {chunks} chunks, each {'x'.join(map(str, spec.latents))}")
    for name in ("pack", "env", "licence", "device", "policy"):
        values = Counter(str(e.header.source[name]) for e in episodes if name in e.header.source)
        if values:
            print(f"{name}: {', '.join(f'{v} ({n})' for v, n in values.most_common(5))}")
    prompts = Counter(text for e in episodes for text in e.tasks)
    for text, count in prompts.most_common(5):
        print(f"  {count:5d} x {text!r}")
    branches = sum(e.header.parent is not None for e in episodes)
    if branches or broken:
        print(f"{branches} episodes branched off others, {broken} were cut off")
    return 0


def _check(args: argparse.Namespace) -> int:
    from engine.rollouts.check import check
    from engine.rollouts.layout import Layout, read_record
    from engine.rollouts.lock import FolderLock
    from engine.rollouts.repair import repair

    layout = Layout(args.dir)
    read_record(layout)
    if args.repair:
        lock = FolderLock(layout.lock)
        done = repair(layout)
        lock.release()
        if done.episodes:
            print(f"repaired: {done.episodes} episodes, {done.frames} frames; {done.lost} lost")
    problems = list(check(args.dir, on_part=_bar("part")))
    for problem in problems:
        print(problem)
    print(f"{args.dir}: {len(problems)} problems" if problems else f"{args.dir}: all is well")
    return 1 if problems else 0


def _merge(args: argparse.Namespace) -> int:
    from engine.rollouts.merge import merge
    from engine.rollouts.reader import RolloutDataset

    merge(args.out, [(str(path.resolve()), path) for path in args.dirs])
    print(f"{args.out}: {len(RolloutDataset.open(args.out).episodes)} episodes")
    return 0


def _export(args: argparse.Namespace) -> int:
    from engine.rollouts.export import export
    from engine.rollouts.reader import RolloutDataset

    data = RolloutDataset.open(args.dir)
    export(data, args.out, args.format, on_episode=_bar("episode"))
    print(f"{len(data.episodes)} episodes in {args.out}")
    return 0


def _view(args: argparse.Namespace) -> int:
    shown = [(args.dir, args.episode)]
    if args.other is not None:
        episode = args.episode if args.other_episode is None else args.other_episode
        shown.append((args.other, episode))
    return view_recordings(shown)


def view_recordings(shown: Sequence[tuple[Path, int]]) -> int:
    """Folders and their episodes, side by side in a window; the exit code."""
    from engine.rollouts.view import Viewer, view

    viewer = Viewer([(_opened(root, episode), episode) for root, episode in shown])
    from engine.present.screen import ScreenConfig
    from engine.present.window import Window, WindowConfig

    height, width = viewer.picture().shape[:2]
    scale = max(1, min(1280 // width, 768 // height))
    screen = ScreenConfig(size=(width * scale, height * scale))
    window = Window(WindowConfig(screen=screen, mouse_look=False, sound=False))
    names = viewer.channels
    print(f"bars from top to bottom: {', '.join(names)}" if names else "no actions")
    print("space: pause; left, right: a frame; up, down: an episode; home, end; close to leave")
    try:
        view(viewer, window)
    finally:
        window.close()
    return 0


def _opened(root: Path, episode: int) -> "RolloutDataset":
    """A recording that has this episode."""
    from engine.rollouts.reader import RolloutDataset

    data = RolloutDataset.open(root)
    count = len(data.episodes)
    if not 0 <= episode < count:
        has = f"episodes 0 to {count - 1}" if count else "no episodes"
        raise ValueError(f"{root} has {has}, not {episode}")
    return data


def _generate(args: argparse.Namespace) -> int:
    from engine.rollouts.generate import GenerateConfig, generate
    from engine.rollouts.reader import RolloutDataset

    config = GenerateConfig(
        pack=args.pack, policy=args.policy, episodes=args.episodes, chunks=args.chunks,
        prompt=args.prompt, seed=args.seed, batch=args.batch, device=args.device,
        threads=args.threads, latents=args.latents,
    )  # fmt: skip
    began = time.monotonic()
    generate(args.out, config, workers=args.workers, ray=args.ray, on_shard=_bar("shard"))
    data = RolloutDataset.open(args.out)
    seconds = time.monotonic() - began
    print(f"{args.out}: {len(data.episodes)} episodes, {data.frames} frames, in {seconds:.0f} s")
    return 0


def _bar(what: str):
    """Progress on stderr, for people."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{what} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return show
