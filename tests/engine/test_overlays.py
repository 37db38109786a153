"""What lies over the picture goes where the play goes: back, into a file, to a saved moment."""

import json
import zipfile
from pathlib import Path

from engine.director import (
    Caption,
    Effect,
    Fade,
    LatchContext,
    LatchPlan,
    LoadState,
    PassThrough,
    PlaySound,
    SaveState,
    TitleCard,
)
from engine.input.events import Command, InputWindow
from engine.maker import ChunkMaker, Place
from engine.overlays import NOTHING, OverlayTrack
from engine.rewind import RewindConfig, RewindStore
from engine.session_file import read_session
from helios_core.null_world import NullWorld
from tests.engine.playing import Play as Run
from tests.engine.playing import Shown, play

DARK = Fade(to="colour", frames=4, colour=(1, 2, 3))
LIGHT = Fade(to="picture", frames=4)


class Play(PassThrough):
    """Effects at chunks, each once."""

    def __init__(self, effects: dict[int, tuple[Effect, ...]]) -> None:
        self._effects = dict(effects)

    def latch(self, ctx: LatchContext) -> LatchPlan:
        return LatchPlan(applied=ctx.requested, effects=self._effects.pop(ctx.chunk, ()))


def dark(shown: list[Shown]) -> list[bool]:
    """Whether each picture of forward play lies under the whole fade or a part of it."""
    return [[o.effect for o in s.overlays] == [DARK] for s in shown if not s.hud.rewinding]


def rewound(run: Run) -> tuple[list[Shown], int]:
    """Pictures of forward play, and which of them is the first after the rewind."""
    run.loop.run()
    seen = [s for s in run.window.shown if not s.hud.rewinding]
    return seen, next(i for i in range(1, len(seen)) if seen[i].frame < seen[i - 1].frame)


def test_a_dark_screen_stays_dark_after_a_rewind(tmp_path):
    back = [Command("rewind_start", 3.0), Command("rewind_stop", 3.5)]
    seen, again = rewound(play(tmp_path, frames=90, events=back, director=Play({5: (DARK,)})))
    assert seen[again].frame > 24 and dark(seen) == [s.frame >= 20 for s in seen]
    assert seen[again].overlays[0].age == seen[again].frame - 20


def test_a_rewind_takes_a_dark_screen_back(tmp_path):
    back = [Command("rewind_start", 2.0), Command("rewind_stop", 4.0)]
    seen, again = rewound(play(tmp_path, frames=70, events=back, director=Play({5: (DARK,)})))
    assert seen[again].frame < 20 and not any(dark(seen[again:])), "this director fades once"


def test_a_dark_screen_is_in_the_session_file(tmp_path):
    path = tmp_path / "s.helios"
    play(
        tmp_path, events=[Command("save", 2.0, str(path))], director=Play({5: (DARK,)}), frames=60
    ).loop.run()
    for events in ([], [Command("load", 0.5, str(path))]):
        run = play(tmp_path, events=events, frames=30, resume=None if events else path)
        run.loop.run()
        at = read_session(path).overlays.begun
        assert at == ((DARK, 20),)
        later = [s for s in run.window.shown if s.frame >= 40]
        assert later and all(dark(later))


def test_a_session_file_of_before_has_nothing_over_the_picture(tmp_path):
    path = tmp_path / "s.helios"
    effects = {5: (DARK,), 6: (SaveState(name="camp"),)}
    play(
        tmp_path, events=[Command("save", 2.0, str(path))], director=Play(effects), frames=60
    ).loop.run()
    assert read_session(path).named[0].overlays.begun == ((DARK, 20),)
    _strip(path)
    saved = read_session(path)
    assert saved.overlays == saved.named[0].overlays == NOTHING
    assert saved.named[0].name == "camp"


def _strip(path: Path) -> None:
    """The file as it was written when it did not hold overlays."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(parts["session.json"])
    for entry in (about, *about["named"]):
        del entry["overlays"]
    parts["session.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in parts.items():
            archive.writestr(name, body)


def test_a_scene_that_goes_back_to_the_dark_is_dark_and_says_nothing_twice(tmp_path):
    camp, words = SaveState(name="camp"), Caption(text="here we sleep", frames=8)
    effects = {5: (DARK,), 6: (camp, words), 8: (LIGHT,), 10: (LoadState(name="camp"),)}
    run = play(tmp_path, director=Play(effects), frames=60)
    run.loop.run()
    again = run.window.frames.index(24, 30)
    assert all(dark(run.window.shown[again:]))
    assert not run.window.shown[again - 1].overlays, "it was light before"


def test_chunks_on_the_disk_know_what_lay_over_them(tmp_path):
    world = NullWorld(chunk_frames=4)
    maker = ChunkMaker(world, Play({2: (DARK,), 3: (TitleCard(text="night", frames=5),)}))
    maker.jump(Place(state=world.start(seed=0)))
    store = RewindStore(world, RewindConfig(memory_seconds=0.4, folder=tmp_path))
    nothing = InputWindow(requested=world.info.spec.zeros(4))
    made = [maker.begin(nothing, typed_prompt=None, now=0.0).finish() for _ in range(9)]
    for chunk in made:
        store.remember(chunk)
    store.settle()
    for serial in (1, 2, 3, 4, 5):
        again = store.at(serial)
        assert again is not None
        assert again.overlays == made[serial].overlays
        assert again.overlays_before == made[serial].overlays_before
    assert made[2].overlays_before == NOTHING and made[8].overlays.begun == ((DARK, 8),)
    store.close()


def test_a_track_comes_back_from_json():
    words = Caption(text="b", frames=9, style="whisper")
    effects = (DARK, TitleCard(text="a", frames=3), words, PlaySound(file="x.ogg"))
    track = OverlayTrack().begin_all(effects, 7)
    assert OverlayTrack.from_json(json.loads(json.dumps(track.to_json()))) == track
    assert [e for e, _ in track.living(10).begun] == [DARK, words]
    assert track.lasting().begun == ((DARK, 7),)
