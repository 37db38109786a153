"""Ambience and cues through pygame's mixer. A machine without sound plays on in silence.

One looped sound is in force, the newer one fades in over the older; cues share the other
channels. A file that cannot be read is an error of the scene and says so.
"""

from collections import OrderedDict
from pathlib import Path

import pygame

from engine.director import PlaySound

ASSETS = Path(__file__).resolve().parents[2]
FADE_MS = 600
KEPT = 32
"""Decoded sounds kept; the least recently played goes first."""


class Mixer:
    """The sound device, or the reason why there is none."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.silent_because = "" if enabled else "sound is switched off"
        self._sounds: OrderedDict[Path, pygame.mixer.Sound] = OrderedDict()
        self._ambience: pygame.mixer.Channel | None = None
        if not enabled:
            return
        try:
            pygame.mixer.init()
        except pygame.error as error:
            self.silent_because = f"no sound device ({error})"

    def play(self, sound: PlaySound) -> None:
        """Start a cue, or change the ambience."""
        path = find_sound(sound.file)
        if self.silent_because:
            return
        loaded = self._load(path)
        if not sound.loop:
            channel = loaded.play()
            if channel is not None:  # its own volume: the sound may be heard elsewhere too
                channel.set_volume(sound.volume)
            return
        if self._ambience is not None:
            self._ambience.fadeout(FADE_MS)
        self._ambience = pygame.mixer.find_channel(force=True)  # cues may have taken all others
        self._ambience.play(loaded, loops=-1, fade_ms=FADE_MS)
        self._ambience.set_volume(sound.volume)

    def pause(self, paused: bool) -> None:
        """Hold every sound while the world stands still."""
        if not self.silent_because:
            (pygame.mixer.pause if paused else pygame.mixer.unpause)()

    def stop(self) -> None:
        """Silence, for another world; a pause ends."""
        if not self.silent_because:
            pygame.mixer.unpause()
            pygame.mixer.fadeout(FADE_MS)
        self._ambience = None

    def close(self) -> None:
        if not self.silent_because:
            pygame.mixer.quit()
        self._sounds.clear()

    def _load(self, path: Path) -> pygame.mixer.Sound:
        if path not in self._sounds:
            try:
                self._sounds[path] = pygame.mixer.Sound(path)
            except pygame.error as error:
                raise ValueError(f"{path}: not a sound that can be played ({error})") from error
        self._sounds.move_to_end(path)
        while len(self._sounds) > KEPT:
            self._sounds.popitem(last=False)
        return self._sounds[path]


def find_sound(file: str) -> Path:
    """The file as named, or as shipped (`assets/sounds/...`); a missing one is a ValueError."""
    for path in (Path(file), ASSETS / file):
        if path.is_file():
            return path
    raise ValueError(f"{file}: no such sound file")
