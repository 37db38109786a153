"""Standing still: the moment is kept while nothing is asked, and any action or text ends it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helios_core.packs import manifest as manifests
from helios_core.packs.builtin import random_manifest
from helios_core.prompts import PromptTrack
from helios_core.state import WorldState
from helios_core.stillness import Rest, Stillness, acted, settled, told
from helios_core.world import WorldModel
from tests.helios_core.test_world import make_world, same, walk

HOW = Stillness(give=0.5, settle=0, goes_on={"jump": 2}, told=3)


@pytest.fixture(scope="module")
def world() -> WorldModel:
    return make_world(stillness=HOW)


def zeros(world: WorldModel) -> np.ndarray:
    return world.info.spec.zeros(world.info.chunk_frames)


def stand(world: WorldModel, state: WorldState, chunks: int) -> WorldState:
    for _ in range(chunks):
        state, _ = world.generate(state, zeros(world))
    return state


def walked(world: WorldModel, chunks: int = 6) -> WorldState:
    state = world.start(seed=3, prompt="a meadow")
    for i in range(chunks):
        state, _ = world.generate(state, walk(world, turn=10.0 * i))
    return state


def apart(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one - two).abs().mean())


def test_a_world_that_nothing_is_asked_of_keeps_its_moment(world):
    free = make_world()
    state = walked(world)
    moment = state.groups[-1]
    held, drifted = stand(world, state, 30), stand(free, walked(free), 30)
    assert held.rest.moment is moment
    assert 0 < apart(held.groups[-1], moment) < 0.6 * apart(drifted.groups[-1], moment)


def test_an_action_ends_the_rest_and_the_chunk_is_the_model_s_own(world):
    free = make_world()
    state = stand(world, walked(world), 4)
    moved, latents = world.generate(state, walk(world))
    _, own = free.generate(state, walk(free))
    assert torch.equal(latents, own) and moved.rest.moment is None
    again = stand(world, moved, 1)
    assert again.rest.moment is moved.groups[-1]


def test_a_jump_goes_on_after_its_key(world):
    spec, state = world.info.spec, walked(world)
    jump = spec.build(world.info.chunk_frames, jump=1)
    assert acted(HOW, spec, jump) == 3 and acted(HOW, spec, walk(world)) == 1
    assert acted(HOW, spec, zeros(world)) == 0 and acted(HOW, spec, None) == 1
    state, _ = world.generate(state, jump)
    rests = [(state := stand(world, state, 1)).rest.moment is not None for _ in range(3)]
    assert rests == [False, False, True]


def test_what_moves_comes_to_rest_before_it_is_kept(world):
    slow = make_world(stillness=replace(HOW, settle=2))
    state = walked(slow)
    rests = [(state := stand(slow, state, 1)).rest.moment is not None for _ in range(3)]
    assert rests == [False, False, True]
    frames = np.zeros((12, slow.info.height, slow.info.width, 3), np.uint8)
    assert slow.start(seed=1, clip=frames).rest.busy == 2
    assert slow.start(seed=1, image=frames[0]).rest.busy == 0


def test_a_typed_text_is_given_its_time(world):
    state = stand(world, walked(world), 2)
    state, _ = world.generate(state, zeros(world), "snow falls", crossfade=2)
    busy = [state.rest.moment is None]
    for _ in range(5):
        state = stand(world, state, 1)
        busy.append(state.rest.moment is None)
    assert busy == [*(True, True), *(True, True, True), False]  # the crossfade, then `told`


def test_a_text_that_stays_asks_for_nothing():
    track = PromptTrack.hard("a")
    assert told(HOW, track, track.advance()) == 0
    assert told(HOW, track, track.switch("b", chunks=1).advance()) == 4


def test_a_world_from_nothing_paints_before_it_rests(world):
    state = world.start(seed=3, prompt="a meadow")
    rests = [(state := stand(world, state, 1)).rest.moment is not None for _ in range(5)]
    assert rests == [*(False, False, False, False), True]


def test_a_picture_that_is_no_whole_chunk_is_no_moment():
    long = make_world(stillness=HOW, chunk_latents=3)
    picture = np.full((long.info.height, long.info.width, 3), 200, np.uint8)
    state = stand(long, long.start(seed=3, image=picture), 1)
    assert state.rest.moment is None, "two of its three latents would be empty"
    first = state.groups[-1]
    assert stand(long, state, 1).rest.moment is first


def test_a_pack_without_it_keeps_nothing(world):
    state = stand(make_world(), walked(make_world()), 3)
    assert state.rest.moment is None and state.rest.busy == 0


def test_rest_is_saved_and_worlds_in_one_batch_rest_apart(world):
    resting, moving = stand(world, walked(world), 3), walked(world)
    loaded = world.load_state(world.save_state(resting))
    after, _ = world.generate(resting, zeros(world))
    again, _ = world.generate(loaded, zeros(world))
    assert same(after, again) and torch.equal(after.rest.moment, again.rest.moment)
    pair, _ = world.generate_batch([resting, moving], [zeros(world), walk(world)], [None, None])
    assert pair[0].rest.moment is resting.rest.moment and pair[1].rest.moment is None


def test_a_cut_begins_anew(world):
    assert world.cut(stand(world, walked(world), 3), keep_last=1).rest.moment is None


def test_what_is_drawn_back_keeps_its_share():
    before, made = torch.zeros(1, 2, 1, 3, 4), torch.ones(1, 2, 1, 3, 4)
    rest, latents = settled(HOW, Rest(busy=1), before, made, busy=0)
    assert rest.busy == 0 and torch.equal(latents, made)
    rest, latents = settled(HOW, rest, before, made, busy=0)
    assert rest.moment is before and torch.equal(latents, 0.5 * made)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"give": 1.5}, "share of 0 to 1"), ({"told": -1}, "0 chunks"), ({"settle": -1}, "0 chunks")],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        Stillness(**change)


def test_a_manifest_names_channels_and_hashes_what_it_generates():
    with pytest.raises(ValueError, match="'fly'"):
        random_manifest(stillness=Stillness(goes_on={"fly": 1}))
    plain, still = random_manifest(), random_manifest(stillness=HOW)
    assert plain.hash({}) != still.hash({})
    assert still.hash({}) != replace(still, stillness=replace(HOW, give=0.4)).hash({})


def test_a_manifest_with_it_comes_back(tmp_path):
    manifest = random_manifest(stillness=HOW)
    manifests.write(manifest, tmp_path)
    assert manifests.read(tmp_path) == manifest
