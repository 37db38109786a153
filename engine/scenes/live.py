"""Editing a scene while it plays: on save, the new file takes over, or its mistake is shown.

`LiveDirector` plays a scene and looks at its files before each latch. A good file takes over from
the same moment: events, macros and bindings swap, the prompt in force crossfades to its new text,
counters, flags and the phase stay where they still exist. Of what counts when a play begins only
(`AT_START`) the player is told. A bad file is named in the window with its line, and the old one
goes on. Headless runs use `SceneDirector`, which looks at no file.

    director = LiveDirector(load_scene(path), world.info, on_change=rebind)
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.director import Caption, LatchContext, LatchPlan
from engine.scenes.director import SceneDirector, require_channels
from engine.scenes.load import SceneFile, check_scene
from engine.scenes.packs import PackFacts
from engine.scenes.problems import Problem
from helios_core.world_api import WorldInfo

MESSAGE_SECONDS = 6
AT_START = ("pack", "seed", "start", "negative", "fps", "hud")
"""Keys that count when a play begins, and that an edit does not change under way."""
Stamp = tuple[int, int] | None
"""Time and size of a file; None for one that is not to be had (an editor may be writing it)."""


class LiveDirector:
    """A scene that follows its file."""

    def __init__(
        self,
        file: SceneFile,
        info: WorldInfo,
        *,
        on_change: Callable[[SceneFile], None] = lambda file: None,
    ) -> None:
        """`on_change` hears of a new scene before it takes over; its ValueError refuses it."""
        self._play = SceneDirector(file, info)
        self._info = info
        self._on_change = on_change
        self._pack = PackFacts(name=info.name, spec=info.spec)
        self._stamps = {path: _stamp(path) for path in file.files}
        self._former: dict[str, str] = {}
        """Names of prompts by the texts that they had before edits: a reset and a rewind go back
        to worlds that head for those."""

    @property
    def file(self) -> SceneFile:
        return self._play.file

    def snapshot(self) -> dict[str, Any]:
        return self._play.snapshot()

    def restore(self, value: Mapping[str, Any]) -> None:
        self._play.restore(value)

    def latch(self, ctx: LatchContext) -> LatchPlan:
        message = self._follow()
        new_text = self._edited_prompt(ctx.state.prompt.text)
        plan = self._play.latch(ctx)
        if plan.prompt is None and new_text is not None:
            plan = replace(plan, prompt=new_text)
        return plan if message is None else replace(plan, effects=(*plan.effects, message))

    def _follow(self) -> Caption | None:
        """Take over what was saved since the last look; returns what the player is told."""
        stamps = {path: _stamp(path) for path in self._stamps}
        if stamps == self._stamps:
            return None
        checked = check_scene(self.file.path, packs=lambda name: self._pack)
        # Stamps from before the reading, so that what is saved meanwhile is read too.
        self._stamps = {p: stamps[p] if p in stamps else _stamp(p) for p in checked.files}
        if checked.file is None:
            return self._caption(_first_of(checked.problems), "warning")
        try:
            require_channels(checked.file.scene, self._info)
            self._on_change(checked.file)
        except ValueError as error:
            return self._caption(f"{checked.file.path.name}: {error}", "warning")
        old = self.file.scene
        self._former |= {prompt.text: name for name, prompt in old.prompts.items()}
        self._play.replace(checked.file)
        later = [key for key in AT_START if getattr(old, key) != getattr(checked.file.scene, key)]
        wait = f"; {', '.join(later)} when it is played anew" if later else ""
        return self._caption(f"{checked.file.path.name} taken over{wait}", "plain")

    def _edited_prompt(self, text: str) -> str | None:
        """The new text of the prompt in force, if an edit changed it."""
        prompts = self.file.scene.prompts
        name = self._former.get(text)
        if name not in prompts or any(prompt.text == text for prompt in prompts.values()):
            return None
        return prompts[name].text

    def _caption(self, text: str, style: str) -> Caption:
        return Caption(text=text, frames=MESSAGE_SECONDS * self._info.fps, style=style)


def _first_of(problems: tuple[Problem, ...]) -> str:
    """The first mistake with its line, and how many more there are."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{Path(first.file).name}:{first.line}:{first.column}: {first.text}{more}"


def _stamp(file: Path) -> Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
