"""What should have happened instead: edits of an episode's actions and prompts.

An edit list is YAML; an action file is .npy [F, A] or .csv with a channel per column.

    - from: 40                       # frame of the episode
      to: 80                         # first frame that is as logged again; absent: to the end
      actions: {move_forward: 1}     # channels not named stay as they were logged
      prompt: snow falls             # from the chunk of that frame on
      crossfade: 5

F frames, A channels.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from helios_core.actions import ActionSpec

KEYS = ("from", "to", "actions", "prompt", "crossfade")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change over a range of frames."""

    first: int
    """Frame of the episode at which it begins."""
    end: int | None = None
    """First frame that is as logged again; None for the end of the episode."""
    actions: dict[str, float] = field(default_factory=dict)
    """Channel to its value."""
    prompt: str | None = None
    crossfade: int | None = None
    """Chunks that the prompt's change takes."""

    def __post_init__(self) -> None:
        if self.first < 0 or (self.end is not None and self.end <= self.first):
            raise ValueError(f"an edit from frame {self.first} to {self.end} changes nothing")


def read_edits(path: Path) -> list[Edit]:
    """The edits of a YAML file; a mistake is a ValueError that names the entry."""
    import yaml

    try:
        rows = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: wants a list of edits, each with `from` and what changes")
    return [_edit(path, i, row) for i, row in enumerate(rows)]


def _edit(path: Path, number: int, row: object) -> Edit:
    place = f"{path}: edit {number + 1}"
    if not isinstance(row, dict) or "from" not in row:
        raise ValueError(f"{place}: wants `from: FRAME`")
    unknown = sorted(set(row) - set(KEYS))
    if unknown:
        raise ValueError(f"{place}: unknown {', '.join(unknown)}; it takes {', '.join(KEYS)}")
    try:
        return Edit(
            first=int(row["from"]),
            end=None if row.get("to") is None else int(row["to"]),
            actions={str(k): float(v) for k, v in (row.get("actions") or {}).items()},
            prompt=_prompt(row.get("prompt")),
            crossfade=_crossfade(row.get("crossfade")),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{place}: {error}") from error


def _prompt(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"prompt {value!r} is no text; put it in quotes if it is meant as one")


def _crossfade(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f"crossfade {value!r} is no number of chunks, 1 or more")


def edited_actions(spec: ActionSpec, applied: np.ndarray, edits: Sequence[Edit]) -> np.ndarray:
    """The actions [F, A] with every edit made, the later ones over the earlier."""
    values = applied.copy()
    for edit in edits:
        for name, value in edit.actions.items():
            values[edit.first : edit.end, spec.index(name)] = value
    return spec.validate(values)


def read_actions(path: Path, spec: ActionSpec) -> np.ndarray:
    """Actions [F, A] from .npy, or from .csv whose header names the channels."""
    if path.suffix == ".npy":
        return spec.validate(np.load(path, allow_pickle=False))
    if path.suffix != ".csv":
        raise ValueError(f"{path}: actions come as .npy or .csv")
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        names = next(lines, [])
        rows = [_numbers(f"{path}:{lines.line_num}", row, names) for row in lines if row]
    values = spec.zeros(len(rows))
    for i, name in enumerate(names):
        values[:, spec.index(name)] = [row[i] for row in rows]
    return spec.validate(values)


def _numbers(place: str, row: Sequence[str], names: Sequence[str]) -> list[float]:
    """The values of a row, one for each name of the header."""
    if len(row) != len(names):
        raise ValueError(f"{place}: {len(row)} values under {len(names)} channels")
    try:
        return [float(value) for value in row]
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
