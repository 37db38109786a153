"""A session made again from its log, and the check that it is the same one.

An episode's start state, seed, actions, prompts and plans give its frames again: bit for bit
under the fingerprint that it was recorded with, which the logged hashes prove, and nearly so
under another one, for which PSNR is told. Not here: other actions than those logged
(`counterfactual`), the command line.

    report = verify(world, RolloutDataset.open("runs/first"), episode=0)
    assert report.identical

F logged frames of a chunk, N frames that a world generates for it, A channels.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.director import Cut, LatchPlan
from engine.rollouts.lines import forward
from engine.rollouts.reader import Episode, RolloutDataset
from engine.rollouts.record import PlanRecord, frame_hashes
from helios_core.world_api import World


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedChunk:
    """What the log says of one chunk."""

    index: int
    """Chunk number in world time."""
    first: int
    """Number of its first logged frame in the episode."""
    offsets: np.ndarray
    """[F] places of the logged frames in the chunk."""
    hashes: np.ndarray
    """[F] hashes of the exact frames."""
    applied: np.ndarray
    """[N, A]."""
    requested: np.ndarray
    """[F, A]."""
    prompt: str
    record: PlanRecord
    latch_time: float
    events: str

    @property
    def plan(self) -> LatchPlan:
        """As the engine applies it. Naming the prompt in force again changes nothing."""
        record = self.record
        cut = (
            None if record.cut is None else Cut(keep_anchor=record.cut[0], keep_last=record.cut[1])
        )
        return LatchPlan(
            applied=self.applied, prompt=self.prompt, crossfade=record.crossfade,
            reanchor=record.reanchor, cut=cut,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplayedChunk:
    """A chunk made again."""

    logged: LoggedChunk
    state_before: Any
    state_after: Any
    latents: Any
    """[1, C, T, h, w] for `World.decode`; None if the world has none."""
    frames: np.ndarray
    """uint8 [N, H, W, 3]."""

    @property
    def differing(self) -> np.ndarray:
        """[F] of booleans: which logged frames did not come out the same."""
        return frame_hashes(self.frames[self.logged.offsets]) != self.logged.hashes


def logged_chunks(data: RolloutDataset, episode: int, *, chunk_frames: int) -> list[LoggedChunk]:
    """The chunks of an episode, or a ValueError if the log has a hole or too few actions."""
    columns = data.columns(episode)
    length = len(columns["chunk"])
    empty = np.zeros((length, 0), np.float32)
    applied = columns.get("action", empty)
    requested = columns.get("action.requested", empty)
    starts = np.flatnonzero(np.diff(columns["chunk"], prepend=columns["chunk"][0] - 1))
    found = []
    for first, end in itertools.pairwise([*starts.tolist(), length]):
        rows, record = slice(first, end), PlanRecord.from_text(columns["latch.plan"][first])
        whole = applied[rows] if record.actions is None else np.array(record.actions, np.float32)
        if len(whole) != chunk_frames:
            raise ValueError(
                f"episode {episode}: chunk {columns['chunk'][first]} has actions for {len(whole)} "
                f"of {chunk_frames} frames, so it cannot be made again"
            )
        found.append(LoggedChunk(
            index=int(columns["chunk"][first]),
            first=first,
            offsets=columns["chunk.offset"][rows],
            hashes=columns["frame.hash"][rows],
            applied=whole,
            requested=requested[rows],
            prompt=columns["prompt"][first],
            record=record,
            latch_time=float(columns["latch.time"][first]),
            events=columns["events"][first],
        ))  # fmt: skip
    for before, after in itertools.pairwise(found):
        if after.index != before.index + 1:
            raise ValueError(
                f"episode {episode}: the chunks between {before.index} and {after.index} were "
                "never presented, so what follows cannot be made again"
            )
    return found


def start_state(world: World, data: RolloutDataset, episode: int) -> Any:
    """Where the episode began: its saved state, else a fresh start from seed and prompt."""
    info = data.episodes[episode]
    check_world(world, info)
    blob = data.state(episode)
    if blob is not None:
        return world.load_state(blob)
    return world.start(seed=info.header.seed, prompt=info.header.prompt)


def check_world(world: World, episode: Episode) -> None:
    """Refuse to replay an episode in another world than its own."""
    source = episode.header.source
    if source.get("pack_hash") != world.info.pack_hash:
        raise ValueError(
            f"episode {episode.index} was recorded in {source.get('pack', 'no pack')} "
            f"({source.get('pack_hash', 'unknown')}), not in {world.info.name} "
            f"({world.info.pack_hash})"
        )


def replay(world: World, data: RolloutDataset, episode: int) -> Iterator[ReplayedChunk]:
    """Make an episode again, chunk by chunk, at the batch size and row of its log."""
    state = start_state(world, data, episode)
    for logged in logged_chunks(data, episode, chunk_frames=world.info.chunk_frames):
        after, latents, frames = step(world, state, logged)
        yield ReplayedChunk(
            logged=logged, state_before=state, state_after=after, latents=latents, frames=frames
        )
        state = after


def step(world: World, state: Any, logged: LoggedChunk) -> tuple[Any, Any, np.ndarray]:
    """One logged chunk; (state, latents or None, frames [N, H, W, 3])."""
    size, row = logged.record.batch or (1, 0)
    states, latents, frames = forward(world, [state] * size, [logged.plan] * size)
    own = latents[row : row + 1] if world.info.latents else None
    return states[row], own, frames[row]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How a replay compares with its log."""

    frames: int
    """Frames compared."""
    differing: int
    """Frames whose hash is another."""
    first_difference: int | None
    """Number in the episode of the first such frame."""
    psnr: float
    """Lowest PSNR of a frame against the logged video, in dB. Video alone costs some."""
    fingerprint: dict[str, tuple[str, str]]
    """Where this machine differs from the recording's: fact to (then, now)."""

    @property
    def identical(self) -> bool:
        return self.differing == 0

    @property
    def comparable(self) -> bool:
        """Whether identical frames may be demanded."""
        return not self.fingerprint


def verify(world: World, data: RolloutDataset, episode: int) -> Verification:
    """Replay an episode and compare every frame."""
    differing: list[int] = []
    frames, psnr = 0, float("inf")
    for chunk in replay(world, data, episode):
        logged = chunk.logged
        count = len(logged.offsets)
        differing += (np.flatnonzero(chunk.differing) + logged.first).tolist()
        film = data.read(episode, logged.first, count).frames
        psnr = min(psnr, float(psnr_per_frame(chunk.frames[logged.offsets], film).min()))
        frames += count
    return Verification(
        frames=frames,
        differing=len(differing),
        first_difference=differing[0] if differing else None,
        psnr=psnr,
        fingerprint=fingerprint_changes(world, data.episodes[episode]),
    )


def fingerprint_changes(world: World, episode: Episode) -> dict[str, tuple[str, str]]:
    """Facts of the fingerprint that differ between the recording and this world."""
    then = {k: str(v) for k, v in dict(episode.header.source.get("fingerprint", {})).items()}
    now = {k: str(v) for k, v in world.info.fingerprint.items()}
    names = sorted(set(then) | set(now))
    pairs = {name: (then.get(name, "unknown"), now.get(name, "unknown")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def psnr_per_frame(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """dB [F] between uint8 frames [F, H, W, 3]; infinite where they are equal."""
    error = ((a.astype(np.float32) - b.astype(np.float32)) ** 2).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / error)
