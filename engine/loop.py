"""The loop of a windowed session: poll, snapshot, step, present, pace.

One thread polls the window at a fixed rate and moves the playhead by absolute deadlines; the
producer's thread makes chunks beside it. The loop waits only in `_pace`, through the injected
clock. Not here: what the keys do (engine.session), pixels on the screen (engine.present).

    outcome = Loop(session, LoopConfig()).run()
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from engine.chunk import Chunk
from engine.headless import ending
from engine.input.events import Command, InputSource
from engine.interrupt import Interrupt, careful
from engine.meter import Meter
from engine.present.api import HudData
from engine.session import Session

SWITCH_SECONDS = 0.0005
"""How long a busy producer may keep the interpreter from the loop (Python's default is 5 ms)."""


HUD_SECONDS = 0.06
"""Without a new frame or a command the HUD's data are made anew after so long."""
LATCH_LEAD = 0.0005
"""The window is polled so long before a latch, so that the latch misses nothing."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How a loop runs."""

    tick_hz: float = 125.0
    """Polls of the window per second; a frame is shown at its own deadline beside that."""
    frames: int | None = None
    """Stop after so many presented frames."""
    failure_seconds: float = 30.0
    """How long a failure stays on the screen if nobody closes the window."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a session ended."""

    frames: int
    """Frames presented, rewinds not counted."""
    jump: str = ""
    """The scene that comes next."""
    scene_ended: bool = False
    """The scene ended it, and not the player or the frame limit."""
    failure: str = ""
    """What broke; the session was saved if it could be."""
    saved: str = ""
    """What became of saving it then."""
    problems: tuple[str, ...] = ()
    """Why recordings and pictures are missing or not whole, if any are."""


class Loop:
    """A session, tick by tick."""

    def __init__(
        self, session: Session, config: LoopConfig, *, sources: Sequence[InputSource] = ()
    ) -> None:
        self.session = session
        self.meter = Meter()
        self.frames = 0
        self._config = config
        self._sources = (session.presenter, *sources)
        self._next_tick = session.clock.now()
        self._jump: str | None = None
        self._busy = 0.0
        self._hud, self._hud_at = HudData(), -1.0

    def run(self) -> Outcome:
        """Play until the player, the scene or the frame limit ends it."""
        with quick_switching(), careful() as interrupt:
            try:
                outcome = self._play(interrupt)
            finally:
                self.session.close()
        # A disk may refuse the end of a recording, which is written when the session is closed.
        return replace(outcome, problems=tuple(self.session.stage.problems))

    def _play(self, interrupt: Interrupt) -> Outcome:
        session = self.session
        session.begin()
        while not self._over():
            interrupt.check()
            if session.producer.failure is not None:
                return self._fail(session.producer.failure, interrupt)
            self._pace(self.tick())
        ended = self._jump is not None
        return Outcome(frames=self.frames, jump=self._jump or "", scene_ended=ended)

    def tick(self) -> float:
        """One round of the loop; returns when the next one is due."""
        session, clock = self.session, self.session.clock
        started = clock.now()
        driver = session.presenter.driver_seconds
        commands = self._poll(started)
        for command in commands:
            session.obey(command)
        moved = self._step(started)
        if moved:
            assert session.picture is not None
            self._hud, self._hud_at = self.hud(started), started
            session.presenter.show(session.picture[0], self._hud, session.picture[1])
        else:
            if commands or started - self._hud_at >= HUD_SECONDS:
                self._hud, self._hud_at = self.hud(started), started
            session.presenter.refresh(self._hud)
        now = clock.now()
        self._busy += now - started - (session.presenter.driver_seconds - driver)
        if moved:
            self.meter.shown(now, cost=self._busy, late=session.playhead.late)
            self._busy = 0.0
        step = 1.0 / self._config.tick_hz
        if self._next_tick <= started:
            self._next_tick = max(self._next_tick + step, now)
        return self._next_tick

    def _poll(self, now: float) -> list[Command]:
        """Events of all sources to the intake; commands come back."""
        events = [event for source in self._sources for event in source.poll(now)]
        return self.session.intake.take(events)

    def _step(self, now: float) -> bool:
        """Move the playhead over the frames that are due."""
        session = self.session
        if session.paused:
            return False
        session.playhead.stretch(session.timer.period)
        moved = session.playhead.advance(now, self._take)
        for chunk, offset in moved:
            session.show(chunk, offset, now)
            if not session.rewinding:
                self.frames += 1
                if self._over():
                    break
        return bool(moved)

    def _take(self) -> Chunk | None:
        """The next chunk, unless its effects end the session before it is shown."""
        if self._jump is not None:
            return None
        chunk = self.session.producer.take()
        if chunk is not None and not self.session.rewinding:
            self._jump = ending(chunk.plan)
            if self._jump is not None:
                return None
        return chunk

    def _pace(self, next_tick: float) -> None:
        """Sleep until the next poll or the next frame; a late chunk wakes the loop at once."""
        playhead, clock = self.session.playhead, self.session.clock
        latch = self.session.producer.next_latch
        if latch is not None and clock.now() < latch - LATCH_LEAD < next_tick:
            next_tick = latch - LATCH_LEAD
        if self.session.paused:
            clock.sleep_until(next_tick)
        elif playhead.due is None or playhead.starving:
            self.session.producer.wait_ready(next_tick)
        else:
            clock.sleep_until(min(next_tick, playhead.due))

    def _over(self) -> bool:
        limit = self._config.frames
        done = limit is not None and self.frames >= limit
        return done or self.session.quit or self._jump is not None

    def _fail(self, failure: BaseException, interrupt: Interrupt) -> Outcome:
        """Save what can be saved, say what broke, and wait for the player to close the window or
        to press Ctrl-C, after which the caller still says it."""
        session, clock = self.session, self.session.clock
        text = f"{type(failure).__name__}: {failure}"
        session.obey(Command("save", clock.now()))
        lines = session.messages(clock.now())  # the file's name stays as long as the failure
        hud = lambda: replace(self.hud(clock.now(), failure=text), messages=lines)  # noqa: E731
        until = clock.now() + self._config.failure_seconds
        info = session.world.info
        black = np.zeros((info.height, info.width, 3), np.uint8)
        frame = black if session.picture is None else session.picture[0]
        session.presenter.show(frame, hud(), ())
        while clock.now() < until and not (session.quit or interrupt.asked):
            for command in self._poll(clock.now()):
                if command.name == "quit":
                    session.quit = True
            session.presenter.refresh(hud())
            clock.sleep_until(clock.now() + 1.0 / self._config.tick_hz)
        return Outcome(frames=self.frames, failure=text, saved=lines[-1])

    def hud(self, now: float, failure: str = "") -> HudData:
        """What the HUD may say of this moment."""
        session = self.session
        info, playhead, timer = session.world.info, session.playhead, session.timer
        chunk = playhead.chunk
        track = None if chunk is None else chunk.state_after.prompt
        return HudData(
            pack=info.name,
            fps=self.meter.fps(now),
            make_ms=1000.0 * timer.make_median,
            real_time_factor=timer.real_time_factor,
            speed=timer.chunk_seconds / timer.period,
            policy=timer.config.policy,
            age_ms=0.0 if chunk is None else 1000.0 * (now - chunk.latch_time),
            underruns=playhead.underruns,
            prompt="" if track is None else track.text,
            prompt_weight=1.0 if track is None else track.weight,
            chunk=0 if chunk is None else chunk.index,
            frame=0 if chunk is None else chunk.first_frame + playhead.offset,
            branch=0 if chunk is None else chunk.branch,
            seed=0 if chunk is None else chunk.state_after.seed,
            device=info.fingerprint.get("device", ""),
            memory_mb=self.meter.memory_mb(now),
            paused=session.paused,
            rewinding=session.rewinding,
            recording=session.studio.recording,
            video=session.stage.filming,
            text_only=info.spec.size == 0,
            messages=session.messages(now),
            failure=failure,
        )


@contextmanager
def quick_switching() -> Iterator[None]:
    """Let the loop's thread have the interpreter soon although the producer is busy."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
