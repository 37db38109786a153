"""The prompt track: crossfades move from the first chunk on and stay bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_core.prompts import MAX_TEXTS, PromptTrack


def test_a_crossfade_moves_in_its_first_chunk_and_ends_on_time() -> None:
    track = PromptTrack.hard("day").switch("night", chunks=4)
    weights = []
    for _ in range(5):
        track = track.advance()
        weights.append(track.weight)
    assert weights == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert track.blend == (("night", 1.0),)


def test_a_new_prompt_starts_from_the_current_blend() -> None:
    track = PromptTrack.hard("a").switch("b", chunks=4).advance().advance()
    track = track.switch("c", chunks=2)
    assert dict(track.blend) == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert dict(track.advance().blend) == {"a": 0.25, "b": 0.25, "c": 0.5}


def test_switching_back_keeps_one_entry_per_text() -> None:
    track = PromptTrack.hard("a").switch("b", chunks=4).advance().switch("a", chunks=4)
    texts = [text for text, _ in track.advance().blend]
    assert sorted(texts) == ["a", "b"]


def test_one_chunk_is_a_hard_switch() -> None:
    assert PromptTrack.hard("a").switch("b", chunks=1).advance().blend == (("b", 1.0),)


def test_a_crossfade_of_no_chunks_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 chunk"):
        PromptTrack.hard("a").switch("b", chunks=0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=60))
def test_the_blend_is_a_bounded_average(switches: list[tuple[int, int]]) -> None:
    track = PromptTrack.hard("start")
    for text, chunks in switches:
        track = track.switch(str(text), chunks=chunks).advance()
        blend = track.blend
        assert sum(weight for _, weight in blend) == pytest.approx(1.0)
        assert len(blend) <= MAX_TEXTS + 1
