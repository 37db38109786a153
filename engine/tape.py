"""An append-only file of records that is read from its end: memory stays constant, disk grows.

A record is a JSON header and bytes. Reading goes backward record by record, which is what rewind
wants, or forward through the whole tape, which is what saving wants. The file has no name, so a
killed session leaves nothing behind. It has no buffer either: what a full disk refused would wait
in one, and cutting, reading and closing would all fail at it again.

    tape = Tape(); tape.append({"chunk": 0}, b"..."); header, body, start = tape.before(tape.end)
"""

import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = struct.Struct("<II")
_TAIL = struct.Struct("<I")


class Record(NamedTuple):
    header: Any
    body: bytes
    start: int
    """Offset at which the record begins: the end of the one before."""


class Tape:
    """One unnamed file."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  see `close`
        self.end = 0

    def append(self, header: Any, body: bytes) -> None:
        """Write a record; a full disk is an OSError and leaves the tape as it was."""
        head = json.dumps(header).encode()
        record = _HEAD.pack(len(head), len(body)) + head + body
        try:
            self._file.seek(self.end)
            self._write(record + _TAIL.pack(len(record) + _TAIL.size))
        except OSError:
            self.truncate(self.end)
            raise
        self.end += len(record) + _TAIL.size

    def before(self, end: int) -> Record | None:
        """The record that ends at an offset, None at the beginning."""
        if end == 0:
            return None
        self._file.seek(end - _TAIL.size)
        (size,) = _TAIL.unpack(self._file.read(_TAIL.size))
        return self._read(end - size)

    def forward(self) -> Iterator[Record]:
        """All records, the oldest first."""
        at = 0
        while at < self.end:
            record = self._read(at)
            yield record
            at = self._file.tell() + _TAIL.size

    def truncate(self, end: int) -> None:
        """Forget all that comes after an offset."""
        self._file.truncate(end)
        self.end = end

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        """All of it: a disk that fills up takes a part, and refuses the rest at the next try."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _read(self, start: int) -> Record:
        self._file.seek(start)
        head, body = _HEAD.unpack(self._file.read(_HEAD.size))
        header = json.loads(self._file.read(head))
        return Record(header, self._file.read(body), start)
