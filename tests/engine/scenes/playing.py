"""A scene played against the null world in world time: what the scene tests share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.chunk import Chunk
from engine.director import Director
from engine.input.bindings import bindings_from
from engine.input.events import DeviceEvent, KeyEvent, PromptEntered
from engine.input.mapper import InputMapper
from engine.input.scripted import parse_script
from engine.intake import Intake
from engine.maker import ChunkMaker, Place
from engine.scenes.director import SceneDirector
from engine.scenes.load import SceneFile, load_scene
from helios_core.null_world import NullWorld

HEAD = """\
title: A test
prompts:
  meadow: a meadow at noon
  storm: {text: a storm at dusk, crossfade: 2s}
"""


def small_world(**changes: int) -> NullWorld:
    return NullWorld(**{"height": 24, "width": 40, **changes})


def write(tmp_path: Path, body: str, name: str = "scene.yaml") -> Path:
    """A scene file: the common head, then the body."""
    path = tmp_path / name
    path.write_text(HEAD + body, encoding="utf-8")
    return path


def scene_of(tmp_path: Path, body: str) -> SceneFile:
    return load_scene(write(tmp_path, body))


@dataclass(frozen=True)
class Played:
    """The chunks of a run."""

    chunks: tuple[Chunk, ...]
    director: Director
    maker: ChunkMaker

    @property
    def applied(self) -> np.ndarray:
        """[F, A] of all frames."""
        return np.concatenate([chunk.applied for chunk in self.chunks])

    @property
    def frames(self) -> np.ndarray:
        return np.concatenate([chunk.frames for chunk in self.chunks])

    def channel(self, name: str) -> np.ndarray:
        return self.applied[:, self.maker.world.info.spec.index(name)]

    def effects(self, kind: type) -> list[tuple[int, object]]:
        """(first frame of the chunk, effect) of each effect of a kind."""
        return [(c.first_frame, e) for c in self.chunks for e in c.effects if isinstance(e, kind)]

    def events(self, label: str) -> list[int]:
        """First frames of the chunks in which an event fired."""
        return [c.first_frame for c in self.chunks if label in c.events]

    @property
    def prompts(self) -> list[tuple[int, str, int | None]]:
        """(first frame, text, crossfade) of each change of prompt."""
        plans = [(c.first_frame, c.plan) for c in self.chunks]
        return [(f, plan.prompt, plan.crossfade) for f, plan in plans if plan.prompt is not None]


def hold(name: str, start: float, stop: float) -> list[DeviceEvent]:
    return [KeyEvent(name, True, start), KeyEvent(name, False, stop)]


def play(
    scene: SceneFile | Path,
    *,
    frames: int,
    events: Sequence[DeviceEvent | PromptEntered] = (),
    script: str = "",
    world: NullWorld | None = None,
    seed: int | None = None,
    director: Director | None = None,
    save_and_restore: bool = False,
) -> Played:
    """Play so many frames with device events at their times."""
    file = load_scene(scene) if isinstance(scene, Path) else scene
    world = world or small_world()
    info = world.info
    director = director or SceneDirector(file, info)
    maker = ChunkMaker(world, director)
    start = file.scene.seed if seed is None else seed
    maker.jump(Place(state=world.start(seed=start, prompt=file.scene.first_prompt.text)))
    layer = file.scene.bindings.layer()
    mapper = InputMapper(info.spec, bindings_from(info.spec, scene=layer), fps=info.fps)
    intake = Intake(mapper)
    intake.take(parse_script(script, info.spec))
    waiting = sorted(events, key=lambda event: event.t)
    chunks: list[Chunk] = []
    while sum(len(chunk.frames) for chunk in chunks) < frames:
        now = len(chunks) * info.chunk_frames / info.fps
        intake.take([event for event in waiting if event.t <= now])
        waiting = [event for event in waiting if event.t > now]
        window, typed = intake.latch(now, frames=info.chunk_frames, first_frame=maker.first_frame)
        chunks.append(maker.begin(window, typed_prompt=typed, now=now).finish())
        if save_and_restore:
            director.restore(director.snapshot())
    return Played(tuple(chunks), director, maker)
