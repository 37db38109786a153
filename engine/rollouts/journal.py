"""The recording in progress: a folder that a killed process leaves readable.

`journal/` holds `header.json`, `episodes.jsonl` (a line per beginning and per end), `frames.arrow`
(an Arrow stream, one batch per chunk, flushed), `video.mp4` (fragmented), the start states and, if
asked for, `latents.arrow`. Row i of the stream is frame i of the video. Video and latents go first
and rows last, so what is in all is whole; reading stops at the last whole chunk. Publication is in
`publish`.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.rollouts.latents import LatentsLog, keys
from engine.rollouts.layout import write_json
from engine.rollouts.record import ChunkRecord, EpisodeHeader
from engine.rollouts.spec import Column, RolloutSpec
from engine.rollouts.video import FrameEncoder, VideoConfig, count_fragments

HEADER, EPISODES, FRAMES, VIDEO = "header.json", "episodes.jsonl", "frames.arrow", "video.mp4"
LATENTS = "latents.arrow"
MARKS = (
    Column(name="journal.episode", dtype="int64"),
    Column(name="journal.prompt", dtype="string"),
)


def arrow_type(column: Column) -> pa.DataType:
    """A plain value, or a list of fixed length as LeRobot wants it."""
    value = {
        "float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(),
        "bool": pa.bool_(), "string": pa.string(),
    }[column.dtype]  # fmt: skip
    return value if column.size == 1 else pa.list_(value, column.size)


def arrow_array(column: Column, values: Any) -> pa.Array:
    """Rows [F] or [F, size] as an Arrow array."""
    if column.dtype == "string":
        return pa.array(list(values), pa.string())
    array = np.ascontiguousarray(values, column.dtype)
    if column.size == 1:
        return pa.array(array)
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), column.size)


def journal_schema(spec: RolloutSpec) -> pa.Schema:
    return pa.schema([(c.name, arrow_type(c)) for c in MARKS + spec.columns])


class Journal:
    """Appends episodes to one folder; the writer's thread owns it."""

    def __init__(
        self, folder: Path, spec: RolloutSpec, *, part: int, video: VideoConfig | None = None
    ) -> None:
        self.folder, self.spec = folder, spec
        folder.mkdir(parents=True)
        self._frames = open(folder / FRAMES, "wb", buffering=0)  # noqa: SIM115 - see close
        self._lines = open(folder / EPISODES, "wb", buffering=0)  # noqa: SIM115 - see close
        self._schema = journal_schema(spec)
        self._rows = pa.ipc.new_stream(self._frames, self._schema)
        self._video = FrameEncoder(
            folder / VIDEO, fps=spec.fps, height=spec.height, width=spec.width, config=video
        )
        self._latents = LatentsLog(folder / LATENTS, spec.latents) if spec.latents else None
        self._episode: int | None = None
        self._closed = False
        write_json(folder / HEADER, {"part": part, "spec": spec.to_dict()})

    @property
    def stored(self) -> int:
        return self._video.stored

    def begin(self, episode: int, header: EpisodeHeader, state: bytes | None) -> None:
        if state is not None:
            (self.folder / f"state-{episode}.bin").write_bytes(state)
        self._line({"begin": episode, "header": header.to_dict(), "state": state is not None})
        self._episode = episode

    def append(self, record: ChunkRecord) -> None:
        assert self._episode is not None, "append before begin"
        count = len(record.frames)
        marks = {
            "journal.episode": np.full(count, self._episode),
            "journal.prompt": [record.prompt] * count,
        }
        values = marks | record.hashed()
        self._video.append(record.frames)
        if self._latents is not None and record.latents is not None:
            chunk = int(record.columns["chunk"][0])
            self._latents.append(self._episode, chunk, record.latents)
        arrays = [arrow_array(c, values[c.name]) for c in MARKS + self.spec.columns]
        self._rows.write_batch(pa.record_batch(arrays, schema=self._schema))

    def end(self) -> None:
        self._line({"end": self._episode})
        self._episode = None

    def close(self) -> None:
        """Finish the files, each one even if another fails."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as files:
            for file in (self._lines, self._frames, self._rows, self._latents, self._video):
                if file is not None:
                    files.callback(file.close)

    def _line(self, body: dict[str, Any]) -> None:
        data = json.dumps(body, ensure_ascii=False).encode() + b"\n"
        while data:
            data = data[self._lines.write(data) :]


@dataclass(frozen=True, kw_only=True)
class JournalEpisode:
    """An episode found in a journal."""

    index: int
    header: EpisodeHeader
    first_row: int
    length: int
    ended: bool
    """False when the recording broke off, or goes on, inside it."""
    state: Path | None


@dataclass(frozen=True, kw_only=True)
class JournalView:
    """What can be saved of a journal, or what there is of it so far."""

    folder: Path
    part: int
    spec: RolloutSpec
    rows: pa.Table
    """The whole chunks whose frames are all in the video."""
    episodes: tuple[JournalEpisode, ...]
    lost: int
    """Frames of the last chunk that could not be saved."""

    @property
    def video(self) -> Path:
        return self.folder / VIDEO

    def latents(self) -> Iterator[pa.RecordBatch]:
        """The latents of the chunks that have rows; the episodes' own numbers."""
        wanted = {
            pair
            for e in self.episodes
            for chunk in self.rows["chunk"].slice(e.first_row, e.length).unique().to_pylist()
            for pair in [(e.index, chunk)]
        }
        for batch in _batches(self.folder / LATENTS):
            if keys([batch]) <= wanted:
                yield batch


def read_journal(folder: Path) -> JournalView | None:
    """Read what is whole; None if there is no journal, or it died before its first chunk.

    A FileNotFoundError if a file is gone, as when a writer publishes the journal meanwhile.
    """
    try:
        header = json.loads((folder / HEADER).read_text("utf-8"))
    except FileNotFoundError:
        return None
    spec = RolloutSpec.from_dict(header["spec"])
    batches = list(_batches(folder / FRAMES))
    filmed = count_fragments(folder / VIDEO)
    drawn = keys(_batches(folder / LATENTS)) if spec.latents else None
    kept, rows = [], 0
    for batch in batches:
        place = (batch["journal.episode"][0].as_py(), batch["chunk"][0].as_py())
        if rows + batch.num_rows > filmed or (drawn is not None and place not in drawn):
            break
        kept.append(batch)
        rows += batch.num_rows
    if not kept:
        return None
    table = pa.Table.from_batches(kept, journal_schema(spec))
    cut = {batch["journal.episode"][0].as_py() for batch in batches[len(kept) :]}
    logged = sum(batch.num_rows for batch in batches)
    return JournalView(
        folder=folder,
        part=header["part"],
        spec=spec,
        rows=table,
        episodes=tuple(_episodes(folder, table["journal.episode"].to_numpy(), cut=cut)),
        lost=max(logged, filmed) - rows,
    )


def remove_journal(folder: Path) -> None:
    """The header goes first: a journal without one counts as gone."""
    (folder / HEADER).unlink(missing_ok=True)
    shutil.rmtree(folder)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Whole batches of a stream that may break off anywhere."""
    try:
        with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as stream:
            yield from stream
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError):
        return  # the torn end of a killed recording


def _episodes(folder: Path, owner: np.ndarray, *, cut: set[int]) -> Iterator[JournalEpisode]:
    """Episodes of the rows; `owner` [rows] is the episode of each, `cut` those that lost some."""
    headers: dict[int, dict[str, Any]] = {}
    ended: set[int] = set()
    for line in (folder / EPISODES).read_bytes().split(b"\n")[:-1]:
        body = json.loads(line)
        if "begin" in body:
            headers[body["begin"]] = body
        else:
            ended.add(body["end"])
    for index in np.unique(owner):
        number, rows = int(index), np.flatnonzero(owner == index)
        body = headers[number]
        yield JournalEpisode(
            index=number,
            header=EpisodeHeader.from_dict(body["header"]),
            first_row=int(rows[0]),
            length=len(rows),
            ended=number in ended - cut,
            state=folder / f"state-{number}.bin" if body["state"] else None,
        )
