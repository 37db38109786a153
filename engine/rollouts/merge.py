"""Several datasets become one, without encoding anything again.

Parts are joined up to the usual size; each records which parts it came from, so that a merge that
was killed goes on where it stopped and never doubles an episode. A part is known by the name of
its source and by what it holds, so that a folder recorded anew is not taken for what it was before.
Parent links follow along.

    merge(Path("runs/all"), [("monday", Path("runs/monday")), ("tuesday", Path("runs/tuesday"))])
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.rollouts.latents import moved, stored_batches
from engine.rollouts.layout import Layout, Part, read_record, write_record
from engine.rollouts.lock import FolderLock
from engine.rollouts.publish import NewEpisode, NewPart, publish_part, read_tasks
from engine.rollouts.reader import Episode, RolloutDataset
from engine.rollouts.repair import repair
from engine.rollouts.spec import RolloutSpec
from engine.rollouts.video import stream_kind

PART_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class _Source:
    """One dataset to merge."""

    name: str
    data: RolloutDataset
    keys: Mapping[int, str]
    """Number of a part to what names it in `origins`."""
    firsts: Mapping[int, int]
    """Number of a part to its first episode."""

    def place(self, part: int, origins: Mapping[str, int]) -> int | None:
        """Where the first episode of a part is in the target, if it is there."""
        plain = f"{self.name}#{part}"  # the whole name in merges of before a part's digest was kept
        return origins.get(self.keys[part], origins.get(plain))

    def parent(self, episode: Episode, origins: Mapping[str, int]) -> tuple[int, int] | None:
        """The parent of an episode in the target's numbers; parts need not lie there as here."""
        if episode.header.parent is None:
            return None
        number, frame = episode.header.parent
        part = self.data.episodes[number].part
        place = self.place(part, origins)
        assert place is not None, "a parent is merged before its children"
        return place + number - self.firsts[part], frame


@dataclass(frozen=True, kw_only=True, eq=False)
class _Piece:
    """One part of one source."""

    source: _Source
    number: int
    episodes: tuple[Episode, ...]
    video: Path
    kind: tuple


def merge(
    target: Path,
    sources: Sequence[tuple[str, Path]],
    *,
    part_bytes: int = PART_BYTES,
    on_part: Callable[[int], None] = lambda episodes: None,
) -> None:
    """Append the episodes of (name, folder) sources in order; what is there already is skipped,
    and so is the target itself among the sources, where `runs/*` names it.

    A source of another spec is a ValueError before anything is written.
    """
    layout, whole = Layout(target), target.resolve()
    opened = [_open(n, path) for n, path in dict.fromkeys(sources) if path.resolve() != whole]
    begun = layout.record.exists() or not opened
    spec = read_record(layout)[0] if begun else opened[0].data.spec
    _refuse_others(spec, opened, target)
    target.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(layout.lock)
    try:
        if not layout.record.exists():
            write_record(layout, spec, [])
        repair(layout)
        for group in _groups(layout, opened, part_bytes):
            on_part(_publish(layout, group))
    finally:
        lock.release()


def _open(name: str, path: Path) -> _Source:
    """A source that is whole, with the names of its parts."""
    layout = Layout(path)
    _, parts = read_record(layout)
    data = RolloutDataset.open(path)
    if layout.journal.exists() or len(data.episodes) != sum(p.episodes for p in parts):
        raise ValueError(
            f"{name} is being recorded, or was interrupted: end the recording, or repair it "
            "(helios rollouts check --repair)"
        )
    for e in data.episodes:
        if e.header.parent is not None and not 0 <= e.header.parent[0] < e.index:
            raise ValueError(
                f"{name}: episode {e.index} has the parent {e.header.parent[0]}, which is none "
                "before it: the recording is damaged (helios rollouts check)"
            )
    keys = {p.number: f"{name}#{p.number}@{_digest(p, data)}" for p in parts}
    firsts = {e.part: e.index for e in reversed(data.episodes)}
    return _Source(name=name, data=data, keys=keys, firsts=firsts)


def _digest(part: Part, data: RolloutDataset) -> str:
    """What a part holds, in 16 digits. Its statistics tell of every frame, by the frames' hashes.
    What goes in must stay as it is, or merges of before would be done again."""
    mine = [e for e in data.episodes if e.part == part.number]
    facts = [(e.length, e.tasks, e.header.seed) for e in mine]
    text = json.dumps([part.stats, facts], sort_keys=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _refuse_others(spec: RolloutSpec, sources: Sequence[_Source], target: Path) -> None:
    for source in sources:
        if differences := spec.differences(source.data.spec):
            raise ValueError(f"{source.name} does not fit into {target}: {'; '.join(differences)}")


def _groups(layout: Layout, sources: Sequence[_Source], part_bytes: int) -> Iterator[list[_Piece]]:
    """Pieces not merged yet, as many together as make one part."""
    group: list[_Piece] = []
    size = 0
    for piece in _pieces(_origins(read_record(layout)[1]), sources):
        bytes_here = piece.video.stat().st_size
        if group and (size + bytes_here > part_bytes or piece.kind != group[0].kind):
            yield group
            group, size = [], 0
        group.append(piece)
        size += bytes_here
    if group:
        yield group


def _origins(parts: Sequence[Part]) -> dict[str, int]:
    """All that was merged so far, and its first episode."""
    return {key: first for part in parts for key, first in part.origins.items()}


def _pieces(origins: Mapping[str, int], sources: Sequence[_Source]) -> Iterator[_Piece]:
    for source in sources:
        for number in source.keys:
            video = Layout(source.data.root).video(number)
            if source.place(number, origins) is None:
                yield _Piece(
                    source=source, number=number, video=video, kind=stream_kind(video),
                    episodes=tuple(e for e in source.data.episodes if e.part == number),
                )  # fmt: skip


def _publish(layout: Layout, group: list[_Piece]) -> int:
    """Make one part of some pieces; returns its episodes."""
    spec, parts = read_record(layout)
    before, first = _origins(parts), sum(p.episodes for p in parts)
    origins, rows, episodes = {}, [], []
    for piece in group:
        origins[piece.source.keys[piece.number]] = first + len(episodes)
        here = Layout(piece.source.data.root)
        table = pq.read_table(here.data(piece.number))
        rows.append(table.select([c.name for c in spec.columns]))
        texts = list(read_tasks(here))
        prompts = [texts[i] for i in table["task_index"].to_pylist()]
        episodes += [_moved(piece.source, e, prompts, before | origins) for e in piece.episodes]
    publish_part(
        layout,
        NewPart(
            number=parts[-1].number + 1 if parts else 0,
            rows=pa.concat_tables(rows),
            episodes=episodes,
            videos=[(p.video, sum(e.length for e in p.episodes)) for p in group],
            latents=_latents(group) if spec.latents else (),
            origins=origins,
        ),
    )
    return len(episodes)


def _latents(group: Sequence[_Piece]) -> Iterator[pa.RecordBatch]:
    """The latents of all pieces; the first episode of the group is number 0."""
    before = 0
    for piece in group:
        stored = stored_batches(Layout(piece.source.data.root).latents(piece.number))
        yield from moved(stored, before - piece.episodes[0].index)
        before += len(piece.episodes)


def _moved(
    source: _Source, episode: Episode, prompts: Sequence[str], origins: Mapping[str, int]
) -> NewEpisode:
    """An episode with its parent in the target's numbers; `prompts` are those of its part. A
    dataset that is asked for columns keeps the file open, which is too many for all sources."""
    return NewEpisode(
        header=replace(episode.header, parent=source.parent(episode, origins)),
        prompts=prompts[episode.row : episode.row + episode.length],
        complete=episode.complete,
        state=source.data.state(episode.index),
    )
