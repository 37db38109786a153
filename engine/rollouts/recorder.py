"""Chunks of a line of play into a recording: what an environment and a generator log.

The sink of windowed and headless play is engine.recording; this is the one for play without a
stage. An env's reward and ends are extra columns, named as LeRobot names them.

    recorder = Recorder(Path("runs/env"), world)
    recorder.begin(state); recorder.add(chunk, rewards=[0, 0, 0, 1]); recorder.end()
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.recording import latents_of, source_of
from engine.rollouts.lines import LineChunk
from engine.rollouts.record import PlanRecord
from engine.rollouts.spec import Column, RolloutSpec
from engine.rollouts.writer import RolloutWriter
from helios_core.world_api import World

OUTCOME = (Column(name="next.reward"), Column(name="next.done", dtype="bool"))


def spec_of(
    world: World, *, latents: bool = False, source: dict[str, Any] | None = None
) -> RolloutSpec:
    """What a recorder of this world writes."""
    info = world.info
    return RolloutSpec(
        fps=info.fps, height=info.height, width=info.width, actions=info.spec,
        extras=OUTCOME, latents=latents_of(world) if latents else None,
        source={**source_of(world), **(source or {})},
    )  # fmt: skip


class Recorder:
    """Episodes of one line of play in one dataset."""

    def __init__(
        self,
        root: Path,
        world: World,
        *,
        latents: bool = False,
        source: dict[str, Any] | None = None,
    ) -> None:
        """`latents` keeps those of every chunk too; `source` adds facts to the world's own."""
        self._world = world
        self.writer = RolloutWriter.open(root, spec_of(world, latents=latents, source=source))

    def begin(self, state: Any, *, extra: dict[str, Any] | None = None) -> int:
        """Open an episode that starts from a world state."""
        return self.writer.begin_episode(
            prompt=state.prompt.text, seed=state.seed, state=self._world.save_state(state),
            extra=extra,
        )  # fmt: skip

    def add(
        self,
        chunk: LineChunk,
        rewards: Sequence[float] | np.ndarray,
        *,
        first: int = 0,
        done: bool = False,
    ) -> None:
        """Log as many frames of the chunk as there are rewards, from `first` on: an environment
        that was set to the middle of a chunk never showed the frames before."""
        self.writer.raise_if_failed()
        count, plan = len(rewards), chunk.plan
        rows = slice(first, first + count)
        offsets = np.arange(len(chunk.frames))[rows]
        whole = count == len(chunk.frames)
        record = PlanRecord(
            crossfade=plan.crossfade,
            reanchor=plan.reanchor,
            cut=plan.cut and (plan.cut.keep_anchor, plan.cut.keep_last),
            actions=None if whole else tuple(tuple(map(float, row)) for row in plan.applied),
            batch=chunk.batch,
        )
        info, after = self._world.info, chunk.state_after
        ends = np.zeros(count, bool)
        ends[-1] = done
        self.writer.write(
            chunk.frames[rows], chunk.requested[rows], plan.applied[rows], offsets=offsets.tolist(),
            prompt=after.prompt.text, prompt_weight=after.prompt.weight,
            chunk=chunk.state_before.chunk, plan=record, events=plan.events,
            latch_time=chunk.state_before.chunk * info.chunk_seconds,
            age_ms=1000.0 * offsets / info.fps,
            extra={"next.reward": rewards, "next.done": ends}, latents=chunk.latents,
        )  # fmt: skip

    def end(self) -> None:
        """Close the episode; one without frames is forgotten."""
        if self.writer.episode_frames:
            self.writer.end_episode()
        else:
            self.writer.drop_episode()

    def close(self) -> None:
        self.writer.close()
        self.writer.raise_if_failed()
