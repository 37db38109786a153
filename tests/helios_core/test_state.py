"""Saved states: what is damaged or foreign is refused, what is saved comes back."""

import pytest
import torch

from helios_core import state as states
from helios_core.prompts import PromptTrack


def blank(**changes):
    sizes = {"shape": (2, 3, 4), "length": 2, "groups": 3}
    return states.blank(seed=7, prompt="a", **{**sizes, **changes})


def played(count: int = 2):
    state = blank()
    for i in range(count):
        latents = torch.full((1, 2, 2, 3, 4), float(i + 1))
        state = states.with_chunk(state, latents, PromptTrack.hard("b").switch("ç", chunks=3))
    return state


def test_a_blank_state_shares_one_tensor_of_zeros():
    state = blank()
    assert len({g.data_ptr() for g in state.groups}) == 1 and not state.groups[0].any()
    assert state.valid == 0 and not state.anchored


def test_frames_are_the_newest():
    assert played(2).frames(3)[0, 0, :, 0, 0].tolist() == [1, 2, 2]
    assert played(1).frames(4)[0, 0, :, 0, 0].tolist() == [0, 0, 1, 1]


def test_states_share_storage():
    one, two = played(1), played(1)
    after = states.with_chunk(one, torch.ones(1, 2, 2, 3, 4), one.prompt)
    assert after.groups[1] is one.groups[2] and one.same_history(one)
    assert not one.same_history(two) and not one.same_history(after)


def test_save_and_load_keep_every_bit():
    state = played(2)
    again = states.load(states.save(state, "pack"), "pack", blank())
    assert (again.chunk, again.seed, again.valid) == (2, 7, 4) and again.prompt == state.prompt
    assert all(torch.equal(a, b) for a, b in zip(state.groups, again.groups, strict=True))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda blob: b"", "header"),
        (lambda blob: b"nonsense, and more of it", "header"),
        (lambda blob: (10**6).to_bytes(8, "little") + b"[" * 10**6, "header"),
        (lambda blob: blob[:-8], "damaged"),
        (lambda blob: blob.replace(states.FORMAT.encode(), b"helios-state-9"), "format"),
        (lambda blob: blob.replace(b"anchored", b"encoared"), "damaged"),
    ],
)
def test_damaged_states_are_refused(damage, message):
    with pytest.raises(ValueError, match=message):
        states.load(damage(states.save(played(), "pack")), "pack", blank())


def test_states_of_another_pack_or_size_are_refused():
    blob = states.save(played(), "pack")
    with pytest.raises(ValueError, match="saved with the pack pack, not other"):
        states.load(blob, "other", blank())
    with pytest.raises(ValueError, match="shape"):
        states.load(blob, "pack", blank(groups=4))
