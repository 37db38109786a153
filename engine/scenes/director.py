"""A scene at play: what happens at each latch.

`SceneDirector` is an `engine.director.Director`. A latch reads the input and the frames made so
far, finds what is due, changes counters and phases, and answers with actions, a prompt and
effects for the chunk about to be made. It knows no clock and no file but those it names in
effects, so that a headless run equals a windowed one. Not here: conditions (expressions),
controls, swapping in an edited file (live).

    director = SceneDirector(load_scene("demos/storm.yaml"), world.info)
    plan = director.latch(context)

F pixel frames of a chunk, A action channels.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.director import Caption, Cut, Effect, LatchContext, LatchPlan, LoadState
from engine.scenes.controls import Autopilot, Limit, Playing, Ramp, inject, shape, track_values
from engine.scenes.effects import CutShot, Effects, Injection, PromptChange, Scaling
from engine.scenes.facts import LatchFacts
from engine.scenes.load import SceneFile
from engine.scenes.memory import MAX_PLAYING, SceneMemory
from engine.scenes.performance import perform
from engine.scenes.phases import Phase
from engine.scenes.scene import Scene
from engine.scenes.senses import hold
from engine.scenes.timeline import TimedEvent, due
from engine.scenes.triggers import Fuse, Trigger, labels
from engine.scenes.values import Span
from helios_core.world_api import WorldInfo

MAX_PHASES_AT_ONCE = 8
"""Phases entered in one latch; a circle of `go` in `enter` stops there."""
HINT_SECONDS = 5
"""How long the key hints stay when a scene begins."""
LARGEST = 1e9
"""Counters stay within this magnitude."""


@dataclass(frozen=True)
class Fired:
    """An event that happens in this latch."""

    label: str
    """For the log."""
    effects: Effects
    frame: int
    """Scene frame from which its actions count."""


@dataclass
class _Answer:
    """The plan as it grows through a latch."""

    prompt: str | None = None
    crossfade: int | None = None
    effects: list[Effect] = field(default_factory=list)
    saved: frozenset[str] = frozenset()
    """Names that may be loaded."""
    reanchor: bool = False
    cut: Cut | None = None


class SceneDirector:
    """Plays one scene on one world."""

    def __init__(self, file: SceneFile, info: WorldInfo) -> None:
        self.info = info
        self.file = file
        require_channels(file.scene, info)
        self.memory = SceneMemory.begin(file.scene)

    @property
    def scene(self) -> Scene:
        return self.file.scene

    def snapshot(self) -> dict[str, Any]:
        return self.memory.to_json()

    def restore(self, value: Mapping[str, Any]) -> None:
        self.memory = SceneMemory.from_json(value).fitted(self.scene)

    def replace(self, file: SceneFile) -> None:
        """Go on with an edited scene from the same moment; refuse one that this world lacks."""
        require_channels(file.scene, self.info)
        self.file = file
        self.memory = self.memory.fitted(file.scene)

    def latch(self, ctx: LatchContext) -> LatchPlan:
        memory = self._sensed(ctx)
        facts = LatchFacts(memory=memory, ctx=ctx, scene=self.scene)
        fired = list(self._timed(memory, len(ctx.requested)))
        fuses = dict(memory.fuses)
        fired += self._triggered(memory, facts, fuses)
        memory = replace(memory, fuses=fuses)
        memory, fired = self._changed(memory, fired, facts)
        hints = self._hints() if memory.frame == 0 else []
        answer = _Answer(effects=hints, saved=ctx.saved)
        for event in fired:
            memory = self._take(memory, event, answer)
        self._follow_player(ctx, answer)
        memory, applied = self._controls(memory, ctx.requested)
        memory = replace(
            memory,
            frame=memory.frame + len(applied),
            odometer=memory.odometer.moved(applied, self.info.spec, ctx.fps, self.scene.speed),
        )
        self.memory = memory
        return LatchPlan(
            applied=applied,
            prompt=answer.prompt,
            crossfade=answer.crossfade,
            effects=tuple(answer.effects),
            reanchor=answer.reanchor,
            cut=answer.cut,
            events=tuple(event.label for event in fired),
        )

    def _hints(self) -> list[Effect]:
        """The key help that a scene begins with, in one panel, since few captions fit at a time."""
        frames = HINT_SECONDS * self.info.fps
        hints = self.scene.hints
        return [Caption(text="\n".join(hints), frames=frames)] if hints else []

    # ---- what is due

    def _sensed(self, ctx: LatchContext) -> SceneMemory:
        """The memory after looking at the input."""
        frames = len(ctx.requested)
        names = self.info.spec.names
        moved = {name for i, name in enumerate(names) if frames and ctx.requested[-1, i] != 0}
        touched = bool(ctx.pressed or ctx.tapped or np.any(ctx.requested) or not ctx.idle_frames)
        return replace(
            self.memory,
            held=hold(self.memory.held, frozenset(ctx.pressed | moved), frames),
            idle=0 if touched else self.memory.idle + frames,
            touched=self.memory.touched or touched,
        )

    def _phase(self, memory: SceneMemory) -> Phase | None:
        return self.scene.phases.get(memory.phase)

    def _timed(self, memory: SceneMemory, frames: int) -> Iterator[Fired]:
        window = range(memory.frame, memory.frame + frames)
        yield from self._due(self.scene.timeline, window, 0, "timeline")
        phase = self._phase(memory)
        if phase is not None:
            begin = memory.phase_start
            name = f"{memory.phase}.timeline"
            yield from self._due(phase.timeline, window, begin, name)

    def _due(
        self, events: tuple[TimedEvent, ...], window: range, begin: int, name: str
    ) -> Iterator[Fired]:
        fps = self.info.fps
        frames = range(window.start - begin, window.stop - begin)
        for i, event in due(events, fps, frames):
            moment = event.moments(fps, frames)[0]
            yield Fired(f"{name}[{i + 1}]", event, begin + moment)

    def _triggered(
        self, memory: SceneMemory, facts: LatchFacts, fuses: dict[str, Fuse]
    ) -> Iterator[Fired]:
        phase = self._phase(memory)
        groups: list[tuple[tuple[Trigger, ...], str]] = [(self.scene.triggers, "")]
        groups += [(phase.triggers, memory.phase)] if phase is not None else []
        for triggers, name in groups:
            for trigger, label in zip(triggers, labels(triggers, name), strict=True):
                facts.site, facts.unseen = label, False
                holds = bool(trigger.when.evaluate(facts))
                if facts.unseen:
                    continue  # at the start and after a rewind: neither true nor false yet
                fuse = fuses.get(label, Fuse())
                fires, fuses[label] = fuse.test(trigger, holds, memory.frame, self.info.fps)
                if fires:
                    yield Fired(label.lstrip("/"), trigger, memory.frame)

    # ---- what changes

    def _changed(
        self, memory: SceneMemory, fired: list[Fired], facts: LatchFacts
    ) -> tuple[SceneMemory, list[Fired]]:
        """Counters, flags and phases after the events, and the events of phases entered."""
        todo = list(fired)
        if not memory.phase and self.scene.phases:
            memory, entered = self._enter(memory, next(iter(self.scene.phases)), facts)
            todo += entered
        done: list[Fired] = []
        phases = 0
        while todo:
            for event in todo:
                memory = self._set(memory, event, facts)
            done += todo
            goals = [event.effects.go for event in todo if event.effects.go]
            todo = []
            phases += 1
            if goals and phases <= MAX_PHASES_AT_ONCE:
                memory, todo = self._enter(memory, goals[-1], facts)
        return memory, done

    def _enter(
        self, memory: SceneMemory, name: str, facts: LatchFacts
    ) -> tuple[SceneMemory, list[Fired]]:
        """In a phase from this frame on, its triggers as new."""
        prefix = f"{name}/"
        fuses = {label: f for label, f in memory.fuses.items() if not label.startswith(prefix)}
        memory = replace(memory, phase=name, phase_start=memory.frame, fuses=fuses, autopilot=0)
        phase = self.scene.phases[name]
        begun = [Fired(f"{name}.enter", phase.enter, memory.frame)] if phase.enter else []
        window = range(memory.frame, memory.frame + facts.frames)
        return memory, begun + list(
            self._due(phase.timeline, window, memory.frame, f"{name}.timeline")
        )

    def _set(self, memory: SceneMemory, event: Fired, facts: LatchFacts) -> SceneMemory:
        if not event.effects.set:
            return memory
        facts.memory = replace(facts.memory, variables=memory.variables)
        new: dict[str, float | bool] = {}
        for name, expression in event.effects.set.items():
            facts.site = f"set {event.label}/{name}"
            new[name] = expression.evaluate(facts)
        return replace(memory, variables={**memory.variables, **_bounded(new)})

    def _take(self, memory: SceneMemory, event: Fired, answer: _Answer) -> SceneMemory:
        """Note in the answer what an event does; returns the memory of what goes on from it."""
        effects = event.effects
        if effects.prompt is not None:
            self._head_for(effects.prompt, answer)
        if effects.inject is not None:
            memory = self._injected(memory, effects.inject, event.frame)
        if effects.scale is not None:
            memory = self._scaled(memory, effects.scale, event.frame)
        answer.reanchor = answer.reanchor or effects.anchor is not None
        answer.cut = _cut(effects.cut) or answer.cut
        if effects.save:
            answer.saved |= {effects.save}
        made = perform(effects, self.file.folder, self.info.fps)
        if effects.load and effects.load not in answer.saved:
            text = f"nothing was saved as {effects.load} so far"
            warning = Caption(text=text, frames=4 * self.info.fps, style="warning")
            made = [warning if isinstance(effect, LoadState) else effect for effect in made]
        answer.effects += made
        return memory

    def _head_for(self, change: PromptChange, answer: _Answer) -> None:
        prompt = self.scene.prompts[change.to]
        answer.prompt = prompt.text
        answer.crossfade = self._chunks(change.over or prompt.crossfade)

    def _follow_player(self, ctx: LatchContext, answer: _Answer) -> None:
        """What the player typed or picked comes before the scene's own prompt."""
        if ctx.typed_prompt is None:
            return
        answer.prompt, answer.crossfade = ctx.typed_prompt, None
        for prompt in self.scene.presets.values():
            if prompt.text == ctx.typed_prompt:
                answer.crossfade = self._chunks(prompt.crossfade)

    def _chunks(self, span: Span) -> int:
        return max(1, round(span.frames_at(self.info.fps) / self.info.chunk_frames))

    # ---- controls

    def _injected(self, memory: SceneMemory, what: Injection, frame: int) -> SceneMemory:
        text, reverse = _track_of(what, self.scene)
        play = Playing(
            text=text,
            reverse=reverse,
            mode=what.mode,
            times=what.times,
            over=what.over.frames_at(self.info.fps),
            ease=what.ease,
            start=frame,
        )
        return replace(memory, playing=(*memory.playing, play)[-MAX_PLAYING:])

    def _scaled(self, memory: SceneMemory, what: Scaling, frame: int) -> SceneMemory:
        ramps = {ramp.channel: ramp for ramp in memory.ramps}
        fps = self.info.fps
        for channel, factor in what.channels.items():
            old = ramps.get(channel)
            ramps[channel] = Ramp(
                channel=channel,
                begin=old.at(frame) if old else 1.0,
                factor=factor,
                over=what.over.frames_at(fps),
                ease=what.ease,
                start=frame,
                stop=None if what.for_ is None else frame + what.for_.frames_at(fps),
            )
        return replace(memory, ramps=tuple(ramps.values()))

    def _controls(
        self, memory: SceneMemory, requested: np.ndarray
    ) -> tuple[SceneMemory, np.ndarray]:
        """The memory with what goes on, and the actions that the world gets."""
        spec, fps, at = self.info.spec, self.info.fps, memory.frame
        memory, base = self._autopilot(memory, requested)
        values = shape(base, spec, self._limits(memory), memory.ramps, at)
        values = inject(values, spec, fps, memory.playing, at)
        after = at + len(values)
        playing = tuple(p for p in memory.playing if p.start + p.frames(spec, fps) > after)
        ramps = tuple(ramp for ramp in memory.ramps if not ramp.over_at(after))
        return replace(memory, playing=playing, ramps=ramps), values

    def _limits(self, memory: SceneMemory) -> dict[str, Limit]:
        phase = self._phase(memory)
        return {**self.scene.limits, **(phase.limits if phase else {})}

    def _autopilot(
        self, memory: SceneMemory, requested: np.ndarray
    ) -> tuple[SceneMemory, np.ndarray]:
        """The player's actions, or the autopilot's while the player is away."""
        phase = self._phase(memory)
        pilot = (phase.autopilot if phase else None) or self.scene.autopilot
        if pilot is None or not _absent(pilot, memory, self.info.fps):
            return memory, requested
        text, reverse = _track_of(pilot, self.scene)
        track = np.nan_to_num(track_values(text, reverse, self.info.spec, self.info.fps))
        steps = memory.autopilot + np.arange(len(requested))
        walked = track[steps % len(track)]
        if not pilot.loop:
            walked = np.where(steps[:, None] < len(track), walked, 0.0)
        done = memory.autopilot + len(requested)
        memory = replace(memory, autopilot=done % len(track) if pilot.loop else done)
        return memory, walked.astype(np.float32)


def _absent(pilot: Autopilot, memory: SceneMemory, fps: int) -> bool:
    if pilot.at_start and not memory.touched:
        return True
    return memory.idle >= max(1, pilot.after.frames_at(fps))


def _track_of(what: Injection | Autopilot, scene: Scene) -> tuple[str, bool]:
    """A track's text and whether it is played backwards."""
    track, name, reverse = what.track, what.macro, False
    while track is None:
        assert name is not None, "a macro has a track or reverses one"
        macro = scene.macros[name]
        if macro.reverse is not None:
            reverse = not reverse
        track, name = macro.track, macro.reverse
    return track.text, reverse


def _cut(cut: CutShot | None) -> Cut | None:
    if cut is None:
        return None
    return Cut(keep_anchor=cut.keep == "anchor", keep_last=cut.latents * (cut.keep == "last"))


def _bounded(values: Mapping[str, float | bool]) -> dict[str, float | bool]:
    """Counters within range, whatever the arithmetic gave."""
    bounded: dict[str, float | bool] = {}
    for name, value in values.items():
        if not isinstance(value, bool):
            value = 0.0 if math.isnan(value) else min(LARGEST, max(-LARGEST, float(value)))
        bounded[name] = value
    return bounded


def require_channels(scene: Scene, info: WorldInfo) -> None:
    """A ValueError for a track on a channel that the world lacks; never a silent zero."""
    for owner, track in scene.tracks():
        missing = track.channels - set(info.spec.names)
        if missing:
            channels = ", ".join(sorted(missing))
            raise ValueError(f"{owner} needs {channels}, which the pack {info.name} lacks")
