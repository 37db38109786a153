"""A whole session on a fake clock: what the loop tests share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.clock import Clock, FakeClock
from engine.director import Director, PassThrough, PlaySound
from engine.input.bindings import bindings_from
from engine.input.events import InputEvent
from engine.input.mapper import InputMapper
from engine.latch import LatchConfig
from engine.loop import Loop, LoopConfig
from engine.maker import Place
from engine.named_states import unpack_moments
from engine.overlays import NOTHING
from engine.present.api import HudData, Overlay
from engine.rewind import RewindConfig
from engine.session import Session, SessionConfig
from engine.session_file import read_session
from engine.studio import StudioConfig
from engine.synthetic import SyntheticWorld, frame_number


@dataclass(frozen=True)
class Shown:
    """One frame that came onto the screen."""

    t: float
    frame: int
    hud: HudData
    pixels: np.ndarray
    overlays: tuple[Overlay, ...]


@dataclass
class ScriptedWindow:
    """A presenter that says events at their time and notes what it is shown."""

    clock: Clock
    events: list[InputEvent] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    sounds: list[PlaySound] = field(default_factory=list)
    hud: HudData = field(default_factory=HudData)
    driver_seconds: float = 0.0

    def poll(self, now: float) -> list[InputEvent]:
        due = [event for event in self.events if event.t <= now]
        self.events = [event for event in self.events if event.t > now]
        return due

    def show(self, frame: np.ndarray, hud: HudData, overlays: Sequence[Overlay]) -> None:
        self.hud = hud
        self.shown.append(Shown(self.clock.now(), frame_number(frame), hud, frame, tuple(overlays)))

    def refresh(self, hud: HudData) -> None:
        self.hud = hud

    def play_sound(self, sound: PlaySound) -> None:
        self.sounds.append(sound)

    def hush(self) -> None:
        self.sounds.clear()

    def loading(self, what: str, fraction: float) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def frames(self) -> list[int]:
        return [shown.frame for shown in self.shown]


@dataclass(frozen=True)
class Play:
    """The parts of a session under test."""

    clock: FakeClock
    world: SyntheticWorld
    window: ScriptedWindow
    session: Session
    loop: Loop


def play(
    tmp_path,
    *,
    make: float = 0.05,
    prepare: float = 0.0,
    chunk_frames: int = 4,
    frames: int | None = 40,
    events: Sequence[InputEvent] = (),
    director: Director | None = None,
    policy: str = "stretch",
    memory_seconds: float = 60.0,
    disk_bytes: int = 1 << 20,
    failure_seconds: float = 1.0,
    world: SyntheticWorld | None = None,
    clock: FakeClock | None = None,
    resume: Path | None = None,
) -> Play:
    """A session at 20 fps, ready to run; nothing waits for real time."""
    clock = clock or FakeClock()
    world = world or SyntheticWorld(clock, make=make, prepare=prepare, chunk_frames=chunk_frames)
    window = ScriptedWindow(clock, sorted(events, key=lambda event: event.t))
    spec = world.info.spec
    saved = None if resume is None else read_session(resume)
    start = world.load_state(saved.state) if saved else world.start(seed=1, prompt="a meadow")
    session = Session(
        world,
        director or PassThrough(),
        Place(
            state=start,
            named=unpack_moments(world, saved.named, resume) if saved and resume else None,
            overlays=saved.overlays if saved else NOTHING,
        ),
        InputMapper(spec, bindings_from(spec), fps=world.info.fps),
        presenter=window,
        clock=clock,
        draw=lambda frame, overlays: frame,
        config=SessionConfig(
            latch=LatchConfig(policy=policy),
            rewind=RewindConfig(
                memory_seconds=memory_seconds, disk_bytes=disk_bytes, reels=4, folder=tmp_path
            ),
            studio=StudioConfig(folder=tmp_path / "captures"),
        ),
        history=saved.history if saved else None,
    )
    config = LoopConfig(frames=frames, failure_seconds=failure_seconds)
    return Play(clock, world, window, session, Loop(session, config))
