"""Videos beside an .npy of `{keyboard, mouse}`, the layout of FastVideo's game recipes.

`clip.mp4` goes with `clip.npy` (or `clip_action.npy`), a pickled dictionary of two arrays:
`keyboard` [F, K] with K of 2, 4, 6 or 7 keys and `mouse` [F, 2] as pitch and yaw of a frame. The
pickle is read by a reader that knows arrays and plain containers alone: a stranger's file runs
no code.

F frames, K keys.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from helios_core.actions import WALK_SPEC, ActionSpec
from training.clips.importers.source import SourceClip, frame_rate

KEYS = {
    2: ("left", "right"),
    4: ("w", "s", "a", "d"),
    6: ("w", "s", "a", "d", "space", "attack"),
    7: ("w", "s", "a", "d", "space", "attack", "unused"),
}
"""What the columns of `keyboard` are, by their number."""
DEGREES = 15.0
"""Degrees a frame that a mouse value of 1 turns by."""


def find(folder: Path) -> list[SourceClip]:
    """Every video under a folder that has its actions beside it."""
    videos = sorted(folder.rglob("*.mp4"))
    if not videos:
        raise ValueError(f"{folder} holds no .mp4 files")
    return [_clip(video) for video in videos]


def _clip(video: Path) -> SourceClip:
    tables = [video.with_suffix(".npy"), video.with_name(f"{video.stem}_action.npy")]
    table = next((path for path in tables if path.exists()), None)
    if table is None:
        raise ValueError(f"{video} has no actions beside it: {tables[0].name} is missing")
    body = _read(table)
    for key in ("keyboard", "mouse"):
        if not isinstance(body.get(key), np.ndarray):
            raise ValueError(f"{table} lacks the array {key!r}; it has {sorted(map(str, body))}")
    fps = frame_rate(video)
    actions = channels(body["keyboard"], body["mouse"], WALK_SPEC, fps, str(table))
    caption = video.with_suffix(".txt")
    text = caption.read_text().strip() if caption.exists() else ""
    return SourceClip(video=video, spec=WALK_SPEC, actions=actions, fps=fps, caption=text)


def channels(
    keyboard: np.ndarray, mouse: np.ndarray, spec: ActionSpec, fps: int, where: str
) -> np.ndarray:
    """Keys [F, K] and mouse [F, 2] as channel values [F, A]."""
    if keyboard.ndim != 2 or keyboard.shape[1] not in KEYS:
        known = ", ".join(map(str, KEYS))
        raise ValueError(f"{where}: keyboard is {keyboard.shape}; known are [F, K], K of {known}")
    if mouse.shape != (len(keyboard), 2):
        raise ValueError(f"{where}: mouse is {mouse.shape}, not ({len(keyboard)}, 2)")
    held = dict(zip(KEYS[keyboard.shape[1]], keyboard.T.astype(np.float32), strict=True))
    none = np.zeros(len(keyboard), np.float32)
    values = spec.zeros(len(keyboard))
    values[:, spec.index("move_forward")] = held.get("w", none) - held.get("s", none)
    right, left = held.get("d", held.get("right", none)), held.get("a", held.get("left", none))
    values[:, spec.index("strafe")] = right - left
    values[:, spec.index("jump")] = held.get("space", none)
    values[:, spec.index("look_pitch")] = mouse[:, 0] * DEGREES * fps
    values[:, spec.index("look_yaw")] = mouse[:, 1] * DEGREES * fps
    return spec.clip(values)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers and nothing else."""

    ALLOWED = frozenset(
        (module, name)
        for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray",
                       "numpy.core.numeric", "numpy._core.numeric")
        for name in ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")
    )  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"the file wants to run {module}.{name}; only arrays are read")
        return super().find_class(module, name)


def _read(path: Path) -> dict[str, Any]:
    """The dictionary in a .npy file that holds one pickled object."""
    data = path.read_bytes()
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version} of the format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError as error:
        raise ValueError(f"{path} is no .npy file of an object: {error}") from error
    if dtype != np.dtype(object) or shape != ():
        raise ValueError(f"{path} holds an array; a dictionary of keyboard and mouse is wanted")
    try:
        array = _ArraysOnly(stream).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{path} is broken: {error}") from error
    body = array.item() if isinstance(array, np.ndarray) else array
    if not isinstance(body, dict):
        raise ValueError(f"{path} holds no dictionary of keyboard and mouse")
    return body
