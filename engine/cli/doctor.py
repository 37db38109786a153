"""`helios doctor`: what this machine has, what was chosen and why, and what is missing.

Nothing here fails because something is missing: it is a report. Exit code 1 if something clashes.

    helios doctor --measure
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

EXAMPLE = "helios doctor"

EXTRAS = {
    "wan": ("diffusers", "transformers", "accelerate", "ftfy"),
    "research": ("pyarrow", "gymnasium", "matplotlib"),
    "games": ("vizdoom", "ale_py", "Box2D"),
    "ray": ("ray",),
    "rerun": ("rerun",),
}
"""Extra to the modules that it brings."""
FEATURES = {
    "wan": "released 14B checkpoints",
    "research": "recordings as datasets, environments, plots",
    "games": "recording real games",
    "ray": "rollouts on several machines",
    "rerun": "recordings in the Rerun viewer",
}
PROBE = """
import json, os
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
import pygame
found = {"pygame": pygame.version.ver, "sdl": ".".join(map(str, pygame.get_sdl_version()))}
try:
    pygame.display.init()
    found["driver"] = pygame.display.get_driver()
    found["sizes"] = pygame.display.get_desktop_sizes()
except pygame.error as error:
    found["display"] = str(error)
pygame.joystick.init()
sticks = [pygame.joystick.Joystick(i) for i in range(pygame.joystick.get_count())]
found["gamepads"] = [stick.get_name() for stick in sticks]
print(json.dumps(found))
"""
"""Run in a process of its own: a broken driver must not take the report with it."""
PATIENCE = 60
"""Seconds for that process; a display that is gone may keep it waiting for ever."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--measure", action="store_true", help="measure dtype and threads anew")


def run(args: argparse.Namespace) -> int:
    from engine.installation import check_installation
    from kernels.backend import asked

    asked()  # a mistyped choice is said at once, not after half a report
    for name, value in report(measure=args.measure):
        print(f"{name:<10} {value}", flush=True)
    try:
        check_installation()
    except ValueError as error:
        print(f"{'clash':<10} {error}")
        return 1
    return 0


def report(*, measure: bool) -> Iterator[tuple[str, str]]:
    """Rows of (what, how it is), the quick ones first."""
    yield "helios", _helios()
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield from _compute(measure)
    yield from _window()
    yield "packs", _packs()
    yield from _extras()


def _helios() -> str:
    from engine.installation import installed_version

    return installed_version("helios-engine") or "a checkout that is not installed"


def _compute(measure: bool) -> Iterator[tuple[str, str]]:
    import torch

    from engine.device import cache_file, choose
    from helios_core.fingerprint import kernels_backend

    yield "torch", str(torch.__version__)
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        yield "gpu", f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
    else:
        yield "gpu", "none that torch can use (the small packs need none)"
    if measure:
        cache_file().unlink(missing_ok=True)
    choice = choose()
    threads = "" if choice.threads is None else f", {choice.threads} threads"
    yield "computes", f"on {choice.device} in {choice.dtype}{threads} ({choice.reason})"
    yield "kernels", kernels_backend(torch.device(choice.device))


def _window() -> Iterator[tuple[str, str]]:
    try:
        result = subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield "window", f"pygame does not start within {PATIENCE} s: does the display answer?"
        return
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it crashed"])[-1]
        yield "window", f"pygame does not start: {reason}"
        return
    found = json.loads(result.stdout.strip().splitlines()[-1])
    yield "pygame", f"{found['pygame']} with SDL {found['sdl']}"
    if "display" in found:
        yield "display", f"none: {found['display']}; `helios play --headless` works without"
    elif found["driver"] in ("dummy", "offscreen"):
        yield "display", f"none (SDL driver {found['driver']}); `helios play --headless` works"
    else:
        sizes = ", ".join(f"{w}x{h}" for w, h in found["sizes"])
        yield "display", f"{sizes} through {found['driver']}"
    yield "gamepads", ", ".join(found["gamepads"]) or "none plugged in"


def _packs() -> str:
    from helios_core.packs.find import BUILTIN, installed, user_folder

    names = ", ".join((*installed(), *BUILTIN))
    return f"{names} (yours go to {user_folder()})"


def _extras() -> Iterator[tuple[str, str]]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            state = f"missing {', '.join(missing)}: pip install 'helios-engine[{extra}]'"
        else:
            state = "ready"
        yield extra, f"{FEATURES[extra]}: {state}"
    compiler = any(
        os.access(os.path.join(folder, name), os.X_OK)
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        for name in ("g++", "clang++", "c++")
    )
    yield "compiler", "found" if compiler else "none (only compiling wants one)"
