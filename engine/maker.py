"""One chunk from one latch: the step that windowed and headless play share.

Input, director and world meet here and nowhere else. The maker knows no time but the one it is
told and no thread; the producer (engine.producer) calls it beside the window, headless play
(engine.headless) calls it in a plain loop, and both get the same chunks from the same input.

    maker = ChunkMaker(world, PassThrough())
    maker.jump(Place(state=world.start(seed=0)))
    chunk = maker.begin(window, typed_prompt=None, now=0.0).finish()

F pixel frames of a chunk, A action channels.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from engine.chunk import Chunk
from engine.director import Director, LatchContext, LatchPlan, LoadState, SaveState
from engine.input.events import InputWindow
from engine.overlays import NOTHING, OverlayTrack
from helios_core.world_api import World


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where a line of play stands: all that the next chunk continues."""

    state: Any
    director: Any = None
    """The director's snapshot; None leaves the director as it is."""
    named: "Mapping[str, Named] | None" = None
    """States that a scene saved by name; None leaves those that there are."""
    overlays: OverlayTrack = NOTHING
    """What lies over the picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Named:
    """A moment that a scene saved under a name."""

    place: Place
    """Before the chunk that was about to be made."""
    plan: LatchPlan
    """Of that chunk."""
    memory: Any
    """The director's snapshot after the latch, so that a load does not save once more."""
    overlays: OverlayTrack = NOTHING
    """What stays over the picture from that latch on; a caption had its frames."""


class Begun(NamedTuple):
    """A chunk whose frames may still be in the making."""

    finish: Callable[[], Chunk]
    """The chunk; waits for its frames."""
    plan: LatchPlan
    ready: bool
    """Nothing is won by beginning the next chunk first."""


class ChunkMaker:
    """Turns latched input into chunks, and keeps the place, the branch and the named states."""

    def __init__(
        self,
        world: World,
        director: Director,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.world = world
        self.director = director
        self._clock = clock
        self.branch = -1
        self.generation = 0
        self._place: Place | None = None
        self._named: dict[str, Named] = {}
        self._last_frames: Callable[[], np.ndarray | None] = lambda: None

    @property
    def state(self) -> Any:
        """World state that the next chunk continues."""
        assert self._place is not None, "jump to a place first"
        return self._place.state

    @property
    def first_frame(self) -> int:
        """World frame at which the next chunk begins."""
        return self.state.chunk * self.world.info.chunk_frames

    def jump(self, place: Place, *, generation: int = 0) -> None:
        """Go on from another place, on a branch of its own."""
        if place.director is not None:
            self.director.restore(place.director)
        if place.named is not None:
            self._named = dict(place.named)
        self._place = replace(place, director=self.director.snapshot(), named=None)
        self._last_frames = lambda: None
        self.branch += 1
        self.generation = generation

    def begin(
        self,
        window: InputWindow,
        *,
        typed_prompt: str | None,
        now: float,
        prepared: Any = None,
    ) -> Begun:
        """Latch and generate the next chunk, and begin to decode it. `prepared` is that of
        `self.state`. The chunk after it may be begun before this one is finished."""
        assert self._place is not None, "jump to a place first"
        before = self._place
        plan = self._latch(before, window, typed_prompt)
        named_before = self._named  # chunks hold what was known at their time
        named = dict(named_before)
        origin, plan, over = follow_names(named, before, plan, self.director)
        self._named = named
        self.branch += origin is not before
        started = self._clock()
        after, latents = generate(
            self.world, origin.state, plan, prepared if origin is before else None
        )
        arriving = self.world.begin_decode(after, latents)
        place = self._place = Place(
            state=after,
            director=self.director.snapshot(),
            overlays=over.living(_first_frame(origin, plan) + len(plan.applied)),
        )
        frames = self._last_frames = cache(arriving.wait)
        branch, generation = self.branch, self.generation

        def finish() -> Chunk:
            return Chunk(
                index=origin.state.chunk,
                branch=branch,
                generation=generation,
                frames=frames(),
                requested=window.requested,
                plan=plan,
                latch_time=now,
                state_before=origin.state,
                state_after=after,
                latents=latents,
                director_before=origin.director,
                director_after=place.director,
                named=named,
                named_before=named_before,
                overlays=over,
                overlays_before=origin.overlays,
                make_seconds=self._clock() - started,
            )

        return Begun(finish, plan, arriving.ready)

    def _latch(self, place: Place, window: InputWindow, typed_prompt: str | None) -> LatchPlan:
        info = self.world.info
        context = LatchContext(
            chunk=place.state.chunk,
            first_frame=place.state.chunk * info.chunk_frames,
            fps=info.fps,
            requested=window.requested,
            last_frames=self._last_frames,
            pressed=window.pressed,
            tapped=window.tapped,
            idle_frames=window.idle_frames,
            typed_prompt=typed_prompt,
            state=place.state,
            saved=frozenset(self._named),
        )
        plan = self.director.latch(context)
        return replace(plan, applied=info.spec.validate(plan.applied))


def follow_names(
    named: dict[str, Named], before: Place, plan: LatchPlan, director: Director
) -> tuple[Place, LatchPlan, OverlayTrack]:
    """Save into `named` and load from it what a plan names, right after its latch; returns the
    place that the chunk continues, the plan to make it with and what lies over its frames.

    A load makes the chunk of the save again and the director goes on behind that one, so what
    the scene asked for there (a prompt, a cut, a dark screen) holds where the plan says nothing
    of its own.
    """
    place, over = before, before.overlays.begin_all(plan.effects, _first_frame(before, plan))
    for effect in plan.effects:
        if isinstance(effect, SaveState):
            named[effect.name] = Named(
                place=place, plan=plan, memory=director.snapshot(), overlays=over.lasting()
            )
        elif isinstance(effect, LoadState):
            if effect.name not in named:
                known = ", ".join(sorted(named)) or "none"
                raise ValueError(f"no state {effect.name!r} was saved so far (known: {known})")
            moment = named[effect.name]
            place, plan = moment.place, _as_then(plan, moment.plan)
            over = moment.overlays.begin_all(plan.effects, _first_frame(place, plan))
            director.restore(moment.memory)
    return place, plan, over


def _first_frame(place: Place, plan: LatchPlan) -> int:
    """World frame at which a chunk begins that is made from here."""
    return place.state.chunk * len(plan.applied)


def _as_then(plan: LatchPlan, then: LatchPlan) -> LatchPlan:
    """A plan with what an earlier one did to the shot, where it does nothing itself."""
    heads = plan if plan.prompt is not None else then
    return replace(
        plan,
        prompt=heads.prompt,
        crossfade=heads.crossfade,
        reanchor=plan.reanchor or then.reanchor,
        cut=plan.cut or then.cut,
    )


def generate(world: World, state: Any, plan: LatchPlan, prepared: Any = None) -> tuple[Any, Any]:
    """The world's next state and latents under a plan. Pure, so a chunk can be made again."""
    if plan.cut is not None:
        state = world.cut(state, keep_anchor=plan.cut.keep_anchor, keep_last=plan.cut.keep_last)
    if plan.reanchor:
        state = world.reanchor(state)
    if plan.cut is not None or plan.reanchor:
        prepared = None
    actions = plan.applied if world.info.spec.size else None
    return world.generate(state, actions, plan.prompt, crossfade=plan.crossfade, prepared=prepared)
