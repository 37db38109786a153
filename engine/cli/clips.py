"""`helios clips`: import, describe, check and view action-labelled clips."""

import argparse
from pathlib import Path

from engine.cli.counting import Counting

EXAMPLE = "helios clips import --layout keyboard-mouse downloads/game --out clips/game"
LAYOUTS = {
    "keyboard-mouse": "training.clips.importers.keyboard_mouse",
    "owl-control": "training.clips.importers.owl_control",
    "gf-minecraft": "training.clips.importers.gf_minecraft",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    bring = actions.add_parser("import", help="from another project's layout")
    bring.add_argument("folder", type=Path)
    bring.add_argument("--layout", required=True, choices=sorted(LAYOUTS))
    bring.add_argument("--out", required=True, help="folder of the data set; appended to")
    bring.add_argument("--size", default="128x192", help="HEIGHTxWIDTH (default: 128x192)")
    bring.add_argument("--licence", default="unknown", help="of what is imported")
    bring.add_argument("--prompt", default="", help="caption where the source has none")
    for name, line in (
        ("info", "counts, hours, use of every channel"),
        ("check", "broken files and useless episodes; exit 1 if there are any"),
        ("view", "play a clip in the window with its actions drawn on it"),
    ):
        one = actions.add_parser(name, help=line)
        one.add_argument("folder", type=Path)
        if name == "view":
            one.add_argument("--episode", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    return {"import": _import, "info": _info, "check": _check, "view": _view}[args.action](args)


def _import(args: argparse.Namespace) -> int:
    from importlib import import_module

    from training.clips.importers.source import ImportConfig, write_clips

    if not args.folder.is_dir():
        raise ValueError(f"{args.folder} is no folder")
    height, width = _size(args.size)
    config = ImportConfig(
        out=args.out, height=height, width=width, licence=args.licence, prompt=args.prompt
    )
    clips = import_module(LAYOUTS[args.layout]).find(args.folder)
    progress = Counting("import", "clips")
    frames = write_clips(clips, config, layout=args.layout, progress=progress)
    progress.close()
    print(f"{len(clips)} clips, {frames} new frames imported into {args.out}")
    return 0


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split("x"))
    except ValueError:
        raise ValueError(f"--size {text!r}: write HEIGHTxWIDTH, as in 128x192") from None
    return height, width


def _info(args: argparse.Namespace) -> int:
    from engine.rollouts.reader import RolloutDataset
    from training.clips.report import lines, summarise

    for line in lines(summarise(RolloutDataset.open(args.folder))):
        print(line)
    return 0


def _check(args: argparse.Namespace) -> int:
    from engine.rollouts.reader import RolloutDataset
    from training.clips.report import problems

    dataset = RolloutDataset.open(args.folder)
    found = list(problems(dataset))
    for problem in found:
        print(problem)
    print(f"{len(dataset.episodes)} episodes checked, {len(found)} problems")
    return 1 if found else 0


def _view(args: argparse.Namespace) -> int:
    from engine.cli.rollouts import view_recordings

    return view_recordings([(args.folder, args.episode)])
