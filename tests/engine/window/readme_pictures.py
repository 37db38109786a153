"""The pictures of the front README, made anew by the commands that it names.

    python -m tests.engine.window.readme_pictures OUT                 # all of them, eleven minutes
    python -m tests.engine.window.readme_pictures OUT --only typed    # or walk, weather, windows

What was made on the way stays in OUT; whoever likes them copies wilds-nano.png, typed.png,
weather.png and walk.mp4 to assets/pictures. Windows open on a display of their own. Not here: the
start screen (play.png), whether pictures are good.

H W pixels.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from engine.contact_sheet import tiled
from engine.rollouts.video import VideoReader
from engine.video import png_bytes, read_image

PACK = "wilds-nano"
FPS = 20
SIDES = 3 / 2
"""Width over height of the world's picture."""
MINUTES = "10.1"
BEGINNINGS = 4
TYPED = (
    "a prairie full of flowers",
    "Christmas landscape",
    "Grand Canyon",
    "an enchanted wood",
    "October leaves",
    "Sahara",
    "a striped lighthouse on a tropical shore at sunset",
    "an abandoned city at night under a green aurora",
)
WALK = (
    "0-99: move_forward\n100-129: move_forward, look_yaw=30\n130-189: look_yaw=-45\n"
    "190-239: move_forward, run\n"
)
WEATHERS, EIGHT_SECONDS = 7, 160


def helios(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "engine", *map(str, words)], check=True)


def cell(picture: np.ndarray, height: int) -> np.ndarray:
    """The world's part of a window's or a film's picture, at that height."""
    h, w = picture.shape[:2]
    inside = min(w, round(h * SIDES))
    left = (w - inside) // 2
    cut = np.ascontiguousarray(picture[:, left : left + inside])
    whole = av.VideoFrame.from_ndarray(cut, format="rgb24")
    width = round(height * SIDES)
    return whole.reformat(width, height, interpolation="BICUBIC").to_ndarray(format="rgb24")


def frames_of(film: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    reader = VideoReader(film, fps=FPS)
    for number in numbers:
        yield reader.read(number, 1)[0]
    reader.close()


def save(path: Path, pictures: Sequence[np.ndarray], columns: int) -> None:
    path.write_bytes(png_bytes(tiled(pictures, columns)))
    print(path)


def windows(out: Path) -> None:
    """The first beginnings, in windows side by side, after five seconds and one and ten minutes."""
    command = [sys.executable, "-m", "tests.engine.window.long_play", "--pack", PACK]
    command += ["--minutes", MINUTES, "--pictures", "5,60", "--out", str(out)]
    plays = [subprocess.Popen([*command, "--preset", str(i)]) for i in range(BEGINNINGS)]
    codes = [play.wait() for play in plays]
    if any(codes):
        raise SystemExit("a window did not play to its end")
    seen = [sorted(out.glob(f"{PACK}-{i}-*s.png"))[:3] for i in range(BEGINNINGS)]
    rows = zip(*seen, strict=True)
    save(out / f"{PACK}.png", [cell(read_image(p), 216) for row in rows for p in row], BEGINNINGS)


def typed(out: Path) -> None:
    """Typed sentences, one second and six seconds of walking after."""
    script, pictures = out / "forward.txt", []
    script.write_text("0-119: move_forward\n")
    for i, text in enumerate(TYPED):
        film = out / f"typed-{i}.mp4"
        helios("play", "--headless", "--prompt", text, "--actions", script, "--frames", 120,
               "--out", film)  # fmt: skip
        pictures.append([cell(frame, 108) for frame in frames_of(film, (19, 119))])
    save(out / "typed.png", [pair[row] for row in (0, 1) for pair in pictures], len(TYPED))


def weather(out: Path) -> None:
    """The weather station, six seconds after each line of its script."""
    film = out / "weather.mp4"
    helios("run", "demos/weather_station.yaml", "--pack", PACK, "--frames", 1120, "--out", film)
    numbers = [EIGHT_SECONDS * i + 6 * FPS for i in range(WEATHERS)]
    save(out / "weather.png", [cell(f, 128) for f in frames_of(film, numbers)], WEATHERS)


def walk(out: Path) -> None:
    """Twelve seconds of a walk."""
    script = out / "walk.txt"
    script.write_text(WALK)
    helios("play", "--headless", "--pack", PACK, "--actions", script, "--frames", 240,
           "--out", out / "walk.mp4")  # fmt: skip


PICTURES = {"typed": typed, "weather": weather, "walk": walk, "windows": windows}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="readme_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for pictures and films")
    parser.add_argument("--only", choices=PICTURES, help="one of them")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        if args.only in (None, name):
            make(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
