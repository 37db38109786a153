"""Finish what a killed recording left: publish its journal, sweep half-written files.

Every writer runs this when it opens a folder, and `helios rollouts check --repair` by hand. It
changes nothing that was published, and running it twice is running it once.
"""

import shutil
from dataclasses import dataclass

from engine.rollouts.journal import read_journal, remove_journal
from engine.rollouts.layout import Layout, read_record
from engine.rollouts.publish import publish_journal


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What a repair found and did."""

    episodes: int = 0
    """Episodes published from the journal."""
    frames: int = 0
    """Their frames."""
    lost: int = 0
    """Frames of the last chunk that could not be saved."""


def repair(layout: Layout) -> Repaired:
    """Publish or remove a left-over journal. The caller holds the folder's lock."""
    for leftover in layout.root.rglob("*.tmp"):
        leftover.unlink()
    if not layout.journal.exists():
        return Repaired()
    _, parts = read_record(layout)
    view = read_journal(layout.journal)
    if view is None or any(p.number == view.part for p in parts):
        # Died before its first whole chunk, or between its publication and its removal.
        _discard(layout)
        return Repaired()
    part = publish_journal(layout, view)
    return Repaired(episodes=part.episodes, frames=part.frames, lost=view.lost)


def _discard(layout: Layout) -> None:
    if (layout.journal / "header.json").exists():
        remove_journal(layout.journal)
    else:
        shutil.rmtree(layout.journal)
