"""An append-only file of records that is read from its end: memory stays constant, disk grows.

A record is a JSON header and bytes. Reading goes backward record by record, which is what rewind
wants, or forward through the whole tape, which is what saving wants. The file has no name, so a
killed session leaves nothing behind. It has no buffer either: what a full disk refused would wait
in one, and cutting, reading and closing would all fail at it again.

    tape = Tape(); tape.append({"chunk": 0}, b"..."); header, body = tape.read(tape.back(tape.end))
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

    def back(self, end: int) -> int:
        """Where the record begins that ends at an offset: the end of the one before."""
        self._file.seek(end - _TAIL.size)
        (size,) = _TAIL.unpack(self._file.read(_TAIL.size))
        return end - size

    def read(self, start: int) -> Record:
        """The record that begins at an offset."""
        self._file.seek(start)
        head, body = _HEAD.unpack(self._file.read(_HEAD.size))
        header = json.loads(self._file.read(head))
        return Record(header, self._file.read(body))

    def forward(self) -> Iterator[Record]:
        """All records, the oldest first."""
        at = 0
        while at < self.end:
            record = self.read(at)
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
