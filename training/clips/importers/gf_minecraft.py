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


def _row(row: Any, fps: int, where: str) -> np.ndarray:
    if not isinstance(row, dict):
        raise ValueError(f"{where} is {row!r}; give an object with {', '.join(NEEDED)}")
    missing = [key for key in NEEDED if key not in row]
    if missing:
        raise ValueError(f"{where} lacks {missing[0]!r}")
    values = WALK_SPEC.zeros(1)
    values[0, WALK_SPEC.index("move_forward")] = (0.0, 1.0, -1.0)[_choice(row, "ws", where)]
    values[0, WALK_SPEC.index("strafe")] = (0.0, -1.0, 1.0)[_choice(row, "ad", where)]
    values[0, WALK_SPEC.index("jump")] = float(_number(row, "scs", where) == 1)
    values[0, WALK_SPEC.index("run")] = float(_number(row, "scs", where) == 3)
    values[0, WALK_SPEC.index("look_pitch")] = -_number(row, "pitch_delta", where) * fps
    values[0, WALK_SPEC.index("look_yaw")] = _number(row, "yaw_delta", where) * fps
    return WALK_SPEC.clip(values)


def _choice(row: dict[str, Any], key: str, where: str) -> int:
    """None, one way or the other."""
    value = _number(row, key, where)
    if value not in (0, 1, 2):
        raise ValueError(f"{where}: {key} is {row[key]!r}; give 0, 1 or 2")
    return int(value)


def _number(row: dict[str, Any], key: str, where: str) -> float:
    try:
        return float(row[key])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {key} is {row[key]!r}; give a number") from error


def _captions(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        rows = csv.DictReader(stream)
        wanted = {"Original video name", "Prompt"}
        if not wanted <= set(rows.fieldnames or ()):
            raise ValueError(f"{path} lacks one of the columns {sorted(wanted)}")
        return {Path(row["Original video name"]).stem: row["Prompt"] for row in rows}
