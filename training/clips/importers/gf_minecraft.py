"""The GF-Minecraft layout of GameFactory: `video/NAME.mp4` beside `metadata/NAME.json`.

A metadata file holds `actions`: frame number to `ws` (0 none, 1 forward, 2 back), `ad` (0, 1 left,
2 right), `scs` (0, 1 jump, 2 sneak, 3 run), `pitch_delta` and `yaw_delta` in degrees. Captions come
from `annotation.csv` (columns `Original video name` and `Prompt`) where it is there.

F frames.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from helios_core.actions import WALK_SPEC
from training.clips.importers.source import SourceClip, frame_rate

NEEDED = ("ws", "ad", "scs", "pitch_delta", "yaw_delta")


def find(folder: Path) -> list[SourceClip]:
    """Every metadata file with its video."""
    tables = sorted((folder / "metadata").glob("*.json"))
    if not tables:
        raise ValueError(f"{folder} holds no metadata/*.json")
    captions = _captions(folder / "annotation.csv")
    return [_clip(folder / "video" / f"{t.stem}.mp4", t, captions.get(t.stem, "")) for t in tables]


def _clip(video: Path, table: Path, caption: str) -> SourceClip:
    fps = frame_rate(video)
    try:
        body = json.loads(table.read_text())
    except ValueError as error:
        raise ValueError(f"{table} is no JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("actions"), dict):
        raise ValueError(f"{table} lacks the key 'actions'")
    rows = [row for _, row in sorted(body["actions"].items(), key=lambda item: int(item[0]))]
    values = np.concatenate([_row(row, fps, f"{table}, frame {i}") for i, row in enumerate(rows)])
    return SourceClip(video=video, spec=WALK_SPEC, actions=values, fps=fps, caption=caption)


def _row(row: dict[str, Any], fps: int, where: str) -> np.ndarray:
    missing = [key for key in NEEDED if key not in row]
    if missing:
        raise ValueError(f"{where} lacks {missing[0]!r}")
    values = WALK_SPEC.zeros(1)
    values[0, WALK_SPEC.index("move_forward")] = (0.0, 1.0, -1.0)[int(row["ws"])]
    values[0, WALK_SPEC.index("strafe")] = (0.0, -1.0, 1.0)[int(row["ad"])]
    values[0, WALK_SPEC.index("jump")] = float(int(row["scs"]) == 1)
    values[0, WALK_SPEC.index("run")] = float(int(row["scs"]) == 3)
    values[0, WALK_SPEC.index("look_pitch")] = -float(row["pitch_delta"]) * fps
    values[0, WALK_SPEC.index("look_yaw")] = float(row["yaw_delta"]) * fps
    return WALK_SPEC.clip(values)


def _captions(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        rows = csv.DictReader(stream)
        wanted = {"Original video name", "Prompt"}
        if not wanted <= set(rows.fieldnames or ()):
            raise ValueError(f"{path} lacks one of the columns {sorted(wanted)}")
        return {Path(row["Original video name"]).stem: row["Prompt"] for row in rows}
