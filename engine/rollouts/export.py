"""Recordings in other people's formats: Minari, plain HDF5, Rerun, or pictures with a table.

    export(RolloutDataset.open("runs/first"), Path("out"), "frames")

HDF5 needs h5py, Rerun its own package. F frames of an episode, A action channels.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.rollouts.reader import RolloutDataset
from engine.rollouts.rerun_export import rerun_episodes

FORMATS = ("frames", "hdf5", "minari", "rerun")
BLOCK = 64
"""Frames decoded at a time, so that memory stays small."""


def export(
    data: RolloutDataset,
    out: Path,
    kind: str,
    *,
    on_episode: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write every episode into the new folder `out`."""
    if kind not in FORMATS:
        raise ValueError(f"format {kind!r}: choose one of {', '.join(FORMATS)}")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty; choose a new folder")
    out.mkdir(parents=True, exist_ok=True)
    write = {
        "frames": _frames, "hdf5": _hdf5, "minari": _minari, "rerun": rerun_episodes
    }[kind]  # fmt: skip
    for done in write(data, out):
        on_episode(done, len(data.episodes))


def _blocks(data: RolloutDataset, episode: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first frame, frames [n, H, W, 3]) of an episode."""
    length = data.episodes[episode].length
    for start in range(0, length, BLOCK):
        yield start, data.read(episode, start, min(BLOCK, length - start)).frames


def _frames(data: RolloutDataset, out: Path) -> Iterator[int]:
    """`episode-000000/frame-000000.png` and `rows.csv` with a column per logged value."""
    from engine.video import png_bytes

    for e in data.episodes:
        folder = out / f"episode-{e.index:06d}"
        folder.mkdir()
        for start, frames in _blocks(data, e.index):
            for i, frame in enumerate(frames):
                (folder / f"frame-{start + i:06d}.png").write_bytes(png_bytes(frame))
        with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
            names, columns = _flat_columns(data, e.index)
            csv.writer(file).writerows([names, *zip(*columns, strict=True)])
        yield e.index + 1


def _flat_columns(data: RolloutDataset, episode: int) -> tuple[list[str], list[list]]:
    """A plain column per value: vectors become `action.move_forward` and so on."""
    rows = data.columns(episode)
    names, columns = ["prompt"], [rows["prompt"].tolist()]
    for column in data.spec.columns:
        values = rows[column.name]
        if values.ndim == 1:
            names.append(column.name)
            columns.append(values.tolist())
            continue
        parts = column.names or tuple(str(i) for i in range(column.size))
        names += [f"{column.name}.{part}" for part in parts]
        columns += [values[:, i].tolist() for i in range(column.size)]
    return names, columns


def _hdf5(data: RolloutDataset, out: Path) -> Iterator[int]:
    """`rollouts.hdf5`: per episode the steps of RLDS, without TensorFlow."""
    with _open_hdf5(out / "rollouts.hdf5") as file:
        file.attrs["spec"] = json.dumps(data.spec.to_dict())
        for e in data.episodes:
            group = file.create_group(f"episode_{e.index}")
            group.attrs["episode_metadata"] = json.dumps(e.header.to_dict())
            rows = data.columns(e.index)
            _images(group, "observation/image", data, e.index)
            group["action"] = rows.get("action", np.zeros((e.length, 0), np.float32))
            group["language_instruction"] = [text.encode() for text in rows["prompt"]]
            group["reward"] = rows.get("next.reward", np.zeros(e.length, np.float32))
            group["is_first"] = np.arange(e.length) == 0
            group["is_last"] = np.arange(e.length) == e.length - 1
            group["is_terminal"] = rows.get("next.done", np.zeros(e.length, bool))
            for column in data.spec.extras:
                if column.dtype != "string":
                    group[f"extra/{column.name}"] = rows[column.name]
            yield e.index + 1


def _minari(data: RolloutDataset, out: Path) -> Iterator[int]:
    """`data/main_data.hdf5` and `data/metadata.json`, as Minari stores a dataset.

    Step t has the frame before it and the action that made the frame after it, so an episode of
    F frames has F - 1 steps.
    """
    from gymnasium import spaces
    from minari.serialization import serialize_space

    (out / "data").mkdir()
    spec = data.spec
    low = np.array([c.low for c in spec.actions.channels], np.float32)
    high = np.array([c.high for c in spec.actions.channels], np.float32)
    pictures = spaces.Box(0, 255, (spec.height, spec.width, 3), np.uint8)
    steps = 0
    with _open_hdf5(out / "data" / "main_data.hdf5") as file:
        for e in data.episodes:
            rows, count = data.columns(e.index), e.length - 1
            group = file.create_group(f"episode_{e.index}")
            group.attrs["id"], group.attrs["seed"] = e.index, e.header.seed
            group.attrs["total_steps"] = count
            _images(group, "observations", data, e.index)
            group["actions"] = rows.get("action", np.zeros((e.length, 0), np.float32))[1:]
            group["rewards"] = rows.get("next.reward", np.zeros(e.length, np.float32))[1:]
            ended = rows.get("next.done", np.zeros(e.length, bool))[1:]
            group["terminations"] = ended
            group["truncations"] = (np.arange(count) == count - 1) & ~ended
            steps += count
            yield e.index + 1
    metadata = {
        "dataset_id": f"helios/{data.root.name}-v0",
        "total_episodes": len(data.episodes),
        "total_steps": steps,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": serialize_space(pictures),
        "action_space": serialize_space(spaces.Box(low, high)),
        "minari_version": "0.5.4",
    }
    (out / "data" / "metadata.json").write_text(json.dumps(metadata, indent=1))


def _open_hdf5(path: Path) -> Any:
    import h5py

    return h5py.File(path, "w")


def _images(group: Any, name: str, data: RolloutDataset, episode: int) -> None:
    spec, length = data.spec, data.episodes[episode].length
    shape = (length, spec.height, spec.width, 3)
    images = group.create_dataset(
        name, shape, np.uint8, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1
    )
    for start, frames in _blocks(data, episode):
        images[start : start + len(frames)] = frames
