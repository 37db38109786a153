"""A play rendered without a window: `helios play --headless` and `helios run`.

Opens, plays headless, follows jumps from scene to scene, and gives the hash of all frames. Not
here: the loop itself (engine.headless), arguments.

    rendered = render(OpeningConfig(pack="null"), RenderConfig(frames=100, out=Path("walk.mp4")))
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.chunk import Chunk, FrameSink
from engine.contact_sheet import ContactSheet, check_name, write_sheet
from engine.director import Effect
from engine.frame_hash import FrameHash
from engine.headless import HeadlessResult, play_headless
from engine.input.events import PromptEntered
from engine.intake import Intake
from engine.interrupt import careful
from engine.maker import ChunkMaker
from engine.opening import Opening, OpeningConfig, open_play
from engine.present.api import Overlay
from engine.stage import Stage
from engine.studio import Studio, StudioConfig
from engine.video import Film

LONGEST = 10**9
"""Seconds between two pictures of a sheet, at most."""


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """What to keep of a headless play."""

    frames: int | None = None
    """How many; None until the scene ends."""
    out: Path | None = None
    """An mp4."""
    record: Path | None = None
    """A rollout dataset."""
    latents: bool = False
    """Recordings keep the latents of every chunk too."""
    captures: Path = Path("captures")
    """Screenshots and recordings that a scene asks for."""
    sheet: Path | None = None
    """A contact sheet, a PNG."""
    every: float = 10.0
    """Seconds of play between its pictures."""

    def __post_init__(self) -> None:
        if self.sheet is not None:
            check_name(self.sheet)
        if not 0 < self.every <= LONGEST:
            raise ValueError(
                f"a picture every {self.every:g} seconds: ask for more than 0 and at most {LONGEST}"
            )


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What came of it."""

    frames: int
    frame_hash: str
    """SHA-256 over all frames, before overlays."""
    seconds: float
    """Wall time of generating and writing, loading not counted."""
    fps: float
    """Frames per second at which it is to be shown."""
    pack: str
    scenes: tuple[str, ...] = ()
    """Scenes that were played, in order."""
    problems: tuple[str, ...] = ()
    """Why a video or a recording is not whole, if one is not."""


def render(
    opening_config: OpeningConfig,
    config: RenderConfig,
    *,
    say: Callable[[str], None] = lambda text: None,
    on_frame: Callable[[int], None] = lambda done: None,
    on_loading: Callable[[str, float], None] = lambda what, share: None,
) -> Rendered:
    """Play to the end. A full disk ends a recording with a message and play goes on."""
    opening = open_play(opening_config, on_loading=on_loading)
    if config.frames is None and not _ends(opening):
        raise ValueError("this never ends by itself; say how long: --frames N")
    with careful() as interrupt:

        def each_frame(done: int) -> None:
            interrupt.check()
            on_frame(done)

        return _play_all(opening, opening_config, config, say, each_frame)


def _play_all(
    opening: Opening,
    opening_config: OpeningConfig,
    config: RenderConfig,
    say: Callable[[str], None],
    on_frame: Callable[[int], None],
) -> Rendered:
    """Scene after scene onto one film."""
    film = None if config.out is None else Film(config.out, fps=round(opening.fps))
    started, done, problems = time.perf_counter(), 0, []
    hashed, scenes = FrameHash(), []
    sheet = ContactSheet(every=max(1, round(config.every * opening.fps)))
    sinks = (hashed,) if config.sheet is None else (hashed, sheet)
    keep = StudioConfig(folder=config.captures, latents=config.latents)
    try:
        while True:
            scenes.append(str(opening.scene.path) if opening.scene else "")
            left = None if config.frames is None else config.frames - done
            stage, studio = _stage(opening, keep, say, sinks, film)
            if config.record is not None:
                studio.start_recording(config.record)
            try:
                result = _play(opening, stage, left, lambda n, before=done: on_frame(before + n))
            finally:
                film = stage.release_film()
                stage.close()
                problems += stage.problems
            done += result.frames
            if not result.jump:
                break
            opening_config = opening_config.jumped(result.jump)
            opening = open_play(opening_config, world=opening.world)
    finally:
        problems += _finish(film, config.sheet, sheet.pictures, say)
    return Rendered(
        frames=done,
        frame_hash=hashed.hexdigest(),
        seconds=time.perf_counter() - started,
        fps=opening.fps,
        pack=opening.world.info.name,
        scenes=tuple(filter(None, scenes)),
        problems=tuple(problems),
    )


def _finish(
    film: Film | None,
    sheet: Path | None,
    pictures: Sequence[np.ndarray],
    say: Callable[[str], None],
) -> list[str]:
    """Close the film and write the sheet; why they are not whole, if they are not."""
    steps: list[Callable[[], None]] = []
    if film is not None:
        steps.append(film.close)
    if sheet is not None and pictures:
        steps.append(lambda: write_sheet(sheet, pictures))
    problems = []
    for step in steps:
        try:
            step()
        except OSError as error:
            say(str(error))
            problems.append(str(error))
    return problems


def _ends(opening: Opening) -> bool:
    """Whether the scene has an event that ends it or leads to another."""
    scene = opening.scene
    return scene is not None and any(e.end or e.jump for _, e in scene.scene.all_events())


def _stage(
    opening: Opening,
    keep: StudioConfig,
    say: Callable[[str], None],
    sinks: Sequence[FrameSink],
    film: Film | None,
) -> tuple[Stage, Studio]:
    def obey(effect: Effect, chunk: Chunk) -> None:
        studio.obey(effect, chunk)

    stage = Stage(on_effect=obey, on_message=say, draw=draw_overlays)
    studio = Studio(stage, opening.world, replace(keep, fps=opening.fps), say=say)
    for sink in sinks:
        stage.add_sink(sink)
    if film is not None:
        stage.start_film(film)
    return stage, studio


def _play(
    opening: Opening, stage: Stage, frames: int | None, on_frame: Callable[[int], None]
) -> HeadlessResult:
    maker = ChunkMaker(opening.world, opening.director)
    maker.jump(opening.place)
    intake = Intake(opening.mapper)
    if opening.prompt is not None:
        intake.take([PromptEntered(opening.prompt, 0.0)])
    return play_headless(
        maker, intake, sources=opening.sources, stage=stage, frames=frames, on_frame=on_frame
    )


def draw_overlays(frame: np.ndarray, overlays: Sequence[Overlay]) -> np.ndarray:
    """A frame with its overlays; the drawing code is loaded when first needed."""
    from engine.present.overlay import compose

    return compose(frame, overlays)
