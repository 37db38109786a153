"""One report beside another: which figures differ by more than the clips would make them differ.

Two packs are measured on the same clips where the suite's settings are the same. Intervals of
their figures are then drawn from the same clips as well, so the interval of a difference is much
narrower than the two beside each other: what is hard in a clip is hard for both. Judges are taught
per machine: reports of two machines may differ by their judges. Not here: measuring.

    for row in rows(read("runs/eval/mine"), read("runs/eval/theirs")): print(row)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.statistics import interval


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of two reports."""

    name: str
    now: float
    before: float
    low: float | None = None
    """Ends of the 95 % interval of the difference; None where the clips were not the same."""
    high: float | None = None
    unit: str = ""

    @property
    def clear(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low is not None and self.high is not None and self.low * self.high > 0

    def __str__(self) -> str:
        apart = f"{self.now - self.before:+.3g}{self.unit}"
        if self.low is not None:
            apart += f" [{self.low:+.3g}, {self.high:+.3g}]{' *' if self.clear else ''}"
        return f"  {self.name:<40} {self.now:8.3g} {self.before:8.3g}  {apart}"


def read(path: str | Path) -> dict[str, Any]:
    """A report, by its folder or its file."""
    file = Path(path)
    file = file / "evaluation.json" if file.is_dir() else file
    try:
        report = json.loads(file.read_text())
    except OSError as error:
        raise ValueError(f"{file}: no report of `helios eval` to be read ({error})") from error
    except ValueError as error:
        raise ValueError(f"{file}: not a report of `helios eval` ({error})") from error
    if not isinstance(report, dict) or not isinstance(report.get("figures"), dict):
        raise ValueError(f"{file}: not a report of `helios eval`: it has no figures")
    return report


def rows(now: dict[str, Any], before: dict[str, Any]) -> Iterator[Row]:
    """The figures that both reports have."""
    for name, mine in now["figures"].items():
        theirs = before["figures"].get(name)
        if theirs is None:
            continue
        ends = _interval(mine, theirs) if _same_clips(name, now, before) else None
        low, high = ends or (None, None)
        yield Row(
            name=name, now=mine["mean"], before=theirs["mean"], low=low, high=high,
            unit=mine.get("unit", ""),
        )  # fmt: skip


def _same_clips(name: str, now: dict[str, Any], before: dict[str, Any]) -> bool:
    config = f"{name.partition('.')[0]}.config"
    mine, theirs = (report.get("notes", {}).get(config) for report in (now, before))
    return mine is not None and mine == theirs


def _interval(mine: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, float] | None:
    """Of the difference, draw by draw; a draw that had no answer in one of them is left out."""
    if _drawn_from(mine) != _drawn_from(theirs):
        return None
    pairs = zip(mine.get("draws", ()), theirs.get("draws", ()), strict=False)
    apart = [a - b for a, b in pairs if a is not None and b is not None]
    return interval(apart) if apart else None


def _drawn_from(figure: dict[str, Any]) -> int:
    """Clips; older reports drew from those alone that had an answer."""
    return figure.get("clips", figure["count"])
