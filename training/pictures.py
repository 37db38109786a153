"""PNG files from arrays without an imaging library: training runs on bare machines."""

import struct
import zlib
from pathlib import Path

import numpy as np


def write_png(path: Path, image: np.ndarray) -> None:
    """uint8 [H, W, 3] to a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(image))


def png_bytes(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as PNG."""
    height, width, colours = image.shape
    assert image.dtype == np.uint8 and colours == 3
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # each row begins with filter type 0
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data) & 0xFFFFFFFF
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def grid(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of frames, each uint8 [n, H, W, 3], as one picture."""
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
