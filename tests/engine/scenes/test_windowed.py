"""A windowed and a headless run of the same scripted scene give identical frames."""

from pathlib import Path

import pytest

from engine.clock import FakeClock
from engine.frame_hash import FrameHash
from engine.input.bindings import bindings_from
from engine.input.mapper import InputMapper
from engine.input.scripted import ScriptedInput, parse_script
from engine.loop import Loop, LoopConfig
from engine.maker import Place
from engine.opening import OpeningConfig, open_play
from engine.render import RenderConfig, render
from engine.rewind import RewindConfig
from engine.scenes.director import SceneDirector
from engine.scenes.load import load_scene
from engine.session import Session, SessionConfig
from engine.studio import StudioConfig
from tests.engine.playing import ScriptedWindow
from tests.engine.scenes.playing import scene_of, small_world
from tests.engine.scenes.test_director import EVERYTHING

SCRIPT = "10-30: move_forward; 31-50: look_yaw=40, run; 90-92: jump; 95-110: strafe=-1"
FRAMES = 160


def windowed(file, tmp_path, world, *, make: float) -> str:
    """The hash of a threaded, paced session in world time, whatever chunks take to make."""
    clock, info = FakeClock(), world.info
    window = ScriptedWindow(clock)
    session = Session(
        SlowWorld(world, clock, make),
        SceneDirector(file, info),
        Place(state=world.start(seed=file.scene.seed, prompt=file.scene.first_prompt.text)),
        InputMapper(info.spec, bindings_from(info.spec), fps=info.fps),
        presenter=window,
        clock=clock,
        draw=lambda frame, overlays: frame,
        config=SessionConfig(
            rewind=RewindConfig(folder=tmp_path / "rewind"),
            studio=StudioConfig(folder=tmp_path / "captures"),
        ),
    )
    sink = FrameHash()
    session.stage.add_sink(sink)
    script = ScriptedInput(parse_script(SCRIPT, info.spec))
    Loop(session, LoopConfig(frames=FRAMES), sources=[script]).run()
    session.close()
    assert sink.frames == FRAMES == len(window.shown)
    return sink.hexdigest()


class SlowWorld:
    """A world that takes its time by the clock of the session."""

    def __init__(self, world, clock, make: float) -> None:
        self._world, self._clock, self._make = world, clock, make
        self.info = world.info

    def __getattr__(self, name):
        return getattr(self._world, name)

    def begin_decode(self, state, latents):
        self._clock.sleep_until(self._clock.now() + self._make)
        return self._world.begin_decode(state, latents)


@pytest.mark.parametrize("make", [0.01, 0.15, 0.5], ids=["quick", "just in time", "too slow"])
def test_windowed_equals_headless(tmp_path, monkeypatch, make):
    file = scene_of(tmp_path, EVERYTHING)
    (tmp_path / "walk.txt").write_text(SCRIPT)
    world = small_world()
    monkeypatch.setattr("engine.opening.load", lambda pack, **options: world)
    opening = OpeningConfig(what=str(file.path), pack="null", actions=tmp_path / "walk.txt")
    headless = render(opening, RenderConfig(frames=FRAMES, captures=tmp_path))
    assert headless.frames == FRAMES
    assert windowed(file, tmp_path, world, make=make) == headless.frame_hash


def test_another_script_gives_another_hash(tmp_path, monkeypatch):
    file = scene_of(tmp_path, EVERYTHING)
    monkeypatch.setattr("engine.opening.load", lambda pack, **options: small_world())
    opening = OpeningConfig(what=str(file.path), pack="null")
    headless = render(opening, RenderConfig(frames=FRAMES, captures=tmp_path))
    assert windowed(file, tmp_path, small_world(), make=0.01) != headless.frame_hash


def test_opening_starts_from_the_scenes_picture(tmp_path):
    demos = Path(__file__).resolve().parents[3] / "demos"
    opening = open_play(OpeningConfig(what=str(demos / "picture_world.yaml"), pack="null"))
    assert opening.title == "Into the picture"
    assert (
        opening.hands.presets[0] == load_scene(demos / "picture_world.yaml").scene.first_prompt.text
    )
