"""From a scene's effects to the engine's: the same things, in frames and with whole paths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import director as engine
from engine.scenes.effects import Effects


def perform(effects: Effects, folder: Path, fps: int) -> list[engine.Effect]:
    """What the window and the session do for an event, in the order of the keys."""
    made: list[engine.Effect] = []
    for kind, make in _MAKERS.items():
        what = getattr(effects, kind)
        if what:
            made.append(make(what, folder, fps))
    return made


def _sound(what: Any, folder: Path, fps: int) -> engine.Effect:
    path = what.file.resolve_in(folder)
    return engine.PlaySound(file=str(path), volume=what.volume, loop=what.loop)


def _caption(what: Any, folder: Path, fps: int) -> engine.Effect:
    frames = max(1, what.for_.frames_at(fps))
    return engine.Caption(text=what.text, frames=frames, style=what.style)


def _title(what: Any, folder: Path, fps: int) -> engine.Effect:
    return engine.TitleCard(text=what.text, frames=max(1, what.for_.frames_at(fps)))


def _fade(what: Any, folder: Path, fps: int) -> engine.Effect:
    frames = max(1, what.over.frames_at(fps))
    return engine.Fade(to=what.to, frames=frames, colour=what.colour.rgb)


def _record(what: Any, folder: Path, fps: int) -> engine.Effect:
    return engine.StartRecording(dir=what.name) if what.do == "start" else engine.StopRecording()


_MAKERS: dict[str, Callable[[Any, Path, int], engine.Effect]] = {
    "sound": _sound,
    "caption": _caption,
    "title": _title,
    "fade": _fade,
    "screenshot": lambda name, folder, fps: engine.Screenshot(name=name),
    "record": _record,
    "save": lambda name, folder, fps: engine.SaveState(name=name),
    "load": lambda name, folder, fps: engine.LoadState(name=name),
    "jump": lambda name, folder, fps: engine.JumpScene(path=str(name.resolve_in(folder))),
    "end": lambda yes, folder, fps: engine.EndSession(),
}
