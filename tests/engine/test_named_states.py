"""What a scene saved by name is in a session file: a loaded session goes back to it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.director import Cut, LatchContext, LatchPlan, LoadState, PassThrough, SaveState
from engine.input.events import Command, InputWindow, KeyEvent
from engine.maker import ChunkMaker, Named, Place
from engine.named_states import pack_moments, unpack_moments
from engine.opening import OpeningConfig, open_play
from engine.rewind import RewindConfig, RewindStore
from engine.session_file import InputHistory, SavedSession, read_session, write_session
from helios_core.null_world import NullWorld
from tests.engine.playing import play


class Camping(PassThrough):
    """Saves the fifth chunk by name and goes back to it before the twelfth, once."""

    def __init__(self) -> None:
        self.known: list[bool] = []
        self.returned = False

    def latch(self, ctx: LatchContext) -> LatchPlan:
        self.known.append("camp" in ctx.saved)
        effects = (SaveState(name="camp"),) if ctx.chunk == 5 else ()
        if ctx.chunk == 12 and "camp" in ctx.saved and not self.returned:
            self.returned, effects = True, (LoadState(name="camp"),)
        return LatchPlan(applied=ctx.requested, effects=effects)


def jumps(frames: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in pairwise(frames) if b != a + 1]


def test_a_loaded_session_knows_the_names_that_the_scene_had_saved(tmp_path):
    path = tmp_path / "s.helios"
    first = play(tmp_path, events=[Command("save", 1.61, str(path))], frames=36, director=Camping())
    first.loop.run()
    assert [moment.name for moment in read_session(path).named] == ["camp"]
    later = [Command("load", 0.31, str(path))]  # from another process, which knows no names
    again = play(tmp_path, events=later, frames=60, director=Camping())
    again.loop.run()
    assert (12 * 4 - 1, 5 * 4) in jumps(again.window.frames)


def test_a_session_keeps_only_what_was_saved_by_the_chunk_on_the_screen(tmp_path):
    path = tmp_path / "s.helios"
    run = play(tmp_path, events=[Command("save", 1.03, str(path))], frames=36, director=Camping())
    run.loop.run()
    saved = read_session(path)
    assert run.world.load_state(saved.state).chunk == 5, "the sixth chunk was in the making"
    assert saved.named == ()


def test_a_chunk_that_is_rewound_to_from_the_disk_knows_the_names(tmp_path):
    """F5 while Backspace is held keeps what the scene had saved, however far back."""
    world = NullWorld(chunk_frames=4)
    maker = ChunkMaker(world, Camping())
    maker.jump(Place(state=world.start(seed=0)))
    store = RewindStore(world, RewindConfig(memory_seconds=0.4, folder=tmp_path))
    nothing = InputWindow(requested=world.info.spec.zeros(4))
    for _ in range(11):
        chunk = maker.begin(nothing, typed_prompt=None, now=0.0).finish()
        store.remember(chunk)
    store.settle()
    again = store.at(7)
    assert again is not None and again.index == 7, "of eleven, two are in memory"
    assert again.named == chunk.named and set(again.named) == {"camp"}
    assert again.named_before == again.named
    store.close()


CAMP = """
title: A camp
pack: "null"
prompts: {meadow: a meadow at noon}
timeline: [{at: 0.5s, save: camp}]
triggers: [{when: tapped(jump), load: camp}]
"""


def test_a_scene_resumed_from_a_file_goes_back_to_what_it_saved(tmp_path):
    scene, path = tmp_path / "camp.yaml", tmp_path / "s.helios"
    scene.write_text(CAMP)
    opening = open_play(OpeningConfig(what=str(scene)))
    maker = ChunkMaker(opening.world, opening.director)
    maker.jump(opening.place)
    for _ in range(6):
        window = opening.mapper.window(0.0, 4, maker.first_frame)
        chunk = maker.begin(window, typed_prompt=None, now=0.0).finish()
    assert set(chunk.named) == {"camp"}
    write_session(path, session_of(opening.world, chunk, scene))
    resumed = open_play(OpeningConfig(what=str(path)))
    assert resumed.place.named is not None
    assert resumed.place.named["camp"].place.state.chunk == chunk.named["camp"].place.state.chunk
    fresh = open_play(OpeningConfig(what=str(scene)))
    assert not fresh.place.named


def session_of(world, chunk, scene) -> SavedSession:
    nothing = np.zeros((0, 4, world.info.spec.size), np.float32)
    return SavedSession(
        pack=world.info.name, pack_hash=world.info.pack_hash, spec=world.info.spec,
        state=world.save_state(chunk.state_after), director=chunk.director_after,
        history=InputHistory(
            chunk=np.zeros(0, np.int64), latch_time=np.zeros(0), requested=nothing, applied=nothing
        ),
        thumbnail=b"", scene=str(scene), source={}, named=pack_moments(world, chunk.named),
    )  # fmt: skip


def test_a_reset_begins_without_them(tmp_path):
    director = Camping()
    run = play(tmp_path, events=[Command("reset", 1.61)], frames=48, director=director)
    run.loop.run()
    assert director.known[6] and not director.known[-1]


class Checkpoints(PassThrough):
    """Saves every fifth chunk under one name; a jump goes back to it."""

    def latch(self, ctx: LatchContext) -> LatchPlan:
        effects = (SaveState(name="camp"),) if ctx.chunk and ctx.chunk % 5 == 0 else ()
        if "jump" in ctx.tapped:
            effects = (LoadState(name="camp"),)
        return LatchPlan(applied=ctx.requested, effects=effects)


def test_a_rewind_takes_back_what_was_saved_since(tmp_path):
    rewind = [Command("rewind_start", 3.3), Command("rewind_stop", 4.3)]
    jump = [KeyEvent("space", True, 4.5), KeyEvent("space", False, 4.6)]
    run = play(tmp_path, events=[*rewind, *jump], frames=120, director=Checkpoints())
    run.loop.run()
    ahead = [(a, b) for a, b in jumps(run.window.frames) if abs(a - b) > 4]
    assert ahead == [(27, 5 * 4)], "not ahead to the 15th chunk, which was taken back"


def test_a_moment_survives_the_file_as_it_was():
    world = NullWorld()
    state = world.start(seed=3, prompt="a camp")
    plan = LatchPlan(
        applied=np.ones((4, world.info.spec.size)) * 0.5, prompt="rain", crossfade=3,
        reanchor=True, cut=Cut(keep_last=2),
    )  # fmt: skip
    place = Place(state=state, director={"flags": ["lit"]})
    path = Path("s.helios")
    [saved] = pack_moments(world, {"camp": Named(place=place, plan=plan, memory={"at": 1})})
    back = unpack_moments(world, [saved], path)["camp"]
    assert back.memory == {"at": 1} and back.place.director == {"flags": ["lit"]}
    assert world.save_state(back.place.state) == world.save_state(state)
    assert np.array_equal(back.plan.applied, plan.applied)
    assert (back.plan.prompt, back.plan.crossfade, back.plan.reanchor, back.plan.cut) == (
        "rain", 3, True, Cut(keep_last=2),
    )  # fmt: skip
    broken = replace(saved, plan={"cut": {"keep": 1}})
    with pytest.raises(ValueError, match=r"s\.helios: not a whole session file"):
        unpack_moments(world, [broken], path)
