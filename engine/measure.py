"""Measuring play from the outside: from an event to the frame that shows it, pacing, flatness.

Keys are pressed at moments spread evenly over the phases of a chunk, and each is followed to the
first frame that shows it. What is measured stands beside what the latch formula says for the same
events. Not here: printing (engine.cli.bench_play).

    latencies = measure_latch(make=0.05, chunk_frames=4, events=40)
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.clock import Clock, RealClock
from engine.director import PassThrough
from engine.headless import play_headless
from engine.input.bindings import Bindings, bindings_from
from engine.input.events import Command, InputEvent, KeyEvent
from engine.input.mapper import InputMapper
from engine.intake import Intake
from engine.latch import LatchConfig, Policy, quantile
from engine.loop import Loop, LoopConfig
from engine.maker import ChunkMaker, Place
from engine.meter import resident_bytes
from engine.opening import first_state
from engine.present.api import HudData, Overlay, Presenter
from engine.rewind import RewindConfig
from engine.session import Session, SessionConfig
from engine.stage import Stage
from engine.synthetic import SyntheticWorld
from helios_core.actions import ActionSpec
from helios_core.world_api import World

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, spread evenly however many there are."""
LEFT_OUT = 3
"""Chunks at the beginning of a play that no figure of it counts."""
WARM_CHUNKS = 10
"""Chunks before the first key, so that G2 and the margin have settled."""


@dataclass
class Press:
    """A change of one key and when it came onto the screen."""

    t: float
    key: str
    channel: int
    down: bool
    photon: float | None = None


class NoWindow:
    """A presenter that shows nothing and costs nothing."""

    driver_seconds = 0.0

    def poll(self, now: float) -> list[InputEvent]:
        return []

    def show(self, frame: np.ndarray, hud: HudData, overlays: Sequence[Overlay]) -> None:
        pass

    def refresh(self, hud: HudData) -> None:
        pass

    def play_sound(self, sound: object) -> None:
        pass

    def hush(self) -> None:
        pass

    def loading(self, what: str, fraction: float) -> None:
        pass

    def close(self) -> None:
        pass


class Tracer:
    """A presenter around another one that presses keys and notes when frames show them.

    Keys begin once `WARM_CHUNKS` chunks were shown, two periods for one change of each key.
    """

    def __init__(
        self, inner: Presenter, clock: Clock, keys: dict[str, int], *, events: int
    ) -> None:
        self.session: Session | None = None
        self.presses: list[Press] = []
        self.starts: list[tuple[float, float]] = []
        """Per chunk, when it came onto the screen and the margin then in force."""
        self._inner, self._clock, self._keys = inner, clock, keys
        self._events = events
        self._waiting: list[Press] = []
        self._unseen: list[Press] = []
        self._chunk: object = None

    @property
    def driver_seconds(self) -> float:
        return self._inner.driver_seconds

    def poll(self, now: float) -> list[InputEvent]:
        events = self._inner.poll(now)
        while self._waiting and self._waiting[0].t <= now:
            press = self._waiting.pop(0)
            self._unseen.append(press)
            events.append(KeyEvent(press.key, press.down, press.t))
        if self.presses and not self._waiting and not self._unseen:
            events.append(Command("quit", now))
        return events

    def show(self, frame: np.ndarray, hud: HudData, overlays: Sequence[Overlay]) -> None:
        self._inner.show(frame, hud, overlays)
        assert self.session is not None
        now, chunk = self._clock.now(), self.session.playhead.chunk
        assert chunk is not None
        if chunk is not self._chunk:
            self._chunk = chunk
            self.starts.append((now, self.session.timer.margin))
            if len(self.starts) == WARM_CHUNKS:
                self._plan(now)
        row = chunk.applied[self.session.playhead.offset]
        for press in list(self._unseen):
            if chunk.latch_time >= press.t and (row[press.channel] != 0) == press.down:
                press.photon = now
                self._unseen.remove(press)

    def refresh(self, hud: HudData) -> None:
        self._inner.refresh(hud)

    def play_sound(self, sound: object) -> None:
        pass

    def hush(self) -> None:
        pass

    def loading(self, what: str, fraction: float) -> None:
        self._inner.loading(what, fraction)

    def close(self) -> None:
        self._inner.close()

    def _plan(self, now: float) -> None:
        """Each key changes once in two periods, at a phase of its own."""
        assert self.session is not None
        period, n = self.session.timer.period, 0
        down = dict.fromkeys(self._keys, False)
        while n < self._events:
            begin = now + period * (1 + 2 * (n // len(self._keys)))
            for key, channel in self._keys.items():
                down[key] = not down[key]
                t = begin + period * (n * GOLDEN % 1.0)
                self.presses.append(Press(t, key, channel, down[key]))
                n += 1
        self._waiting = sorted(self.presses, key=lambda press: press.t)


@dataclass(frozen=True, kw_only=True)
class LatchResult:
    """Waiting times of one setting, seconds, in theory and as they were."""

    make: float
    chunk_frames: int
    chunk_seconds: float
    make_p95: float
    """G2 as the producer measured it."""
    margin: float
    theory: tuple[float, ...]
    measured: tuple[float, ...]
    underruns: int

    def pair(self, q: float) -> tuple[float, float]:
        """A quantile of theory and of measurement."""
        return quantile(list(self.theory), q), quantile(list(self.measured), q)

    @property
    def error(self) -> float:
        """By how much 95 % of the events at most missed their theory."""
        return quantile([abs(a - b) for a, b in zip(self.theory, self.measured, strict=True)], 0.95)


def measure_latch(
    *,
    make: float,
    chunk_frames: int,
    events: int,
    clock: Clock | None = None,
    policy: Policy = "stretch",
) -> LatchResult:
    """Action to photon in a world whose generation time is set, without a window."""
    clock = clock or RealClock()
    world = SyntheticWorld(clock, make=make, chunk_frames=chunk_frames)
    bindings = bindings_from(world.info.spec)
    keys = keys_of(world.info.spec, bindings)
    tracer = Tracer(NoWindow(), clock, keys, events=events)
    session = session_of(world, bindings, tracer, clock, policy=policy)
    Loop(session, LoopConfig()).run()
    timer = session.timer
    return LatchResult(
        make=make,
        chunk_frames=chunk_frames,
        chunk_seconds=world.info.chunk_seconds,
        make_p95=timer.make_p95,
        margin=timer.margin,
        theory=tuple(
            formula(press.t, tracer.starts, make=make, chunk_seconds=world.info.chunk_seconds)
            for press in tracer.presses
        ),
        measured=tuple((press.photon or np.inf) - press.t for press in tracer.presses),
        underruns=session.playhead.underruns,
    )


def formula(
    t: float, starts: Sequence[tuple[float, float]], *, make: float, chunk_seconds: float
) -> float:
    """How long an event waits for the first chunk that is latched after it, by the formula.

    `starts`: when each chunk came onto the screen, and the margin then in force. The next one is
    due `chunk_seconds` later and latched G2 + margin before that; where that is before this one
    was done, it is latched at once and comes when it is made.
    """
    for start, margin in starts:
        wait = max(0.0, chunk_seconds - make - margin)
        if start + wait >= t:
            return start + (chunk_seconds if wait > 0 else make) - t
    return float("inf")


@dataclass(frozen=True, kw_only=True)
class PlayResult:
    """A world in a window for a while. Times in seconds."""

    pack: str
    real_time_factor: float
    make: tuple[float, ...]
    """p50, p95, p99 of steps and decoding per chunk."""
    photon: tuple[float, ...]
    """Action to photon; empty for a pack without actions."""
    pacing: tuple[float, ...]
    """How far the time from frame to frame is off, per frame."""
    cost: tuple[float, ...]
    """The loop's own time per frame, without the driver's present call."""
    underruns: int
    chunks: int
    frames: int


@dataclass
class _Makes:
    """A sink that keeps how long chunks took."""

    seconds: list[float] = field(default_factory=list)

    def presented(self, chunk, offsets, ages_ms) -> None:
        self.seconds.append(chunk.make_seconds)

    def rewound(self, branch, parent) -> None:
        pass

    def close(self) -> None:
        pass


def measure_play(world: World, presenter: Presenter, *, events: int) -> PlayResult:
    """Play a world in a window, press keys, and look at everything."""
    clock, info = RealClock(), world.info
    bindings = bindings_from(info.spec, pack=info.bindings)
    keys = keys_of(info.spec, bindings)
    tracer = Tracer(presenter, clock, keys, events=events if keys else 0)
    session = session_of(world, bindings, tracer, clock)
    makes = _Makes()
    session.stage.add_sink(makes)
    frames = None if keys else WARM_CHUNKS * 4 * info.chunk_frames
    loop = Loop(session, LoopConfig(frames=frames))
    loop.run()
    warm = LEFT_OUT * info.chunk_frames
    gaps = np.diff(np.array(loop.meter.times)[warm:])
    step = session.timer.period / info.chunk_frames
    return PlayResult(
        pack=info.name,
        real_time_factor=session.timer.real_time_factor,
        make=spread(makes.seconds[LEFT_OUT:]),
        photon=spread([p.photon - p.t for p in tracer.presses if p.photon is not None]),
        pacing=spread(np.abs(gaps - step).tolist()),
        cost=spread(list(loop.meter.costs)[warm:]),
        underruns=session.playhead.underruns,
        chunks=len(makes.seconds),
        frames=loop.frames,
    )


@dataclass(frozen=True, kw_only=True)
class FlatSample:
    """The state of the process at a frame."""

    frame: int
    resident: int
    threads: int
    files: int
    chunk_seconds: float
    """Median time per chunk since the sample before."""


def measure_flatness(
    world: World, *, frames: int, samples: int = 20, on_frame: Callable[[int], None]
) -> list[FlatSample]:
    """Play headless for long and sample memory, threads, files and the cost of a chunk."""
    maker = ChunkMaker(world, PassThrough())
    maker.jump(Place(state=world.start(seed=0)))
    spec = world.info.spec
    intake = Intake(InputMapper(spec, bindings_from(spec), fps=world.info.fps))
    makes = _Makes()
    stage = Stage(on_effect=lambda e, c: None, on_message=print, draw=lambda f, o: f)
    stage.add_sink(makes)
    taken: list[FlatSample] = []
    for part in range(samples):
        before = part * frames // samples
        count = (part + 1) * frames // samples - before
        play_headless(
            maker,
            intake,
            sources=[],
            stage=stage,
            frames=count,
            on_frame=lambda done, before=before: on_frame(before + done),
        )
        stage.flush()
        taken.append(
            FlatSample(
                frame=before + count,
                resident=resident_bytes(),
                threads=threading.active_count(),
                files=open_files(),
                chunk_seconds=quantile(makes.seconds, 0.5),
            )
        )
        makes.seconds.clear()
    return taken


def session_of(
    world: World,
    bindings: Bindings,
    presenter: Tracer,
    clock: Clock,
    *,
    policy: Policy = "stretch",
) -> Session:
    """A session of free play as the pack begins, with nothing on disk but the input log."""
    session = Session(
        world,
        PassThrough(),
        Place(state=first_state(world, seed=0)),
        InputMapper(world.info.spec, bindings, fps=world.info.fps),
        presenter=presenter,
        clock=clock,
        draw=lambda frame, overlays: frame,
        config=SessionConfig(
            latch=LatchConfig(policy=policy), rewind=replace(RewindConfig(), memory_seconds=60.0)
        ),
    )
    presenter.session = session
    return session


def keys_of(spec: ActionSpec, bindings: Bindings) -> dict[str, int]:
    """One keyboard key per channel that has one."""
    return {
        binding.input: spec.index(channel)
        for channel, bound in bindings.channels.items()
        for binding in _first_key(bound)
    }


def _first_key(bound: Sequence) -> Iterator:
    yield from [b for b in bound if "." not in b.input and b.scale > 0][:1]


def spread(values: Sequence[float]) -> tuple[float, ...]:
    """p50, p95 and p99; empty of nothing."""
    return tuple(quantile(list(values), q) for q in (0.5, 0.95, 0.99)) if len(values) else ()


def open_files() -> int:
    """File handles of this process; 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0
