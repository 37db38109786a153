"""The null world: exact, pure, and it draws what it was told."""

import numpy as np
import pytest

from helios_core.null_world import NullWorld

WORLD = NullWorld(height=96, width=160)
SPEC = WORLD.info.spec


def test_the_same_state_and_inputs_give_the_same_picture() -> None:
    state = WORLD.start(seed=3, prompt="a meadow")
    actions = SPEC.build(4, move_forward=1, look_yaw=30)
    one, two = WORLD.advance(state, actions), WORLD.advance(state, actions)
    assert one[0] == two[0]
    assert np.array_equal(one[1], two[1])


@pytest.mark.parametrize("name", SPEC.names)
def test_every_channel_is_drawn(name: str) -> None:
    state = WORLD.start(seed=3)
    still = WORLD.advance(state, SPEC.zeros(4))[1]
    moved = WORLD.advance(state, SPEC.build(4, **{name: SPEC.channels[SPEC.index(name)].high}))[1]
    assert not np.array_equal(still, moved)


def test_the_null_action_is_not_standing_still_on_a_push() -> None:
    state = WORLD.start(seed=3)
    pushed = WORLD.advance(state, SPEC.build(4, strafe=1))[1]
    assert not np.array_equal(WORLD.advance(state, None)[1], pushed)


def test_a_saved_state_goes_on_alike() -> None:
    state, _ = WORLD.advance(WORLD.start(seed=1), SPEC.build(4, strafe=-1), "snow falls")
    again = WORLD.load_state(WORLD.save_state(state))
    assert again == state
    assert np.array_equal(WORLD.advance(again, None)[1], WORLD.advance(state, None)[1])


def test_a_state_of_another_world_is_refused() -> None:
    blob = NullWorld(height=64, width=64).save_state(WORLD.start(seed=1))
    with pytest.raises(ValueError, match="another pack"):
        WORLD.load_state(blob)


def test_a_batch_is_what_its_members_are() -> None:
    states = [WORLD.start(seed=s, prompt=str(s)) for s in range(3)]
    actions = [SPEC.build(4, look_yaw=10.0 * s) for s in range(3)]
    after, chunks = WORLD.generate_batch(states, actions, [None] * 3)
    frames = WORLD.decode_batch(after, chunks)
    alone = [WORLD.advance(s, a) for s, a in zip(states, actions, strict=True)]
    assert after == [state for state, _ in alone]
    assert np.array_equal(frames, np.stack([picture for _, picture in alone]))


def test_a_chunk_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="4 frames"):
        WORLD.generate(WORLD.start(seed=1), SPEC.zeros(5))
