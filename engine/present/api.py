"""What the loop knows of a window: poll it, show it a frame, close it. No pygame here.

`engine.present.window` implements `Presenter` with pygame; headless play and tests have their own.

H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.director import Caption, Fade, PlaySound, TitleCard
from engine.input.events import InputEvent


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """An effect that is on the screen now."""

    effect: Caption | TitleCard | Fade
    age: int
    """Frames since it began; a fade to a colour stays after its last frame until faded back."""


@dataclass(frozen=True, kw_only=True)
class HudData:
    """Everything that the HUD may print; made anew for each shown frame."""

    pack: str = ""
    fps: float = 0.0
    """Frames shown per second of wall time, over the last second."""
    make_ms: float = 0.0
    """Time to make the newest chunk: steps and decoding."""
    real_time_factor: float = 0.0
    """Median make time over playing time; above 1 the world is slower than real time."""
    speed: float = 1.0
    """World seconds per wall second; below 1 policy `stretch` plays in slow motion."""
    policy: str = "stretch"
    age_ms: float = 0.0
    """Since the latch of the input that this frame shows."""
    underruns: int = 0
    prompt: str = ""
    prompt_weight: float = 1.0
    """Progress of the crossfade, 0 to 1."""
    chunk: int = 0
    frame: int = 0
    """World frame."""
    branch: int = 0
    seed: int = 0
    device: str = ""
    memory_mb: float = 0.0
    paused: bool = False
    rewinding: bool = False
    recording: bool = False
    """A rollout recording runs."""
    video: bool = False
    """An mp4 of the play is being written."""
    text_only: bool = False
    """The pack takes no actions: it plays by text."""
    messages: tuple[str, ...] = ()
    """Short-lived lines for the player: saved, refused, recording stopped and why."""
    failure: str = ""
    """What broke; shown until the window is closed."""


class Presenter(Protocol):
    """A window, or what stands in for one."""

    @property
    def driver_seconds(self) -> float:
        """Time spent inside the driver's present call so far; not the engine's own cost."""
        ...

    def poll(self, now: float) -> list[InputEvent]:
        """Events since the last poll; keys of the window itself (HUD, fullscreen) stay inside."""
        ...

    def show(self, frame: np.ndarray, hud: HudData, overlays: Sequence[Overlay]) -> None:
        """Put a frame uint8 [H, W, 3] on the screen."""
        ...

    def refresh(self, hud: HudData) -> None:
        """A tick without a new frame: draw again only if the window's own content changed."""
        ...

    def play_sound(self, sound: PlaySound) -> None:
        """Play a cue; no audio device is not an error."""
        ...

    def hush(self) -> None:
        """End every sound: play begins somewhere else."""
        ...

    def loading(self, what: str, fraction: float) -> None:
        """Show a progress bar while a world is being loaded."""
        ...

    def close(self) -> None: ...
