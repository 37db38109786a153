"""The latents of a recording, where one was asked for: a row per chunk, in files of their own.

They are stored as float32, which holds every dtype of a world's states exactly, so that
`World.decode` makes the logged frames of them again, bit for bit. LeRobot never looks at these
files. While a recording goes on they are an Arrow stream of the journal, flushed per chunk;
publication turns that into `latents/`, a parquet file per part. Not here: when that happens
(`journal`, `publish`).

C channels, T latent frames of a chunk, h w latent pixels.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Shape = tuple[int, int, int, int]
"""(C, T, h, w)."""

EPISODE, CHUNK, LATENTS = "episode_index", "chunk", "latents"
ROWS_PER_GROUP = 16
"""Chunks that a reader fetches at least: 35 MB of the largest released model."""


def latents_schema(shape: Shape) -> pa.Schema:
    size = int(np.prod(shape))
    return pa.schema([
        (EPISODE, pa.int64()), (CHUNK, pa.int64()), (LATENTS, pa.list_(pa.float32(), size))
    ])  # fmt: skip


def latent_array(latents: Any, shape: Shape) -> np.ndarray:
    """A world's latents of one chunk, [1, C, T, h, w] or [C, T, h, w], as float32 [C, T, h, w]."""
    if hasattr(latents, "detach"):  # a tensor, of any dtype and on any device
        latents = latents.detach().float().cpu().numpy()
    array = np.asarray(latents, np.float32)
    array = array[0] if array.ndim == 5 and len(array) == 1 else array
    if array.shape != tuple(shape):
        raise ValueError(f"latents have shape {array.shape}; this recording takes {tuple(shape)}")
    return array


class LatentsLog:
    """Appends chunks to one file that a killed process leaves readable."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - see close
        self._schema = latents_schema(shape)
        self._rows = pa.ipc.new_stream(self._file, self._schema)

    def append(self, episode: int, chunk: int, latents: np.ndarray) -> None:
        values = pa.FixedSizeListArray.from_arrays(pa.array(latents.reshape(-1)), latents.size)
        columns = [pa.array([episode], pa.int64()), pa.array([chunk], pa.int64()), values]
        self._rows.write_batch(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        try:
            self._rows.close()
        finally:
            self._file.close()


def keys(batches: Iterable[pa.RecordBatch]) -> set[tuple[int, int]]:
    """The (episode, chunk) pairs of some rows."""
    return {
        pair
        for batch in batches
        for pair in zip(batch[EPISODE].to_pylist(), batch[CHUNK].to_pylist(), strict=True)
    }


def moved(batches: Iterable[pa.RecordBatch], by: int) -> Iterator[pa.RecordBatch]:
    """The rows with other episode numbers."""
    for batch in batches:
        numbers = pa.array(batch[EPISODE].to_numpy() + by)
        yield pa.record_batch([numbers, batch[CHUNK], batch[LATENTS]], schema=batch.schema)


def write_latents(path: Path, shape: Shape, batches: Iterable[pa.RecordBatch]) -> None:
    """A parquet file of rows in order; floats are not worth a dictionary."""
    schema = latents_schema(shape)
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="zstd") as writer:
        for group in _grouped(batches):
            writer.write_table(pa.Table.from_batches(group, schema))


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Rows of one episode together, some at a time."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        other = group and batch[EPISODE][0] != group[-1][EPISODE][0]
        if group and (other or sum(map(len, group)) >= ROWS_PER_GROUP):
            yield group
            group = []
        group.append(batch)
    if group:
        yield group


def stored_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a published file, a row group at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield from file.read_row_group(number).to_batches()


def read_latents(path: Path, episode: int, shape: Shape) -> dict[int, np.ndarray]:
    """Chunk number to float32 [C, T, h, w] of one episode of a published file."""
    table = pq.read_table(path, filters=[(EPISODE, "==", episode)])
    return unpacked(table.to_batches(), episode, shape)


def unpacked(
    batches: Iterable[pa.RecordBatch], episode: int, shape: Shape
) -> dict[int, np.ndarray]:
    """Chunk number to float32 [C, T, h, w] of one episode."""
    found = {}
    for batch in batches:
        values = batch[LATENTS].flatten().to_numpy(zero_copy_only=False).reshape(-1, *shape)
        owners, chunks = batch[EPISODE].to_pylist(), batch[CHUNK].to_pylist()
        for owner, chunk, latents in zip(owners, chunks, values, strict=True):
            if owner == episode:
                found[chunk] = latents.copy()
    return found
