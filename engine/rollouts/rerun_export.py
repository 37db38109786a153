"""Recordings for the Rerun viewer: one .rrd file per episode.

Pictures, both actions of every channel, prompt, events and numeric extra columns over the frames
and the seconds of an episode; `rerun out/episode-000000.rrd` opens it. Needs the extra `rerun`, and
neither a display nor a running viewer. Not here: the other formats (`export`).

F frames of an episode, H W pixels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.rollouts.reader import RolloutDataset

BLOCK = 64
"""Frames decoded at a time, so that memory stays small."""
JPEG_QUALITY = 95


def rerun_episodes(data: RolloutDataset, out: Path) -> Iterator[int]:
    """`episode-000000.rrd` and so on in a folder; yields how many are done."""
    import rerun

    for episode in data.episodes:
        name = f"episode-{episode.index:06d}"
        stream = rerun.RecordingStream("helios", recording_id=f"{data.root.name}-{name}")
        stream.save(out / f"{name}.rrd")
        _log_episode(rerun, stream, data, episode.index)
        stream.flush()
        stream.disconnect()
        yield episode.index + 1


def _log_episode(rerun: Any, stream: Any, data: RolloutDataset, episode: int) -> None:
    """Everything of an episode, in the order of time; texts where they change."""
    length, rows = data.episodes[episode].length, data.columns(episode)
    curves, prompt = _curves(data, rows), None
    for start in range(0, length, BLOCK):
        pictures = data.read(episode, start, min(BLOCK, length - start)).frames
        for i, picture in enumerate(pictures, start):
            stream.set_time("frame", sequence=i)
            stream.set_time("time", duration=i / data.spec.fps)
            stream.log("camera", rerun.Image(picture).compress(jpeg_quality=JPEG_QUALITY))
            for path, values in curves.items():
                stream.log(path, rerun.Scalars(float(values[i])))
            if rows["prompt"][i] != prompt:
                prompt = rows["prompt"][i]
                stream.log("prompt", rerun.TextLog(prompt))
            if rows["events"][i]:
                stream.log("events", rerun.TextLog(rows["events"][i]))


def _curves(data: RolloutDataset, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Path in the viewer to values [F]: actions by channel, ages, weights, extra columns."""
    found = {}
    for column in data.spec.columns:
        plain = column.name in ("frame.age_ms", "prompt.weight", "chunk")
        if column.dtype == "string" or not (
            plain or column.name.startswith("action") or column in data.spec.extras
        ):
            continue
        path = column.name.replace(".", "/")
        values = rows[column.name].reshape(len(rows["chunk"]), -1)
        parts = column.names or tuple(str(i) for i in range(column.size))
        names = [path] if column.size == 1 else [f"{path}/{part}" for part in parts]
        found.update(zip(names, values.T, strict=True))
    return found
