"""Ten minutes in a real window: a world goes on, obeys, and takes no more memory than at first.

The default pack, and a tiny checkpoint in the released layout, imported. Another choice:

    HELIOS_PACKS="random" HELIOS_MINUTES=1 pytest -s -m full tests/engine/window/test_ten_minutes.py
"""

import json
import os
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.opening import default_pack
from helios_core.packs.find import find
from helios_core.packs.manifest import read
from tests.engine.window.desktop import SCREEN, Desktop, helios_play, until

MINUTES = float(os.environ.get("HELIOS_MINUTES", "10"))
PACKS = os.environ.get("HELIOS_PACKS", "default imported").split()
HANDS = (("keydown", "w"), ("keyup", "w"), ("key", "2"), ("key", "Right"), ("key", "F3"))
"""What the player does, one thing at each look; prompts change and the HUD comes and goes."""
LOOKS = 20
"""Times that memory and picture are looked at, in a world that keeps up with real time."""


def pack_named(name: str, folder: Path) -> tuple[str, int]:
    """A pack to play, and its frames per second."""
    if name == "imported":
        pytest.importorskip("diffusers")
        pytest.importorskip("transformers")
        from helios_core.packs.importing import import_released
        from tests.helios_core.released import HEIGHT, WIDTH, write_released

        tiny = write_released(folder / "tiny")
        path = import_released(tiny, folder / "packs", height=HEIGHT, width=WIDTH)
        return str(path), read(path).fps
    name = default_pack() if name == "default" else name
    if name == "null":
        pytest.skip("no trained pack is installed: assets/packs holds none")
    return name, 20 if name == "random" else read(find(name)).fps


def usage(process: subprocess.Popen) -> dict[str, float]:
    """Resident megabytes, threads and file handles of a process."""
    folder = Path(f"/proc/{process.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return {
        "megabytes": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        "threads": len(list((folder / "task").iterdir())),
        "files": len(list((folder / "fd").iterdir())),
    }


def photographed(desktop: Desktop, captures: Path) -> bool:
    """Whether a screenshot was taken, which only a world that is played can be asked for."""
    desktop.hand("key", "F12")
    time.sleep(1)
    return any(captures.glob("*.png"))


@pytest.mark.full
@pytest.mark.timeout(round(MINUTES * 60 * 5 + 600))
@pytest.mark.parametrize("name", PACKS)
def test_a_world_goes_on_for_minutes(name, desktop, tmp_path):
    pack, fps = pack_named(name, tmp_path)
    frames = round(MINUTES * 60 * fps)
    middle = (slice(SCREEN[1] // 2 - 150, SCREEN[1] // 2 + 150), slice(SCREEN[0] // 2, None))
    with (tmp_path / "play.log").open("w+") as log:
        game = helios_play(
            *(desktop, tmp_path, log, "--pack", pack, "--frames", str(frames), "--no-vsync"),
            *("--window", "960x640", "--captures", str(tmp_path / "captures")),
        )
        until(lambda: photographed(desktop, tmp_path / "captures"), "the first frames", 240)
        seen, taken, began = [], [], time.monotonic()
        while game.poll() is None and time.monotonic() < began + MINUTES * 60 * 5:
            desktop.hand(*HANDS[len(taken) % len(HANDS)])
            seen.append(desktop.picture()[middle].astype(np.int16))
            taken.append(usage(game))
            time.sleep(MINUTES * 60 / LOOKS)
        game.kill()
        code, seconds = game.wait(20), time.monotonic() - began
    said = (tmp_path / "play.log").read_text()
    print(json.dumps({"pack": name, "frames": frames, "seconds": round(seconds), "usage": taken}))
    assert code == 0 and "Traceback" not in said, said
    moved = [np.abs(a - b).mean() for a, b in pairwise(seen)]
    assert np.median(moved) > 0.05, "it goes on"  # an untrained codec shows faint pictures
    # The past of the last minute stays in memory, so memory is full only after that.
    first, last = taken[len(taken) // 2], taken[-1]
    assert last["megabytes"] <= 1.03 * first["megabytes"], "memory is flat"
    assert last["threads"] <= first["threads"] and last["files"] <= first["files"] + 1
