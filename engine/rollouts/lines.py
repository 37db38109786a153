"""Lines of play without a clock: N of them in one forward pass, each with its own director.

What an environment, a generator of rollouts and a planner share. A line keeps what the next chunk
continues; `advance` makes one chunk of every line. Not here: spaces, rewards, windows.

    lines = [Line(world, world.start(seed=i)) for i in range(8)]
    chunks = advance(world, lines, [actions] * 8)

F frames of a chunk, A action channels, H W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.director import (
    Director,
    EndSession,
    JumpScene,
    LatchContext,
    LatchPlan,
    PassThrough,
)
from engine.maker import Named, Place, follow_names, generate
from helios_core.world_api import World


@dataclass(frozen=True, kw_only=True, eq=False)
class LineChunk:
    """One chunk of one line."""

    state_before: Any
    state_after: Any
    requested: np.ndarray
    """[F, A]."""
    plan: LatchPlan
    frames: np.ndarray
    """uint8 [F, H, W, 3]."""
    latents: Any
    """[1, C, T, h, w] for `World.decode(state_after, latents)`; None if the world has none."""
    batch: tuple[int, int] | None
    """(worlds in the forward pass, row of this one); None if it was made alone."""

    @property
    def ends(self) -> bool:
        """Whether the scene ended here."""
        return any(isinstance(e, EndSession | JumpScene) for e in self.plan.effects)


class Line:
    """Where one line of play stands."""

    def __init__(
        self,
        world: World,
        state: Any,
        director: Director | None = None,
        *,
        named: Mapping[str, Named] | None = None,
    ) -> None:
        """`named` are states that its scene had saved by name."""
        self.world, self.state = world, state
        self.director = director or PassThrough()
        self.fresh = True
        """Nothing was made since the start: a first chunk may take other steps than a later one."""
        self._idle = 0
        self._prompt: str | None = None
        self._frames: np.ndarray | None = None
        self._named = dict(named or {})

    def ask(self, prompt: str) -> None:
        """Head for another prompt from the next chunk on."""
        self._prompt = prompt

    def latch(self, requested: np.ndarray) -> LatchPlan:
        """What the director makes of the actions [F, A]; loads and saves named states."""
        info = self.world.info
        moving = np.any(requested != 0, axis=0).reshape(-1)
        self._idle = 0 if moving.any() else self._idle + info.chunk_frames
        plan = self.director.latch(LatchContext(
            chunk=self.state.chunk,
            first_frame=self.state.chunk * info.chunk_frames,
            fps=info.fps,
            requested=requested,
            last_frames=lambda: self._frames,
            pressed=frozenset(n for n, on in zip(info.spec.names, moving, strict=True) if on),
            tapped=frozenset(),
            idle_frames=self._idle,
            typed_prompt=self._prompt,
            state=self.state,
            saved=frozenset(self._named),
        ))  # fmt: skip
        self._prompt = None
        place, plan, _ = follow_names(self._named, Place(state=self.state), plan, self.director)
        self.state = place.state
        return replace(plan, applied=info.spec.validate(plan.applied))

    def accept(self, state: Any, frames: np.ndarray) -> None:
        self.state, self._frames, self.fresh = state, frames, False

    def snapshot(self) -> tuple:
        """A value for `restore`; cheap, since states share storage."""
        plain = (self.state, self.fresh, self._idle, self._prompt, self._frames)
        return (*plain, dict(self._named), self.director.snapshot())

    def restore(self, value: tuple) -> None:
        self.state, self.fresh, self._idle, self._prompt, self._frames, named, memory = value
        self._named = dict(named)
        self.director.restore(memory)


def advance(
    world: World, lines: Sequence[Line], requested: Sequence[np.ndarray]
) -> list[LineChunk]:
    """One chunk of every line, in as few forward passes as may be."""
    plans = [line.latch(values) for line, values in zip(lines, requested, strict=True)]
    before = [line.state for line in lines]
    groups: dict[tuple, list[int]] = {}
    for i, (line, plan) in enumerate(zip(lines, plans, strict=True)):
        groups.setdefault((line.fresh, plan.crossfade), []).append(i)
    made: dict[int, LineChunk] = {}
    for rows in groups.values():
        after, latents, frames = forward(world, [before[i] for i in rows], [plans[i] for i in rows])
        for row, i in enumerate(rows):
            lines[i].accept(after[row], frames[row])
            made[i] = LineChunk(
                state_before=before[i],
                state_after=after[row],
                requested=requested[i],
                plan=plans[i],
                frames=frames[row],
                latents=latents[row : row + 1] if world.info.latents else None,
                batch=(len(rows), row) if len(rows) > 1 else None,
            )
    return [made[i] for i in range(len(lines))]


def forward(world: World, states: list, plans: list[LatchPlan]) -> tuple[list, Any, np.ndarray]:
    """States after, latents of N rows, and frames [N, F, H, W, 3]."""
    if len(states) == 1:
        after, latents = generate(world, states[0], plans[0])
        return [after], latents, world.decode(after, latents)[None]
    shot = []
    for state, plan in zip(states, plans, strict=True):
        if plan.cut is not None:
            cut = plan.cut
            state = world.cut(state, keep_anchor=cut.keep_anchor, keep_last=cut.keep_last)
        shot.append(world.reanchor(state) if plan.reanchor else state)
    actions = [plan.applied if world.info.spec.size else None for plan in plans]
    prompts = [plan.prompt for plan in plans]
    after, latents = world.generate_batch(shot, actions, prompts, crossfade=plans[0].crossfade)
    return after, latents, world.decode_batch(after, latents)
