"""A session in a window: the verbs that keys and scenes have, over the parts that do the work.

Save, load, rewind, reset, pause, film, record. All verbs belong to the loop's thread; the producer
hears of them through its generation. Not here: the tick (engine.loop), files (session_file).

    session = Session(world, director, place, mapper, presenter=window, clock=RealClock())
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.chunk import Chunk
from engine.clock import Clock
from engine.director import Director, Effect, PlaySound
from engine.input.events import Command, LatchedInput
from engine.input_log import InputLog
from engine.intake import Intake
from engine.latch import LatchConfig, LatchTimer
from engine.maker import ChunkMaker, Place
from engine.named_states import pack_moments, unpack_moments
from engine.playhead import Playhead
from engine.present.api import Overlay, Presenter
from engine.producer import Producer
from engine.recording import source_of
from engine.rewind import RewindConfig, RewindStore
from engine.session_file import (
    InputHistory,
    SavedSession,
    read_session,
    refuse_other_world,
    write_session,
)
from engine.stage import Stage
from engine.studio import Studio, StudioConfig
from engine.video import png_bytes
from helios_core.world_api import World

MESSAGE_SECONDS = 4.0
MESSAGES = 4
"""Lines for the player that stay at a time."""


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """How a session is played."""

    latch: LatchConfig = field(default_factory=LatchConfig)
    """Latching and the policy for slow worlds."""
    rewind: RewindConfig = field(default_factory=RewindConfig)
    """How much past is kept."""
    studio: StudioConfig = field(default_factory=StudioConfig)
    """Where captures go."""
    scene: str = ""
    """Scene file, for session files."""
    fps: float | None = None
    """Frames shown per second, for scenes in slow motion; the world's own if None."""


class Session:
    """The parts of one play and what can be done with them."""

    def __init__(
        self,
        world: World,
        director: Director,
        place: Place,
        inputs: LatchedInput,
        *,
        presenter: Presenter,
        clock: Clock,
        draw: Callable[[np.ndarray, Sequence[Overlay]], np.ndarray],
        config: SessionConfig | None = None,
        history: InputHistory | None = None,
    ) -> None:
        """`history` is the input that led to `place`, when a saved session goes on."""
        self.config = config or SessionConfig()
        self.world, self.clock, self.presenter = world, clock, presenter
        info = world.info
        self.intake = Intake(inputs)
        chunk_seconds = info.chunk_frames / (self.config.fps or info.fps)
        self.timer = LatchTimer(self.config.latch, chunk_seconds=chunk_seconds)
        self.store = RewindStore(world, self.config.rewind)
        self.log = InputLog(info.spec, frames=info.chunk_frames, folder=self.config.rewind.folder)
        maker = ChunkMaker(world, director, clock=clock.now)
        self.producer = Producer(maker, self.intake, self.store, self.timer, clock)
        self.playhead = Playhead(
            chunk_frames=info.chunk_frames,
            chunk_seconds=chunk_seconds,
            policy=self.config.latch.policy,
        )
        self.stage = Stage(on_effect=self._on_effect, on_message=self.say, draw=draw)
        self.studio = Studio(self.stage, world, self.config.studio, say=self.say)
        self.paused = self.rewinding = self.quit = False
        self.picture: tuple[np.ndarray, tuple[Overlay, ...]] | None = None
        """The frame on the screen, with its overlays."""
        # A reset needs the director as it is now, which a plain start does not spell out.
        begun = director.snapshot() if place.director is None else place.director
        self._start = replace(place, director=begun, named=place.named or {})
        self._history = history
        if history is not None:
            self.log.restore(history)
        self._shown: Chunk | None = None
        self._serial = -1
        self._saved: Path | None = None
        self._told = False
        self._messages: list[tuple[str, float]] = []

    # ---- life

    def begin(self) -> None:
        self.producer.go_on(self._start)
        self.producer.start()

    def close(self) -> None:
        """End the thread, flush and close every recording."""
        self.producer.stop()
        self.stage.close()
        self.store.close()
        self.log.close()

    def say(self, text: str) -> None:
        """A line for the player that goes away by itself."""
        self._messages.append((text, self.clock.now() + MESSAGE_SECONDS))
        del self._messages[:-MESSAGES]

    def messages(self, now: float) -> tuple[str, ...]:
        self._messages = [(text, until) for text, until in self._messages if until > now]
        return tuple(text for text, _ in self._messages)

    # ---- frames, as the playhead moves

    def show(self, chunk: Chunk, offset: int, now: float) -> None:
        """A frame comes onto the screen."""
        if chunk is not self._shown:
            self._enter(chunk)
        frame = chunk.frames[offset]
        if self.rewinding:
            self.picture = (frame, ())
            self.stage.film(frame)
        else:
            age = 1000.0 * (now - chunk.latch_time)
            self.picture = (frame, self.stage.present(chunk, offset, age_ms=age))

    def _enter(self, chunk: Chunk) -> None:
        self._shown = chunk
        if self.rewinding:
            self._serial -= 1
            return
        self._serial = self.store.remember(chunk)
        self.producer.expect(self.playhead.next_chunk_due)
        if self.store.problem and not self._told:
            self._told = True
            self.say(self.store.problem)
        try:
            self.log.append(chunk)
        except OSError as error:
            self.say(f"the input of this moment is not kept: {error}")

    # ---- verbs

    def obey(self, command: Command) -> None:
        """Do what a key asks. What goes wrong by a file is a message."""
        verbs: dict[str, Callable[[], object]] = {
            "quit": self._quit,
            "pause": self.toggle_pause,
            "reset": self.reset,
            "save": lambda: self.save(Path(command.argument) if command.argument else None),
            "load": lambda: self.load(Path(command.argument) if command.argument else None),
            "rewind_start": self.rewind_start,
            "rewind_stop": self.rewind_stop,
            "screenshot": self._screenshot,
            "video": self.studio.toggle_film,
            "record": self.studio.toggle_recording,
        }
        try:
            verbs[command.name]()
        except (OSError, ValueError) as error:
            self.say(str(error))

    def toggle_pause(self) -> None:
        """Stop the world and its time; input of the meantime is dropped, but for a prompt."""
        self.paused = not self.paused
        now = self.clock.now()
        if not self.paused:
            self.intake.forget(now, prompt=False)
            self.playhead.resume(now)
            self.producer.expect(self.playhead.next_chunk_due)
        self.producer.pause(self.paused)

    def reset(self) -> None:
        """Back to where the session began."""
        self._wake()
        self._leave_for(self._start)
        self._forget_past(self._history)

    def save(self, path: Path | None = None) -> Path | None:
        """Keep the place after the chunk on the screen in a file."""
        chunk = self._shown
        if chunk is None or self.picture is None:
            self.say("nothing to save yet")
            return None
        path = path or self.studio.unused_session()
        info = self.world.info
        saved = SavedSession(
            pack=info.name,
            pack_hash=info.pack_hash,
            spec=info.spec,
            state=self.world.save_state(chunk.state_after),
            director=chunk.director_after,
            history=self.log.history(self._logged + 1),
            thumbnail=png_bytes(self.picture[0]),
            scene=self.config.scene,
            source=source_of(self.world),
            named=pack_moments(self.world, chunk.named),
            overlays=chunk.overlays.living(chunk.first_frame + len(chunk.frames)),
        )
        write_session(path, saved)
        self._saved = path
        self.say(f"saved {path}")
        return path

    def load(self, path: Path | None = None) -> None:
        """Go on from a saved session, the last one saved if none is named."""
        path = path or self._saved
        if path is None:
            self.say("nothing was saved yet: F5 saves")
            return
        saved = read_session(path)
        refuse_other_world(saved, self.world.info, path)
        named = unpack_moments(self.world, saved.named, path)
        state = self.world.load_state(saved.state)
        self._wake()
        self._leave_for(
            Place(state=state, director=saved.director, named=named, overlays=saved.overlays)
        )
        self._forget_past(saved.history)
        self._saved = path
        self.say(f"loaded {path}")

    def rewind_start(self) -> None:
        """Run backward through the past for as long as the key is held."""
        if self.rewinding or self._shown is None or self._serial < 0:
            return
        self._wake()
        self.stage.flush()
        self.rewinding = True
        self.playhead.turn(self.clock.now(), backward=True)
        self.producer.go_back(self._serial - 1)

    def rewind_stop(self) -> None:
        """Go on as a new branch from the beginning of the chunk on the screen."""
        if not self.rewinding or self._shown is None:
            return
        chunk, kept = self._shown, self._logged
        self.rewinding = False
        parent = self.store.last_frame(self._serial - 1)
        # Of what the scene saved by name, that which it had saved by then.
        place = Place(
            state=chunk.state_before,
            director=chunk.director_before,
            named=chunk.named_before,
            overlays=chunk.overlays_before,
        )
        self._leave_for(place)
        self.stage.leave(parent)
        self.store.forget_from(self._serial)
        self.log.keep(kept)

    def _wake(self) -> None:
        """End a pause: a place that the player asks for is to be seen."""
        if self.paused:
            self.toggle_pause()

    def _leave_for(self, place: Place) -> None:
        """End this line of play and begin another; what was under way is never shown."""
        self.rewinding = False
        self.producer.go_on(place)
        self.stage.leave(None)
        self.playhead.leave()
        self.intake.forget(self.clock.now())
        self._shown = None

    @property
    def _logged(self) -> int:
        """Chunks of the input log before the one on the screen; a full disk kept fewer."""
        return max(0, self.log.chunks - (self.store.end - self._serial))

    def _forget_past(self, history: InputHistory | None) -> None:
        """Another line of play begins, with the input that led to its first place, in silence."""
        self.presenter.hush()
        self.store.forget_from(self.store.begin)
        self.log.keep(0)
        if history is not None:
            self.log.restore(history)

    def _quit(self) -> None:
        self.quit = True

    def _screenshot(self) -> None:
        if self.picture is not None:
            self.studio.screenshot(self.stage.picture(*self.picture))

    def _on_effect(self, effect: Effect, chunk: Chunk) -> None:
        if isinstance(effect, PlaySound):
            self.presenter.play_sound(effect)
        self.studio.obey(effect, chunk)
