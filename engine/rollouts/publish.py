"""A finished or repaired journal becomes a part of the dataset, all or nothing.

Files are written beside their names and renamed; `meta/helios.json`, which lists the part, comes
last, and only then the journal goes. A crash anywhere in between leaves the journal, and the next
open publishes it again to the same names: the outcome is the same.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.rollouts.journal import JournalView, arrow_array, remove_journal
from engine.rollouts.latents import moved, write_latents
from engine.rollouts.layout import (
    DATA_PATH,
    FILES_PER_CHUNK,
    VIDEO_PATH,
    Layout,
    Part,
    read_record,
    replace_file,
    write_json,
    write_record,
)
from engine.rollouts.record import EpisodeHeader
from engine.rollouts.spec import CAMERA, INDEX_COLUMNS, Column, RolloutSpec
from engine.rollouts.stats import column_stats, image_stats, merge_stats
from engine.rollouts.video import VideoReader, copy_packets

SAMPLED_FRAMES = 32
"""Frames of a part that the image statistics look at."""
SOURCE_COLUMNS = ("pack", "pack_hash", "env", "device", "dtype", "engine_version")
"""Facts of the source that also get a column of their own, for people with pandas."""


@dataclass(frozen=True, kw_only=True)
class NewEpisode:
    """An episode to publish; its rows follow those of the one before."""

    header: EpisodeHeader
    prompts: Sequence[str]
    """The prompt in force at each frame [F]."""
    complete: bool
    """False if a crash cut the recording off."""
    state: bytes | Path | None


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """Everything that becomes one pair of files."""

    number: int
    rows: pa.Table
    """The columns of the spec, [frames]."""
    episodes: Sequence[NewEpisode]
    videos: Sequence[tuple[Path, int]]
    """The mp4s whose first so many frames, one after the other, are those of the rows."""
    latents: Iterable[pa.RecordBatch] = ()
    """Rows of `latents`, if the spec keeps them; the first episode of the part is number 0."""
    origins: dict[str, int] = field(default_factory=dict)
    """See `layout.Part`."""


def publish_journal(layout: Layout, view: JournalView) -> Part:
    """Publish what a journal holds and remove it."""
    prompts = view.rows["journal.prompt"].to_pylist()
    episodes = [
        NewEpisode(
            header=e.header,
            prompts=prompts[e.first_row : e.first_row + e.length],
            complete=e.ended,
            state=e.state,
        )
        for e in view.episodes
    ]
    rows = view.rows.select([c.name for c in view.spec.columns])
    latents = moved(view.latents(), -view.episodes[0].index) if view.spec.latents else ()
    new = NewPart(
        number=view.part, rows=rows, episodes=episodes, videos=[(view.video, rows.num_rows)],
        latents=latents,
    )  # fmt: skip
    part = publish_part(layout, new)
    remove_journal(view.folder)
    return part


def publish_part(layout: Layout, new: NewPart) -> Part:
    """Write the files of a part, then the metadata of the whole dataset."""
    spec, parts = read_record(layout)
    before = [p for p in parts if p.number < new.number]
    first_episode = sum(p.episodes for p in before)
    first_frame = sum(p.frames for p in before)
    tasks = _extend_tasks(layout, new)
    rows = _index_rows(spec, new, tasks, first_episode, first_frame)
    replace_file(layout.data(new.number), lambda path: _write_rows(path, rows, new))
    replace_file(layout.video(new.number), lambda path: copy_packets(new.videos, path))
    _write_states(layout, new, first_episode)
    if shape := spec.latents:
        found = moved(new.latents, first_episode)
        replace_file(layout.latents(new.number), lambda path: write_latents(path, shape, found))
    table = _episode_table(spec, new, first_episode, first_frame)
    replace_file(layout.episodes(new.number), lambda path: pq.write_table(table, path))
    part = Part(
        number=new.number,
        episodes=len(new.episodes),
        frames=rows.num_rows,
        origins=new.origins,
        stats=_part_stats(layout, spec, rows, new.number),
    )
    _write_metadata(layout, spec, [*before, part], list(tasks))
    return part


def _index_rows(
    spec: RolloutSpec, new: NewPart, tasks: dict[str, int], first_episode: int, first_frame: int
) -> pa.Table:
    """The rows with LeRobot's five index columns."""
    lengths = [len(e.prompts) for e in new.episodes]
    assert sum(lengths) == new.rows.num_rows, "episodes do not cover the rows"
    number = np.concatenate([np.arange(n) for n in lengths])
    prompts = [prompt for e in new.episodes for prompt in e.prompts]
    values = {
        "timestamp": number / spec.fps,
        "frame_index": number,
        "episode_index": np.repeat(np.arange(len(lengths)) + first_episode, lengths),
        "index": np.arange(len(number)) + first_frame,
        "task_index": [tasks[prompt] for prompt in prompts],
    }
    rows = new.rows
    for column in INDEX_COLUMNS:
        rows = rows.append_column(column.name, arrow_array(column, values[column.name]))
    return rows


def _write_rows(path: Path, rows: pa.Table, new: NewPart) -> None:
    """One row group per episode, so that a reader fetches one without the others."""
    with pq.ParquetWriter(path, rows.schema) as writer:
        first = 0
        for episode in new.episodes:
            length = len(episode.prompts)
            writer.write_table(rows.slice(first, length), row_group_size=length)
            first += length


def _write_states(layout: Layout, new: NewPart, first_episode: int) -> None:
    """The start states, one row group each."""
    schema = pa.schema([("episode_index", pa.int64()), ("state", pa.binary())])

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, schema) as writer:
            for i, episode in enumerate(new.episodes):
                if episode.state is not None:
                    state = episode.state
                    blob = state.read_bytes() if isinstance(state, Path) else state
                    row = {"episode_index": [first_episode + i], "state": [blob]}
                    writer.write_table(pa.table(row, schema=schema))

    if any(e.state is not None for e in new.episodes):
        replace_file(layout.states(new.number), write)


def _episode_table(
    spec: RolloutSpec, new: NewPart, first_episode: int, first_frame: int
) -> pa.Table:
    chunk, file = divmod(new.number, FILES_PER_CHUNK)
    rows, row = [], 0
    for i, episode in enumerate(new.episodes):
        header, length = episode.header, len(episode.prompts)
        parent = header.parent or (-1, -1)
        rows.append({
            "episode_index": first_episode + i,
            "tasks": list(dict.fromkeys(episode.prompts)),
            "length": length,
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": first_frame + row,
            "dataset_to_index": first_frame + row + length,
            f"videos/{CAMERA}/chunk_index": chunk,
            f"videos/{CAMERA}/file_index": file,
            f"videos/{CAMERA}/from_timestamp": row / spec.fps,
            f"videos/{CAMERA}/to_timestamp": (row + length) / spec.fps,
            "meta/episodes/chunk_index": chunk,
            "meta/episodes/file_index": file,
            "prompt": header.prompt,
            "seed": header.seed,
            "parent_episode": parent[0],
            "parent_frame": parent[1],
            "complete": episode.complete,
            "has_state": episode.state is not None,
            "source": json.dumps(dict(header.source)),
            "extra": json.dumps(dict(header.extra)),
        } | {name: str(header.source.get(name, "")) for name in SOURCE_COLUMNS})  # fmt: skip
        row += length
    return pa.Table.from_pylist(rows, schema=_episode_schema())


def _episode_schema() -> pa.Schema:
    """Spelled out, so that every part has the same one."""
    integers = (
        ("data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")
        + (f"videos/{CAMERA}/chunk_index", f"videos/{CAMERA}/file_index")
        + ("meta/episodes/chunk_index", "meta/episodes/file_index")
        + ("seed", "parent_episode", "parent_frame")
    )
    times = (f"videos/{CAMERA}/from_timestamp", f"videos/{CAMERA}/to_timestamp")
    fields = [("episode_index", pa.int64()), ("tasks", pa.list_(pa.string()))]
    fields += [("length", pa.int64())]
    fields += [(name, pa.int64()) for name in integers]
    fields += [(name, pa.float64()) for name in times]
    fields += [("complete", pa.bool_()), ("has_state", pa.bool_())]
    fields += [(name, pa.string()) for name in ("prompt", "source", "extra", *SOURCE_COLUMNS)]
    return pa.schema(fields)


def read_tasks(layout: Layout) -> dict[str, int]:
    """Prompt text to task index."""
    if not layout.tasks.exists():
        return {}
    table = pq.read_table(layout.tasks)
    names, numbers = table["__index_level_0__"].to_pylist(), table["task_index"].to_pylist()
    return dict(zip(names, numbers, strict=True))


def _extend_tasks(layout: Layout, new: NewPart) -> dict[str, int]:
    """All tasks, the new prompts appended; numbers once given stay."""
    tasks = read_tasks(layout)
    for episode in new.episodes:
        for prompt in episode.prompts:
            tasks.setdefault(prompt, len(tasks))
    return tasks


def _part_stats(layout: Layout, spec: RolloutSpec, rows: pa.Table, number: int) -> dict:
    names = [c.name for c in spec.columns + INDEX_COLUMNS if c.dtype != "string"]
    picks = np.unique(np.linspace(0, rows.num_rows - 1, SAMPLED_FRAMES).astype(int))
    reader = VideoReader(layout.video(number), fps=spec.fps)
    frames = np.concatenate([reader.read(int(i), 1) for i in picks])
    reader.close()
    return column_stats(rows, names) | image_stats(frames)


def _write_metadata(layout: Layout, spec: RolloutSpec, parts: list[Part], tasks: list[str]) -> None:
    """Tasks, statistics and info of the dataset; last the record that commits the part."""
    replace_file(layout.tasks, lambda path: pq.write_table(_task_table(tasks), path))
    write_json(layout.stats, merge_stats([p.stats for p in parts]))
    episodes = sum(p.episodes for p in parts)
    write_json(layout.info, {
        "codebase_version": "v3.0",
        "robot_type": "world_model",
        "total_episodes": episodes,
        "total_frames": sum(p.frames for p in parts),
        "total_tasks": len(tasks),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": spec.fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": _features(spec),
    })  # fmt: skip
    write_record(layout, spec, parts)


def _task_table(tasks: list[str]) -> pa.Table:
    """LeRobot keeps the text as the index of a pandas frame, so say so in the schema."""
    numbers = pa.array(range(len(tasks)), pa.int64())
    table = pa.table({"task_index": numbers, "__index_level_0__": pa.array(tasks, pa.string())})
    number = {"name": "task_index", "field_name": "task_index", "pandas_type": "int64"}
    text = {"name": None, "field_name": "__index_level_0__", "pandas_type": "unicode"}
    pandas = {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode"}
            | {"numpy_type": "object", "metadata": {"encoding": "UTF-8"}}
        ],
        "columns": [
            number | {"numpy_type": "int64", "metadata": None},
            text | {"numpy_type": "object", "metadata": None},
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    return table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})


def _features(spec: RolloutSpec) -> dict[str, Any]:
    video = {
        "dtype": "video",
        "shape": [spec.height, spec.width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": spec.height, "video.width": spec.width, "video.codec": "h264",
            "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": spec.fps,
            "video.channels": 3, "has_audio": False,
        },
    }  # fmt: skip
    columns = {c.name: _feature(c) for c in spec.columns + INDEX_COLUMNS}
    return {CAMERA: video, **columns}


def _feature(column: Column) -> dict[str, Any]:
    names = list(column.names) or None
    return {"dtype": column.dtype, "shape": [column.size], "names": names}
