"""The same session with something else done: other actions, prompts or noise from a frame on.

The parent is replayed up to the chunk of that frame, exactly; from there a new episode is made
and recorded, linked to its parent, and shown beside it. Not here: reading edits (`edits`).

    child = Change(frame=40, edits=(Edit(first=40, actions={"move_forward": 1}),))
    made = branch(world, data, episode=0, change=child, writer=writer)
    side_by_side(Path("both.mp4"), [made.parent_frames, made.frames], fps=20)

F frames, A channels, N frames of a chunk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.recording import source_of
from engine.rollouts.edits import Edit, edited_actions
from engine.rollouts.policies import random_walk
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.replay import LoggedChunk, logged_chunks, start_state, step
from engine.rollouts.spec import RolloutSpec
from engine.rollouts.writer import RolloutWriter
from engine.video import Film
from helios_core.world_api import World


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What is other than logged."""

    frame: int
    """Frame of the parent from which on; the whole chunk around it is made anew."""
    edits: Sequence[Edit] = ()
    actions: np.ndarray | None = None
    """[F, A] in place of the logged actions, from `frame` on."""
    seed: int | None = None
    """Another seed for the noise."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For the new episode's metadata."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Branched:
    """A new episode and the part of its parent that it replaces."""

    episode: int
    """Its index in the dataset it was written to."""
    first: int
    """Frame of the parent at which it begins."""
    frames: np.ndarray
    parent_frames: np.ndarray
    """From the parent's video."""


def check_target(root: Path, data: RolloutDataset) -> None:
    """A ValueError where counterfactuals of `data` cannot be recorded."""
    if data.spec.extras and root.resolve() == data.root.resolve():
        names = ", ".join(c.name for c in data.spec.extras)
        raise ValueError(
            f"{root} has the columns {names}, which a replay cannot know; record it in another "
            "folder, with --out"
        )


def check_frame(data: RolloutDataset, episode: int, frame: int) -> None:
    """A ValueError for a frame at which no change can begin."""
    length = data.episodes[episode].length
    if not 0 <= frame < length:
        raise ValueError(f"frame {frame} is not in episode {episode}, which has {length}")


def open_writer(root: Path, data: RolloutDataset, world: World) -> RolloutWriter:
    """A writer for counterfactuals of `data`, into the same folder or another one."""
    check_target(root, data)
    spec = RolloutSpec(
        fps=data.spec.fps, height=data.spec.height, width=data.spec.width,
        actions=data.spec.actions, latents=data.spec.latents, source=source_of(world),
    )  # fmt: skip
    return RolloutWriter.open(root, spec)


def branch(
    world: World, data: RolloutDataset, episode: int, *, change: Change, writer: RolloutWriter
) -> Branched:
    """Make and record one alternative to an episode."""
    chunks = logged_chunks(data, episode, chunk_frames=world.info.chunk_frames)
    check_frame(data, episode, change.frame)
    turn = max(i for i, chunk in enumerate(chunks) if chunk.first <= change.frame)
    state = start_state(world, data, episode)
    for chunk in chunks[:turn]:
        state, _, _ = step(world, state, chunk)
    if change.seed is not None:
        state = replace(state, seed=change.seed)
    first = chunks[turn].first
    here = data.root.resolve() == writer.root.resolve()
    link = {"dataset": str(data.root), "episode": episode, "frame": first - 1}
    index = writer.begin_episode(
        prompt=state.prompt.text, seed=state.seed, state=world.save_state(state),
        parent=(episode, max(0, first - 1)) if here else None,
        extra={**change.facts, **({} if here else {"parent": link})},
    )  # fmt: skip
    frames = []
    for chunk in list(altered(data, chunks, change))[turn:]:
        state, latents, pictures = step(world, state, chunk)
        frames.append(pictures[chunk.offsets])
        _write(writer, chunk, state, latents, pictures)
    writer.end_episode()
    return Branched(
        episode=index,
        first=first,
        frames=np.concatenate(frames),
        parent_frames=data.read(episode, first).frames,
    )


def altered(
    data: RolloutDataset, chunks: Sequence[LoggedChunk], change: Change
) -> Iterator[LoggedChunk]:
    """The chunks as the change wants them; those before its frame are of no use."""
    prompt: str | None = None
    for chunk in chunks:
        numbers = np.arange(len(chunk.applied)) + chunk.first - int(chunk.offsets[0])
        applied = chunk.applied.copy()
        if change.actions is not None:
            places = numbers - change.frame
            inside = (places >= 0) & (places < len(change.actions))
            applied[inside] = change.actions[places[inside]]
        shifted = [_shift(edit, numbers[0], len(numbers)) for edit in change.edits]
        applied = edited_actions(data.spec.actions, applied, [e for e in shifted if e is not None])
        record = replace(chunk.record, actions=None, batch=None)
        for edit in change.edits:
            if edit.prompt is not None and numbers[0] <= edit.first <= numbers[-1]:
                prompt, record = edit.prompt, replace(record, crossfade=edit.crossfade)
        text = chunk.prompt if prompt is None else prompt
        yield replace(chunk, applied=applied, prompt=text, record=record)


def _shift(edit: Edit, first: int, count: int) -> Edit | None:
    """The edit in the numbers of a chunk that begins at frame `first`; None if it ends before."""
    begin = max(0, edit.first - first)
    end = count if edit.end is None else edit.end - first
    return replace(edit, first=begin, end=end) if begin < min(end, count) else None


def _write(
    writer: RolloutWriter, chunk: LoggedChunk, state: Any, latents: Any, pictures: np.ndarray
) -> None:
    places = chunk.offsets
    record = chunk.record
    if len(places) < len(pictures):
        record = replace(record, actions=tuple(tuple(map(float, row)) for row in chunk.applied))
    writer.write(
        pictures[places], chunk.requested, chunk.applied[places], prompt=state.prompt.text,
        prompt_weight=state.prompt.weight, chunk=chunk.index, latch_time=chunk.latch_time,
        offsets=places.tolist(), plan=record, latents=latents,
    )  # fmt: skip


def variations(
    data: RolloutDataset, episode: int, *, frame: int, count: int, vary: str
) -> list[Change]:
    """N alternatives from a frame on, by other noise (`seed`) or by random walks (`action`)."""
    check_frame(data, episode, frame)
    if vary not in ("seed", "action"):
        raise ValueError(f"vary {vary!r}: choose seed or action")
    spec, length = data.spec.actions, data.episodes[episode].length
    if vary == "action" and spec.size == 0:
        raise ValueError("this recording has no actions to vary; vary the seed")
    changes = []
    for i in range(count):
        facts = {"branch": i, "vary": vary}
        if vary == "seed":
            seed = int(np.random.SeedSequence([frame, i]).generate_state(1)[0])
            changes.append(Change(frame=frame, seed=seed, facts=facts))
        else:
            walk = random_walk(spec, i)(np.zeros(0), length - frame)
            changes.append(Change(frame=frame, actions=walk, facts=facts))
    return changes


def side_by_side(path: Path, videos: Sequence[np.ndarray], *, fps: int) -> None:
    """Videos [F, H, W, 3] of one height next to each other, as long as the shortest."""
    film = Film(path, fps=fps)
    gap = np.zeros((videos[0].shape[1], 4, 3), np.uint8)
    for i in range(min(len(video) for video in videos)):
        columns = [videos[0][i]]
        for video in videos[1:]:
            columns += [gap, video[i]]
        film.write(np.concatenate(columns, 1))
    film.close()
