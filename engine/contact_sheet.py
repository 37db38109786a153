"""A contact sheet: a picture of a play every so many seconds, side by side in one PNG.

A long play is judged at a glance: does it hold together, where does it go. Keeps only the pictures
that it shows. Not here: videos (engine.video), the scene's own screenshots (engine.studio).

    sink = ContactSheet(every=200); stage.add_sink(sink); ...; write_sheet(path, sink.pictures)

N pictures, H W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.chunk import Chunk, FrameId
from engine.video import png_bytes

COLUMNS = 10


class ContactSheet:
    """A sink that keeps every so manieth frame, the first one among them."""

    def __init__(self, *, every: int) -> None:
        assert every >= 1
        self.pictures: list[np.ndarray] = []
        self._every = every
        self._frames = 0

    def presented(self, chunk: Chunk, offsets: range, ages_ms: Sequence[float]) -> None:
        for offset in offsets:
            if self._frames % self._every == 0:
                self.pictures.append(np.array(chunk.frames[offset], copy=True))
            self._frames += 1

    def rewound(self, branch: int, parent: FrameId | None) -> None:
        return None

    def close(self) -> None:
        return None


def check_name(path: Path) -> None:
    """A ValueError for a sheet that `write_sheet` would not write."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: contact sheets are written as .png")


def write_sheet(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """Pictures uint8 [H, W, 3] in rows of ten. Black is what is left of the last row, and around
    the smaller pictures where a scene led to a world of another size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(tiled(pictures, min(COLUMNS, len(pictures)))))


def tiled(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """N pictures [h, w, 3] as one, each with the room of the largest, H W."""
    rows = -(-len(pictures) // columns)
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * height, i % columns * width
        h, w = picture.shape[:2]
        sheet[top : top + h, left : left + w] = picture
    return sheet
