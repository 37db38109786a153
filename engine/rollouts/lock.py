"""One writer per folder: a lock that the system frees when its process dies.

Advisory, on a file that stays. Works on POSIX and on Windows; not across machines that share a
network disk without locks.
"""

import os
from pathlib import Path


class FolderLock:
    """Held from construction to `release`; a second one is a ValueError."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b")  # noqa: SIM115 - closed by release
        try:
            _lock(self._file.fileno())
        except OSError:
            self._file.close()
            raise ValueError(
                f"{path.parent} is being written by another process; wait or choose another folder"
            ) from None

    def release(self) -> None:
        """Frees the lock by name: a process forked meanwhile holds the file open too."""
        _unlock(self._file.fileno())
        self._file.close()


if os.name == "nt":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
