"""Where packs are: those that ship, those of the user, and any folder that is named by path.

folder = find("wilds")
"""

import os
from difflib import get_close_matches
from pathlib import Path

from helios_core.packs.manifest import FILE, check_name

BUILTIN = ("null", "random")
"""Worlds that need no files: one drawn by hand, one with random weights."""


def shipped_folder() -> Path:
    """assets/packs, beside this package in a checkout and in an installed wheel."""
    return Path(__file__).resolve().parents[2] / "assets" / "packs"


def user_folder() -> Path:
    """Packs of this user: $HELIOS_HOME/packs, else the platform's data folder."""
    home = os.environ.get("HELIOS_HOME")
    if home:
        return Path(home) / "packs"
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "helios" / "packs"


def installed() -> dict[str, Path]:
    """Name to folder of every pack that is found by name; a shipped one wins."""
    found: dict[str, Path] = {}
    for place in (shipped_folder(), user_folder()):
        if place.is_dir():
            for folder in sorted(place.iterdir()):
                if (folder / FILE).is_file():
                    found.setdefault(folder.name, folder)
    return found


def find(name_or_path: str | Path) -> Path:
    """The folder of a pack; an unknown one is a ValueError that names the nearest."""
    path = Path(name_or_path).expanduser()
    if len(path.parts) > 1 or path.is_absolute() or (path / FILE).is_file():
        if not (path / FILE).is_file():
            released = (path / "model_index.json").is_file()
            remedy = f": run `helios packs import {path}` first" if released else f" ({FILE})"
            raise ValueError(f"{path} holds no pack{remedy}")
        return path
    name = str(name_or_path)
    check_name(name)
    known = installed()
    if name in known:
        return known[name]
    if name in BUILTIN:
        raise ValueError(
            f"{name} is built in and has no files; `helios play --pack {name}` opens it"
        )
    near = get_close_matches(name, [*known, *BUILTIN], 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join([*known, *BUILTIN])}"
    raise ValueError(f"no pack {name!r}; {hint}")
