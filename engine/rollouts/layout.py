"""Where the files of a dataset are, and how one is replaced without ever being half there.

The folder is LeRobot v3: `data/`, `videos/`, `meta/`. Ours are `meta/helios.json` (the spec and
the published parts), `states/` (start state per episode), `latents/` where they were asked for
and, while a writer records, `journal/`.
A *part* is what one journal became: one mp4 and one parquet file, many episodes. Pure paths; the
contents belong to `publish`, `journal` and `reader`.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.rollouts.spec import CAMERA, RolloutSpec
from helios_core.disk import sync

FORMAT = "helios-rollouts-1"
FILES_PER_CHUNK = 1000
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A published pair of files, as `meta/helios.json` lists it."""

    number: int
    """Files are numbered in the order of their frames."""
    episodes: int
    frames: int
    stats: dict[str, dict[str, list]] = field(default_factory=dict)
    """LeRobot statistics of the part; the dataset's are merged from these."""
    origins: dict[str, int] = field(default_factory=dict)
    """Parts of other datasets that were merged into this one, and their first episode here."""


@dataclass(frozen=True)
class Layout:
    """Paths of one dataset."""

    root: Path

    def data(self, part: int) -> Path:
        chunk, file = divmod(part, FILES_PER_CHUNK)
        return self.root / DATA_PATH.format(chunk_index=chunk, file_index=file)

    def video(self, part: int) -> Path:
        chunk, file = divmod(part, FILES_PER_CHUNK)
        path = VIDEO_PATH.format(video_key=CAMERA, chunk_index=chunk, file_index=file)
        return self.root / path

    def episodes(self, part: int) -> Path:
        chunk, file = divmod(part, FILES_PER_CHUNK)
        return self.root / f"meta/episodes/chunk-{chunk:03d}/file-{file:03d}.parquet"

    def states(self, part: int) -> Path:
        chunk, file = divmod(part, FILES_PER_CHUNK)
        return self.root / f"states/chunk-{chunk:03d}/file-{file:03d}.parquet"

    def latents(self, part: int) -> Path:
        chunk, file = divmod(part, FILES_PER_CHUNK)
        return self.root / f"latents/chunk-{chunk:03d}/file-{file:03d}.parquet"

    @property
    def info(self) -> Path:
        return self.root / "meta/info.json"

    @property
    def tasks(self) -> Path:
        return self.root / "meta/tasks.parquet"

    @property
    def stats(self) -> Path:
        return self.root / "meta/stats.json"

    @property
    def record(self) -> Path:
        return self.root / "meta/helios.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"


def read_record(layout: Layout) -> tuple[RolloutSpec, list[Part]]:
    """The spec and the published parts of a dataset, or a ValueError."""
    try:
        body = json.loads(layout.record.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        why = "it has no meta/helios.json" if layout.root.exists() else "there is no such folder"
        raise ValueError(f"{layout.root} is not a recording: {why}") from None
    except ValueError as error:
        raise ValueError(f"{layout.record} is damaged: {error}") from error
    if not isinstance(body, dict):
        raise ValueError(f"{layout.record} is damaged: it holds no table of names")
    if body.get("format") != FORMAT:
        raise ValueError(f"{layout.root} has format {body.get('format')!r}, not {FORMAT!r}")
    try:
        return RolloutSpec.from_dict(body["spec"]), [Part(**row) for row in body["parts"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{layout.record} is damaged: {plainly(error)}") from error


def plainly(error: Exception) -> str:
    """An error as part of a sentence; a KeyError says only a name by itself."""
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def write_record(layout: Layout, spec: RolloutSpec, parts: list[Part]) -> None:
    """The commit of a publication: a part that this file lists is complete."""
    rows = [asdict(part) for part in parts]
    write_json(layout.record, {"format": FORMAT, "spec": spec.to_dict(), "parts": rows})


def write_json(path: Path, body: Any) -> None:
    text = json.dumps(body, indent=1, ensure_ascii=False)
    replace_file(path, lambda temporary: temporary.write_text(text, "utf-8"))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside `path`, bring it to the disk, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)
