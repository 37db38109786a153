"""When what was written is on disk, so that a power loss cannot take it back.

    sync(path)

Not here: which name a file or folder gets then (helios_core.packs.write, training.durable).
"""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on disk."""
    posix = os.name == "posix"
    if path.is_dir() and not posix:
        return  # where folders cannot be opened
    handle = os.open(path, os.O_RDONLY if posix else os.O_RDWR)  # the file may be read-only
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
