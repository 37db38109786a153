"""Files and folders that get their name once they are whole on disk: a kill, a full disk or a power
loss leaves what had the name before, or nothing of that name.

    save_tensors(tensors, partial)
    place_file(partial, path)
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from helios_core.disk import sync


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, header: dict[str, str] | None = None
) -> None:
    """A safetensors file; a full disk is an OSError, as it is of every other file."""
    try:
        save_file(dict(tensors), path, header)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


def place_file(partial: Path, path: Path) -> None:
    """Give a written file its name, in the place of what has it."""
    sync(partial)
    os.replace(partial, path)
    sync(path.parent)


def place_folder(partial: Path, folder: Path) -> None:
    """As `place_file`, of a folder of files. What had the name is moved aside before it is deleted:
    half of it must never pass for all of it."""
    for path in partial.iterdir():
        sync(path)
    sync(partial)
    old = folder.with_name(folder.name + ".old.tmp")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
