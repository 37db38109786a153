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
from typing import Any, ClassVar

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


class _Dtype:
    """What a file says of an array's numbers, in place of numpy's own type.

    numpy trusts the state of its types and arrays; a stranger's would point it anywhere in memory.
    """

    def __init__(self, name: str, *_: object) -> None:
        dtype = np.dtype(str(name))
        if dtype.kind not in "biufSUO":
            raise ValueError(f"it holds {dtype}; only numbers and texts are read")
        self.dtype = dtype

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array as the file tells it; numpy sees only bytes that are there."""

    value: Any = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, raw = state
        if kind.dtype == np.dtype(object):
            if shape != () or type(raw) is not list or len(raw) != 1:
                raise ValueError("it holds an array of objects; only arrays of numbers are read")
            self.value = raw[0]
        else:
            self.value = _numbers(raw, kind, shape, "F" if fortran else "C")


def _numbers(raw: Any, kind: _Dtype, shape: tuple, order: Any) -> np.ndarray:
    """An array of plain numbers from its bytes; an address in them would be followed later."""
    if kind.dtype == np.dtype(object):
        raise ValueError("it holds objects as bytes; only numbers are read")
    return np.frombuffer(raw, kind.dtype).reshape(shape, order=order)


def _frombuffer(raw: Any, kind: _Dtype, shape: tuple, order: str) -> _Array:
    array = _Array()
    array.value = _numbers(raw, kind, shape, order)
    return array


def _scalar(kind: _Dtype, raw: bytes) -> Any:
    return _numbers(raw, kind, (), "C").item()


def _reconstruct(*_: object) -> _Array:
    """An array that is empty until its state comes."""
    return _Array()


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers and nothing else, by no code of numpy's pickles.

    `numpy.ndarray` itself can be called with an address as its content; a stand-in cannot.
    """

    MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray",
               "numpy.core.numeric", "numpy._core.numeric")  # fmt: skip
    ALLOWED: ClassVar[dict[str, Any]] = {
        "ndarray": _Array,
        "dtype": _Dtype,
        "_reconstruct": _reconstruct,
        "scalar": _scalar,
        "_frombuffer": _frombuffer,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module not in self.MODULES or name not in self.ALLOWED:
            raise ValueError(f"the file wants to run {module}.{name}; only arrays are read")
        return self.ALLOWED[name]


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
        found = _plain(_ArraysOnly(stream).load())
    except Exception as error:  # a broken pickle may fail in any way
        raise ValueError(
            f"{path} is broken or unsafe ({error}); save it again with np.save"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no dictionary of keyboard and mouse")
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value
