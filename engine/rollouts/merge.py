"""Several datasets become one, without encoding anything again.

Parts are joined up to the usual size; each records which parts it came from, so that a merge that
was killed goes on where it stopped and never doubles an episode. Parent links follow along.

    merge(Path("runs/all"), [("monday", Path("runs/monday")), ("tuesday", Path("runs/tuesday"))])
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.rollouts.latents import moved, stored_batches
from engine.rollouts.layout import Layout, Part, read_record, write_record
from engine.rollouts.lock import FolderLock
from engine.rollouts.publish import NewEpisode, NewPart, publish_part
from engine.rollouts.reader import Episode, RolloutDataset
from engine.rollouts.repair import repair
from engine.rollouts.video import stream_kind

PART_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class _Piece:
    """One part of one source."""

    name: str
    number: int
    data: RolloutDataset
    episodes: tuple[Episode, ...]
    video: Path
    kind: tuple

    @property
    def key(self) -> str:
        return f"{self.name}#{self.number}"


def merge(
    target: Path,
    sources: Sequence[tuple[str, Path]],
    *,
    part_bytes: int = PART_BYTES,
    on_part: Callable[[int], None] = lambda episodes: None,
) -> None:
    """Append the episodes of (name, folder) sources in order; what is there already is skipped.

    A source of another spec is a ValueError before anything is written.
    """
    opened = [(name, RolloutDataset.open(path)) for name, path in sources]
    layout = Layout(target)
    target.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(layout.lock)
    try:
        _prepare(layout, opened)
        for group in _groups(layout, opened, part_bytes):
            on_part(_publish(layout, group))
    finally:
        lock.release()


def _prepare(layout: Layout, sources: Sequence[tuple[str, RolloutDataset]]) -> None:
    """Make or repair the target and refuse sources that do not fit."""
    if not layout.record.exists():
        write_record(layout, sources[0][1].spec, [])
    spec, _ = read_record(layout)
    for name, data in sources:
        if differences := spec.differences(data.spec):
            raise ValueError(f"{name} does not fit into {layout.root}: {'; '.join(differences)}")
        if Layout(data.root).journal.exists():
            raise ValueError(f"{name} was interrupted; repair it first (helios rollouts check)")
    repair(layout)


def _groups(
    layout: Layout, sources: Sequence[tuple[str, RolloutDataset]], part_bytes: int
) -> Iterator[list[_Piece]]:
    """Pieces not merged yet, as many together as make one part."""
    group: list[_Piece] = []
    size = 0
    for piece in _pieces(layout, sources):
        bytes_here = piece.video.stat().st_size
        if group and (size + bytes_here > part_bytes or piece.kind != group[0].kind):
            yield group
            group, size = [], 0
        group.append(piece)
        size += bytes_here
    if group:
        yield group


def _pieces(layout: Layout, sources: Sequence[tuple[str, RolloutDataset]]) -> Iterator[_Piece]:
    known = {key for part in read_record(layout)[1] for key in part.origins}
    for name, data in sources:
        for number in sorted({e.part for e in data.episodes}):
            video = Layout(data.root).video(number)
            piece = _Piece(
                name=name, number=number, data=data, video=video, kind=stream_kind(video),
                episodes=tuple(e for e in data.episodes if e.part == number),
            )  # fmt: skip
            if piece.key not in known:
                yield piece


def _publish(layout: Layout, group: list[_Piece]) -> int:
    """Make one part of some pieces; returns its episodes."""
    spec, parts = read_record(layout)
    first = sum(p.episodes for p in parts)
    origins, rows, episodes = {}, [], []
    for piece in group:
        origins[piece.key] = first + len(episodes)
        table = pq.read_table(Layout(piece.data.root).data(piece.number))
        rows.append(table.select([c.name for c in spec.columns]))
        base = _base(piece, parts, origins)
        episodes += [_moved(piece.data, episode, base) for episode in piece.episodes]
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
        stored = stored_batches(Layout(piece.data.root).latents(piece.number))
        yield from moved(stored, before - piece.episodes[0].index)
        before += len(piece.episodes)


def _base(piece: _Piece, parts: Sequence[Part], origins: dict[str, int]) -> int:
    """Where the first episode of the piece's source is, or would be, in the target."""
    places = {k: v for part in parts for k, v in part.origins.items()} | origins
    return places[piece.key] - piece.episodes[0].index


def _moved(data: RolloutDataset, episode: Episode, base: int) -> NewEpisode:
    header = episode.header
    if header.parent is not None:
        header = replace(header, parent=(header.parent[0] + base, header.parent[1]))
    return NewEpisode(
        header=header,
        prompts=data.columns(episode.index)["prompt"].tolist(),
        complete=episode.complete,
        state=data.state(episode.index),
    )
