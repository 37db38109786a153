"""What is played, into a rollout dataset: the sink between the stage and `RolloutWriter`.

An episode is an unbroken line of play: a rewind, a load or a reset ends it at the last presented
frame and opens another that names its parent. Encoding and disk are the writer's business, on its
own thread. A writer that stopped (disk full) is raised here as an OSError, which ends the
recording and not the play.

    stage.add_sink(RolloutSink(Path("runs/walk"), world))
"""

from bisect import bisect_right
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.chunk import Chunk, FrameId
from helios_core.world_api import World


class RolloutSink:
    """Presented chunks as episodes of one dataset."""

    def __init__(self, folder: Path, world: World, *, latents: bool = False) -> None:
        """`latents` keeps those of every chunk too; a world without any is a ValueError."""
        from engine.rollouts.spec import RolloutSpec
        from engine.rollouts.writer import RolloutWriter

        info = world.info
        spec = RolloutSpec(
            fps=info.fps,
            height=info.height,
            width=info.width,
            actions=info.spec,
            latents=latents_of(world) if latents else None,
            source=source_of(world),
        )
        self._world = world
        self._writer = RolloutWriter.open(folder, spec)
        self._branch: int | None = None
        self._parent: FrameId | None = None
        self._episodes: dict[int, tuple[int, list[tuple[int, int]]]] = {}
        """Per branch its episode and where each unbroken run of frames begins, as (world frame,
        row): policy `drop` skips some."""
        self._next = 0
        """World frame that goes on with the run."""

    @property
    def high_water(self) -> int:
        """The most chunks that ever waited for the encoder."""
        return self._writer.high_water

    def presented(self, chunk: Chunk, offsets: range, ages_ms: Sequence[float]) -> None:
        self._raise_if_stopped()
        if self._branch is None:
            self._begin(chunk)
        self._note_run(chunk, offsets)
        rows = slice(offsets.start, offsets.stop)
        self._writer.write(
            chunk.frames[rows],
            chunk.requested[rows],
            chunk.applied[rows],
            prompt=chunk.state_after.prompt.text,
            prompt_weight=chunk.state_after.prompt.weight,
            chunk=chunk.index,
            latch_time=chunk.latch_time,
            age_ms=ages_ms,
            events=chunk.events,
            offsets=list(offsets),
            plan=_plan(chunk, offsets),
            latents=chunk.latents if self._writer.spec.latents else None,
        )

    def rewound(self, branch: int, parent: FrameId | None) -> None:
        self._end()
        self._parent = parent

    def close(self) -> None:
        self._end()
        self._writer.close()
        self._raise_if_stopped()

    def _begin(self, chunk: Chunk) -> None:
        parent, self._parent = self._locate(self._parent), None
        state = chunk.state_before
        episode = self._writer.begin_episode(
            prompt=state.prompt.text,
            seed=state.seed,
            state=self._world.save_state(state),
            parent=parent,
        )
        self._branch = chunk.branch
        self._episodes[chunk.branch] = (episode, [])

    def _note_run(self, chunk: Chunk, offsets: range) -> None:
        _, runs = self._episodes[chunk.branch]
        first = chunk.first_frame + offsets.start
        if not runs or first != self._next:
            runs.append((first, self._writer.episode_frames))
        self._next = chunk.first_frame + offsets.stop

    def _end(self) -> None:
        if self._branch is not None:
            self._branch = None
            self._writer.end_episode()

    def _locate(self, frame: FrameId | None) -> tuple[int, int] | None:
        """The episode and frame number of a presented frame, if this dataset holds it."""
        if frame is None or frame.branch not in self._episodes:
            return None
        episode, runs = self._episodes[frame.branch]
        number = frame.chunk * self._world.info.chunk_frames + frame.offset
        run = bisect_right(runs, number, key=lambda run: run[0])
        if run == 0:
            return None
        first, row = runs[run - 1]
        return episode, row + number - first

    def _raise_if_stopped(self) -> None:
        if self._writer.error:
            raise OSError(self._writer.error)


def latents_of(world: World) -> tuple[int, int, int, int]:
    """Shape of a chunk's latents, (C, T, h, w)."""
    if world.info.latents is None:
        raise ValueError(f"the world {world.info.name} has no latents; record without them")
    return world.info.latents


def source_of(world: World) -> dict[str, Any]:
    """Where frames come from, for logs and session files."""
    info = world.info
    try:
        engine = version("helios-engine")
    except PackageNotFoundError:
        engine = "unknown"
    return {
        "pack": info.name,
        "pack_hash": info.pack_hash,
        "device": info.fingerprint.get("device", ""),
        "dtype": info.fingerprint.get("dtype", ""),
        "fingerprint": dict(info.fingerprint),
        "chunk_frames": info.chunk_frames,
        "engine_version": engine,
    }


def _plan(chunk: Chunk, offsets: range) -> Any:
    from engine.rollouts.record import PlanRecord

    plan, whole = chunk.plan, len(offsets) == len(chunk.frames)
    rows = None if whole else tuple(tuple(map(float, row)) for row in chunk.applied)
    return PlanRecord(
        crossfade=plan.crossfade,
        reanchor=plan.reanchor,
        cut=None if plan.cut is None else (plan.cut.keep_anchor, plan.cut.keep_last),
        actions=rows,
    )
