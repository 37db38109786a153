"""A saved session: one file with the world's state, the director's memory and all input so far.

A zip of `session.json` (what it is, for which pack), `state.bin`, `inputs.npz` (per chunk: number,
latch time, requested and applied actions), `prompts.json`, `thumbnail.png`, and the states that the
scene saved by name (`named/0.bin`, ...). It names its pack by name and hash, never by path. Written
to the side and renamed, so that a crash leaves the old file whole. Not here: the past for
rewinding, which ends with the process.

    write_session(path, saved); saved = read_session(path)
"""

import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from engine.overlays import NOTHING, OverlayTrack
from helios_core.actions import ActionSpec
from helios_core.world_api import WorldInfo

FORMAT = "helios-session-1"
DEMOS = Path(__file__).resolve().parents[1] / "demos"
ZIP = b"PK\x03\x04"
"""Begins every zip, a cut-off one too."""
SHIPPED = "demos/"
"""Begins the name of a shipped demo in a session file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InputHistory:
    """All input of a line of play, N chunks."""

    chunk: np.ndarray
    """int64 [N]: chunk numbers."""
    latch_time: np.ndarray
    """float64 [N]: clock seconds; only differences mean something."""
    requested: np.ndarray
    """float32 [N, F, A]."""
    applied: np.ndarray
    """float32 [N, F, A]."""
    prompts: tuple[tuple[int, str], ...] = ()
    """(position 0..N-1, text) wherever a new prompt was given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedMoment:
    """A state that a scene saved by name (engine.named_states)."""

    name: str
    state: bytes
    """As `World.save_state` gives it."""
    director: Any
    """The director's snapshot before the latch of the chunk that was about to be made."""
    memory: Any
    """The same behind it."""
    plan: dict[str, Any]
    """What that latch answered."""
    overlays_before: OverlayTrack = NOTHING
    """What lay over the picture before the latch."""
    overlays: OverlayTrack = NOTHING
    """What stayed behind it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedSession:
    """The content of a session file."""

    pack: str
    pack_hash: str
    spec: ActionSpec
    state: bytes
    """As `World.save_state` gives it."""
    director: Any
    """The director's snapshot, or None."""
    history: InputHistory
    thumbnail: bytes
    """PNG."""
    scene: str = ""
    """Scene that was being played, as `scene_name` names it; empty in free play."""
    named: tuple[SavedMoment, ...] = ()
    overlays: OverlayTrack = NOTHING
    """What lies over the picture when it goes on."""
    source: dict[str, Any]
    """Device, dtype, fingerprint and engine version that made it."""


def write_session(path: Path, saved: SavedSession) -> None:
    """Write or replace a session file."""
    arrays = io.BytesIO()
    history = saved.history
    np.savez(
        arrays,
        chunk=history.chunk,
        latch_time=history.latch_time,
        requested=history.requested,
        applied=history.applied,
    )
    about = {
        "format": FORMAT,
        "pack": saved.pack,
        "pack_hash": saved.pack_hash,
        "spec": saved.spec.to_dict(),
        "director": saved.director,
        "scene": saved.scene,
        "source": saved.source,
        "overlays": saved.overlays.to_json(),
        "named": [
            {
                "name": m.name, "director": m.director, "memory": m.memory, "plan": m.plan,
                "overlays": [m.overlays_before.to_json(), m.overlays.to_json()],
            }
            for m in saved.named
        ],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("session.json", json.dumps(about, indent=1))
            archive.writestr("state.bin", saved.state)
            archive.writestr("inputs.npz", arrays.getvalue())
            archive.writestr("prompts.json", json.dumps(history.prompts, ensure_ascii=False))
            archive.writestr("thumbnail.png", saved.thumbnail)
            for i, moment in enumerate(saved.named):
                archive.writestr(_named_file(i), moment.state)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _named_file(number: int) -> str:
    return f"named/{number}.bin"


def read_session(path: Path) -> SavedSession:
    """A session file, whole or refused with the reason."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("session.json"))
            if about.get("format") != FORMAT:
                raise ValueError(f"{path}: format {about.get('format')!r} is not {FORMAT!r}")
            arrays = np.load(io.BytesIO(archive.read("inputs.npz")), allow_pickle=False)
            prompts = json.loads(archive.read("prompts.json"))
            return SavedSession(
                pack=about["pack"],
                pack_hash=about["pack_hash"],
                spec=ActionSpec.from_dict(about["spec"]),
                state=archive.read("state.bin"),
                director=about["director"],
                history=InputHistory(
                    **{name: arrays[name] for name in arrays.files},
                    prompts=tuple((int(at), str(text)) for at, text in prompts),
                ),
                thumbnail=archive.read("thumbnail.png"),
                scene=about["scene"],
                source=about["source"],
                # Files of before have no named states, and nothing over the picture.
                named=tuple(
                    _moment(entry, archive.read(_named_file(i)))
                    for i, entry in enumerate(about.get("named", []))
                ),
                overlays=OverlayTrack.from_json(about.get("overlays", [])),
            )
    except (zipfile.BadZipFile, KeyError, TypeError, json.JSONDecodeError, EOFError) as error:
        raise ValueError(f"{path}: not a whole session file ({error})") from error


def _moment(entry: dict[str, Any], state: bytes) -> SavedMoment:
    before, behind = entry.get("overlays", ([], []))
    plain = {key: value for key, value in entry.items() if key != "overlays"}
    return SavedMoment(
        **plain,
        state=state,
        overlays_before=OverlayTrack.from_json(before),
        overlays=OverlayTrack.from_json(behind),
    )


def refuse_other_world(saved: SavedSession, info: WorldInfo, path: Path) -> None:
    """A ValueError with the reason if the session was made with another pack or spec."""
    if saved.spec != info.spec:
        mine, theirs = (", ".join(s.names) or "none" for s in (info.spec, saved.spec))
        raise ValueError(
            f"{path}: saved with the actions {theirs}, and pack {info.name!r} has {mine}"
            + (" in other ranges or units" if mine == theirs else "")
        )
    if saved.pack_hash != info.pack_hash:
        raise ValueError(
            f"{path}: saved with pack {saved.pack!r} ({saved.pack_hash[:12]}), "
            f"this is pack {info.name!r} ({info.pack_hash[:12]})"
        )


def scene_name(scene: Path) -> str:
    """A scene as session files name it, so that it is found from other folders: a shipped demo
    by its name, which every machine has, another one by its whole path."""
    path = scene.resolve()
    return f"{SHIPPED}{path.name}" if path.parent == DEMOS else str(path)


def find_scene(name: str, session: Path) -> Path:
    """The scene that a session names: a shipped demo, the file at its path, or one of its name
    beside the session, as when both came from another machine."""
    beside = session.parent / PureWindowsPath(name).name  # takes the paths of every system apart
    places = [Path(name), beside]
    if name.startswith(SHIPPED):
        places.insert(0, DEMOS / name.removeprefix(SHIPPED))
    for place in places:
        if place.is_file():
            return place
    looked = " or ".join(str(place) for place in places)
    raise ValueError(f"{session}: saved in the scene {beside.name}, which is not at {looked}")


def is_session(path: Path) -> bool:
    """Whether a file is a session rather than a scene, by its content."""
    with open(path, "rb") as file:
        return file.read(len(ZIP)) == ZIP
