"""Look at Wilds: contact sheet, film, plots of the policies.

python -m training.worlds.wilds sheet runs/wilds.png
python -m training.worlds.wilds film runs/wilds.mp4
python -m training.worlds.wilds policies runs/policies.png
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from training.trainer.progress import Progress
from training.worlds.wilds import biomes, show
from training.worlds.wilds.spec import FPS

T = TypeVar("T")


def _progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    progress = Progress(what, total)
    for i, item in enumerate(items, 1):
        yield item
        progress.update(i)
    progress.close()


def _sheet(args: argparse.Namespace) -> None:
    rows = show.sheet(args.height or 96, args.width or 144, args.seed, args.device)
    show.write_sheet(args.out, _progress(rows, len(biomes.NAMES), "biomes"))
    columns = ", ".join(name for name, _, _ in show.MOMENTS)
    print(f"{args.out}: rows {', '.join(biomes.NAMES)}; columns {columns}")


def _film(args: argparse.Namespace) -> None:
    frames = show.film(show.FILM, args.height or 256, args.width or 384, args.device)
    seconds = sum(shot.seconds for shot in show.FILM)
    size = show.write_film(
        args.out, _progress(frames, round(seconds * FPS), "frames"), args.quality
    )
    print(f"{args.out}: {seconds:g} s, {size / 2**20:.2f} MiB")


def _policies(args: argparse.Namespace) -> None:
    show.plots(args.out, walkers=1000, frames=200, seed=args.seed)
    print(args.out)


def main(argv: list[str] | None = None) -> int:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(
        prog="python -m training.worlds.wilds",
        description="Pictures of Wilds to look at.",
        epilog="example: python -m training.worlds.wilds sheet runs/wilds.png",
    )
    actions = {"sheet": _sheet, "film": _film, "policies": _policies}
    parser.add_argument("what", choices=list(actions))
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--height", type=int, help="rows of one picture")
    parser.add_argument("--width", type=int, help="columns of one picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quality", type=int, default=26, help="H.264 CRF of a film (0 to 51)")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    try:
        actions[args.what](args)
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
