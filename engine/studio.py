"""What can be kept of the play: films, rollout recordings and screenshots.

Keys and scene effects come here, windowed or headless, and every outcome is one line for the
player. A disk error is such a line and ends the recording, never the play.

    studio = Studio(stage, world, StudioConfig(folder=Path("captures")), say=print)
    studio.start_film(); studio.start_recording(Path("runs/walk"))
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from engine.chunk import Chunk
from engine.director import Effect, Screenshot, StartRecording, StopRecording
from engine.installation import missing_module
from engine.recording import RolloutSink
from engine.stage import Stage
from engine.video import Film, png_bytes
from helios_core.world_api import World

Owner = Literal["player", "scene"]
"""Who asked for a recording. Each has one at a time, and neither ends the other's."""


@dataclass(frozen=True, kw_only=True)
class StudioConfig:
    """Where things go that were given no name."""

    folder: Path = Path("captures")
    """Films, screenshots, recordings and saved sessions; made when first needed."""
    latents: bool = False
    """Recordings keep the latents of every chunk too."""
    fps: float | None = None
    """Frames of a film per second, where a scene is shown at another speed than the world's."""
    shots: Counter[str] = field(default_factory=Counter)
    """How many pictures each name of a scene has got; one count for scenes that jump to others."""


class Studio:
    """Starts and stops whatever watches the stage."""

    def __init__(
        self, stage: Stage, world: World, config: StudioConfig, *, say: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._world = world
        self._folder = config.folder
        self._latents = config.latents
        self._fps = round(config.fps or world.info.fps)
        self._say = say
        self._recordings: dict[Owner, tuple[RolloutSink, Path]] = {}
        self._recording_folder: Path | None = None
        """The player's last one, which F8 goes on with."""
        self._shots = config.shots

    @property
    def recording(self) -> bool:
        """Anybody's is under way."""
        return any(self._records(owner) for owner in self._recordings)

    def obey(self, effect: Effect, chunk: Chunk) -> None:
        """Do what a scene asks at a chunk's first frame; other effects are not for us."""
        if isinstance(effect, Screenshot):
            self.screenshot(chunk.frames[0], effect.name)
        elif isinstance(effect, StartRecording):
            folder = self._folder / effect.dir
            self._attempt(lambda: self.start_recording(folder, owner="scene"))
        elif isinstance(effect, StopRecording):
            self.stop_recording(owner="scene")

    def toggle_film(self) -> None:
        """F10: begin an mp4 of what the screen shows, or finish it."""
        if self._stage.filming:
            if self._stage.stop_film():
                self._say("video saved")
        else:
            self._attempt(lambda: self.start_film(self._unused("video", ".mp4")))

    def start_film(self, path: Path) -> None:
        """Begin an mp4; a file that cannot be written is an OSError."""
        self._stage.start_film(Film(path, fps=self._fps))
        self._say(f"filming {path}")

    def toggle_recording(self) -> None:
        """F8: begin a rollout recording, or finish it; one dataset per session folder."""
        if self._records("player"):
            self.stop_recording()
        else:
            folder = self._recording_folder or self._unused("rollout", "")
            self._attempt(lambda: self.start_recording(folder))

    def start_recording(self, folder: Path, *, owner: Owner = "player") -> None:
        """Record into a dataset; one that is there already gets more episodes.

        A dataset of another kind is a ValueError, a folder that cannot be written an OSError.
        """
        self.stop_recording(owner=owner)
        sink = RolloutSink(folder, self._world, latents=self._latents)
        self._stage.add_sink(sink)
        self._recordings[owner] = sink, folder
        if owner == "player":
            self._recording_folder = folder
        self._say(f"recording {folder}")

    def stop_recording(self, *, owner: Owner = "player") -> None:
        sink, folder = self._recordings.pop(owner, (None, None))
        if sink is None or not self._stage.has_sink(sink):
            return
        if self._stage.drop_sink(sink):
            self._say(f"recording saved: {folder} (at most {sink.high_water} chunks waited)")

    def _records(self, owner: Owner) -> bool:
        """Its recording goes on: a full disk may have ended it."""
        return owner in self._recordings and self._stage.has_sink(self._recordings[owner][0])

    def screenshot(self, frame: np.ndarray, name: str = "") -> None:
        """F12: a PNG of a frame, with what lies over it if the caller drew that."""
        path = self._shot(name) if name else self._unused("screenshot", ".png")

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png_bytes(frame))
            self._say(f"saved {path}")

        self._attempt(write)

    def _shot(self, name: str) -> Path:
        """A scene's picture: the second of one name is name-2. Playing again overwrites them."""
        self._shots[name] += 1
        number = self._shots[name]
        return self._folder / (f"{name}.png" if number == 1 else f"{name}-{number}.png")

    def unused_session(self) -> Path:
        """A path for a session file."""
        return self._unused("session", ".helios")

    def _unused(self, stem: str, suffix: str) -> Path:
        """A new path that says when."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        path, number = self._folder / f"{stem}-{stamp}{suffix}", 2
        while path.exists():
            path, number = self._folder / f"{stem}-{stamp}-{number}{suffix}", number + 1
        return path

    def _attempt(self, action: Callable[[], None]) -> None:
        """What a user, a disk or an installation may lack becomes a message.

        It is a problem of the stage too: a headless run must not end as if all were kept.
        """
        try:
            action()
        except (OSError, ValueError) as error:
            self._stage.report(str(error))
        except ModuleNotFoundError as error:  # recordings want an extra that play does without
            self._stage.report(missing_module(error))
