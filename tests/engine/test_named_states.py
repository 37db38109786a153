"""What a scene saved by name is in a session file: a loaded session goes back to it."""

from itertools import pairwise

import numpy as np

from engine.director import Cut, LatchContext, LatchPlan, LoadState, PassThrough, SaveState
from engine.input.events import Command
from engine.maker import Named, Place
from engine.named_states import pack_moments, unpack_moments
from engine.session_file import read_session
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
    again = play(tmp_path, resume=path, frames=60, director=Camping())
    again.loop.run()
    assert again.session._maker.named.keys() == {"camp"}
    assert jumps(again.window.frames) == [(12 * 4 - 1, 5 * 4)]


def test_a_reset_begins_without_them(tmp_path):
    director = Camping()
    run = play(tmp_path, events=[Command("reset", 1.61)], frames=48, director=director)
    run.loop.run()
    assert director.known[6] and not director.known[-1]


def test_a_moment_survives_the_file_as_it_was():
    world = NullWorld()
    state = world.start(seed=3, prompt="a camp")
    plan = LatchPlan(
        applied=np.ones((4, world.info.spec.size)) * 0.5, prompt="rain", crossfade=3,
        reanchor=True, cut=Cut(keep_last=2),
    )  # fmt: skip
    place = Place(state=state, director={"flags": ["lit"]})
    [saved] = pack_moments(world, {"camp": Named(place=place, plan=plan, memory={"at": 1})})
    back = unpack_moments(world, [saved])["camp"]
    assert back.memory == {"at": 1} and back.place.director == {"flags": ["lit"]}
    assert world.save_state(back.place.state) == world.save_state(state)
    assert np.array_equal(back.plan.applied, plan.applied)
    assert (back.plan.prompt, back.plan.crossfade, back.plan.reanchor, back.plan.cut) == (
        "rain", 3, True, Cut(keep_last=2),
    )  # fmt: skip
