"""A pack played for minutes in a real X window and watched from outside, by hand or in a test.

    python -m tests.engine.window.long_play                       # the default pack, one minute
    python -m tests.engine.window.long_play --pack DIR --minutes 10 --preset 2 --out pictures/

`helios play` runs in a child process with scripted actions; the pictures come from the X server,
the memory from the operating system. The last line is JSON. Not here: what is expected of it
(test_long_play), ten minutes and what may grow in
them (test_ten_minutes).

H W pixels.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from engine.opening import default_pack
from engine.video import png_bytes
from helios_core.actions import ActionSpec
from helios_core.null_world import NullWorld
from helios_core.packs import manifest as manifests
from helios_core.packs.find import find
from tests.engine.window.desktop import MISSING, SCREEN, Desktop, helios_play, until

SIZE = (1280, 768)
STROLL = (
    (100, "move_forward"),
    (30, "move_forward, look_yaw=30"),
    (60, "look_yaw=-45"),
    (80, "move_forward, run"),
    (20, "look_pitch=10"),
    (20, "look_pitch=-10"),
    (30, "strafe=1"),
    (30, "strafe=-1"),
)
"""Frames and what is done in them, again and again."""
PICTURES = (5.0, 60.0)
LOADING = 120.0
"""Seconds that a pack may take to come onto the screen."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What to play and when to look."""

    pack: str
    minutes: float = 1.0
    preset: int = 0
    """Which of the pack's beginnings."""
    pictures: tuple[float, ...] = PICTURES
    """Seconds after the first frame at which a picture is kept; the last one is kept always."""
    options: tuple[str, ...] = ()
    """More of `helios play`."""


@dataclass(kw_only=True)
class Seen:
    """What was seen of a play."""

    pack: str
    prompt: str
    seconds: float = 0.0
    """From the first frame on the screen until the window was closed."""
    loading: float = 0.0
    """From the command to the first frames on the screen."""
    code: int | None = None
    log: str = ""
    pictures: dict[float, np.ndarray] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, resident MB)."""
    changes: int = 0
    """Looks, two a second, at which the picture was another one than at the look before."""
    looks: int = 0

    @property
    def frames(self) -> int:
        """As the command said at its end."""
        said = re.search(r"(\d+) frames of", self.log)
        return int(said.group(1)) if said else 0

    @property
    def growth(self) -> float:
        """Memory at the end against memory at the middle of the play: the past of the last minute
        stays in memory, so memory is full only after that, and later in slow motion."""
        return self.memory[-1][1] / self.memory[len(self.memory) // 2][1]

    def summary(self) -> dict[str, object]:
        return {
            "pack": self.pack,
            "prompt": self.prompt,
            "exit_code": self.code,
            "frames": self.frames,
            "seconds": round(self.seconds, 1),
            "fps": round(self.frames / self.seconds, 2) if self.seconds else 0.0,
            "command_to_first_frame_s": round(self.loading, 2),
            "memory_mb": [round(mb) for _, mb in self.memory],
            "memory_growth": round(self.growth, 4) if self.memory else None,
            "picture_changed": f"{self.changes} of {self.looks} looks",
        }


def stroll(spec: ActionSpec, frames: int) -> str:
    """A script for so many frames, of the channels that the world has; empty if it has none."""
    names = {channel.name for channel in spec.channels}
    lines, at = [], 0
    while at < frames and names:
        for length, what in STROLL:
            parts = [p for p in what.split(", ") if p.split("=")[0] in names]
            if parts:
                lines.append(f"{at}-{at + length - 1}: {', '.join(parts)}")
            at += length
    return "\n".join(lines)


def watch(desktop: Desktop, folder: Path, wanted: Watch) -> Seen:
    """Play for so many minutes and look on, then close the window."""
    begin = beginning(wanted.pack, wanted.preset)
    options = ["--pack", wanted.pack, *wanted.options]
    options += ["--captures", str(folder / "captures"), "--window", f"{SIZE[0]}x{SIZE[1]}"]
    options += ["--prompt", begin.prompt] if begin.prompt else []
    options += ["--image", str(begin.image)] if begin.image else []
    script = stroll(begin.spec, round(wanted.minutes * 60 * begin.fps))
    if script:
        (folder / "stroll.txt").write_text(script)
        options += ["--actions", str(folder / "stroll.txt")]
    seen = Seen(pack=wanted.pack, prompt=begin.prompt)
    with (folder / "play.log").open("w+") as log:
        began = time.monotonic()
        process = helios_play(desktop, folder, log, *options)
        try:
            _wait_for_world(desktop, process)
            seen.loading = time.monotonic() - began
            _look_on(desktop, process, wanted, seen)
            if process.poll() is None:
                desktop.close_politely(int(desktop.hand("getwindowfocus")))
                process.wait(LOADING)
        finally:
            process.kill()
            seen.code = process.wait()
            seen.log = (folder / "play.log").read_text()
    return seen


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a pack says of itself and of one of its beginnings."""

    fps: int
    spec: ActionSpec
    prompt: str = ""
    image: Path | None = None


def beginning(pack: str, preset: int) -> Beginning:
    """From the manifest; no weights are read."""
    if pack == "null":
        info = NullWorld().info
        return Beginning(fps=info.fps, spec=info.spec, prompt="a meadow at noon")
    folder = find(pack)
    manifest = manifests.read(folder)
    if not manifest.presets:
        return Beginning(fps=manifest.fps, spec=manifest.spec)
    wanted = manifest.presets[preset]
    image = folder / wanted.image if wanted.image else None
    return Beginning(fps=manifest.fps, spec=manifest.spec, prompt=wanted.prompt, image=image)


def _wait_for_world(desktop: Desktop, process: subprocess.Popen) -> None:
    """Until the lowest quarter has changed some times: on the loading screen nothing moves there,
    and its coming is one change."""
    edge, changes = window_picture(desktop)[-SIZE[1] // 4 :], 0

    def moves() -> bool:
        nonlocal edge, changes
        assert process.poll() is None, "the play ended before it began"
        before, edge = edge, window_picture(desktop)[-SIZE[1] // 4 :]
        changes += not np.array_equal(before, edge)
        return changes >= 3

    until(moves, "a world on the screen", LOADING)


def _look_on(desktop: Desktop, process: subprocess.Popen, wanted: Watch, seen: Seen) -> None:
    """Until the time is up, or the play ends too early."""
    began, before = time.monotonic(), window_picture(desktop)
    due, resident = sorted(wanted.pictures), psutil.Process(process.pid)
    while process.poll() is None and seen.seconds < 60.0 * wanted.minutes:
        if not seen.memory or seen.seconds - seen.memory[-1][0] >= 10.0:
            seen.memory.append((seen.seconds, resident.memory_info().rss / 2**20))
        time.sleep(0.5)
        picture = window_picture(desktop)
        seen.seconds = time.monotonic() - began
        seen.looks += 1
        seen.changes += not np.array_equal(picture, before)
        before = picture
        if due and seen.seconds >= due[0]:
            seen.pictures[due.pop(0)] = picture
    seen.pictures.setdefault(round(seen.seconds, 1), before)


def window_picture(desktop: Desktop) -> np.ndarray:
    """What the X server shows where the window is, [H, W, 3]; SDL opens it in the middle."""
    x, y = (SCREEN[0] - SIZE[0]) // 2, (SCREEN[1] - SIZE[1]) // 2
    return desktop.picture()[y : y + SIZE[1], x : x + SIZE[0]].copy()


def _middle(picture: np.ndarray) -> np.ndarray:
    h, w = picture.shape[:2]
    return picture[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4]


def detail(picture: np.ndarray) -> float:
    """Deviation of the brightness in the picture's middle; near 0 for a world that went blank."""
    return float(_middle(picture).mean(-1).std())


def save_pictures(seen: Seen, folder: Path, stem: str) -> list[Path]:
    """At half the size: they are to be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seconds, picture in sorted(seen.pictures.items()):
        paths.append(folder / f"{stem}-{seconds:03.0f}s.png")
        paths[-1].write_bytes(png_bytes(np.ascontiguousarray(picture[::2, ::2])))
    return paths


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="long_play", description=__doc__.splitlines()[0])
    parser.add_argument("--pack", default="", help="name or folder; the default pack if absent")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--preset", type=int, default=0, help="which of the pack's beginnings")
    parser.add_argument("--pictures", default="5,60", help="seconds, with commas between them")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--hud", action="store_true", help="show the numbers")
    args = parser.parse_args(arguments)
    if MISSING:
        print(f"install {' and '.join(MISSING)} first", file=sys.stderr)
        return 2
    wanted = Watch(
        pack=args.pack or default_pack(),
        minutes=args.minutes,
        preset=args.preset,
        pictures=tuple(float(part) for part in args.pictures.split(",") if part),
        options=("--hud",) if args.hud else (),
    )
    with tempfile.TemporaryDirectory() as folder:
        desktop = Desktop(Path(folder))
        try:
            seen = watch(desktop, Path(folder), wanted)
        finally:
            desktop.close()
    if args.out is not None:
        name = Path(wanted.pack).name
        for path in save_pictures(seen, args.out, f"{name}-{args.preset}"):
            print(path)
    print(seen.log, end="", file=sys.stderr)
    print(json.dumps(seen.summary()))
    return seen.code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
