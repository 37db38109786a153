"""Scripts and replays: what is written is what the mapper asks for, frame by frame."""

import numpy as np
import pytest

from engine import timed_text
from engine.input.bindings import bindings_from
from engine.input.events import FrameAction
from engine.input.mapper import InputMapper
from engine.input.scripted import ScriptedInput, parse_script
from helios_core.actions import WALK_SPEC


def played(source: ScriptedInput, frames: int, chunk: int = 4) -> np.ndarray:
    """[frames, A] through a mapper."""
    mapper = InputMapper(WALK_SPEC, bindings_from(WALK_SPEC), fps=20)
    rows = []
    for first in range(0, frames, chunk):
        mapper.feed(source.poll(first / 20))
        rows.append(mapper.window(first / 20, chunk, first).requested)
    return np.concatenate(rows)[:frames]


def test_the_text_form(tmp_path):
    path = tmp_path / "walk.txt"
    path.write_text("# a walk\n0-23: move_forward; 24-47: look_yaw=-60, run\n48: jump  # once\n")
    source = ScriptedInput.read(path, WALK_SPEC)
    assert source.frames == 49
    expected = WALK_SPEC.zeros(52)
    expected[:24, 0] = 1
    expected[24:48, 2] = -60
    expected[24:48, 5] = 1
    expected[48, 4] = 1
    np.testing.assert_array_equal(played(source, 52), expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n0-23 move_forward", "a.txt:2: '0-23 move_forward': write FRAME:"),
        ("0-2: jmp", "a.txt:1: no channel 'jmp' in this action spec; did you mean 'jump'"),
        ("3-1: jump", "the last frame 1 comes before the first 3"),
        ("0: look_yaw=900", "look_yaw ranges from -240 to 240"),
        ("0: look_yaw=nan", "look_yaw ranges from"),
        ("0: look_yaw=left", "'left' is not a number"),
        ("0: jump=0.5", "jump is a button"),
        ("0:", "no channel is named; this world has move_forward"),
        ("0-9: jump; 5: jump", "a.txt: frame 5 sets jump twice"),
        ("0-99999999: jump", "at most 1000000 frames"),
    ],
)
def test_a_mistake_names_file_line_and_remedy(text, message):
    with pytest.raises(ValueError) as error:
        parse_script(text, WALK_SPEC, name="a.txt")
    assert message in str(error.value)


def test_a_replayed_track_comes_back_exactly():
    rng = np.random.default_rng(3)
    track = WALK_SPEC.zeros(120)
    track[:, 0] = rng.uniform(-1, 1, 120).repeat(1)
    track[:, 2] = rng.uniform(-240, 240, 12).repeat(10)
    track[40:44, 4] = 1
    np.testing.assert_array_equal(played(ScriptedInput.replay(WALK_SPEC, track), 120), track)
    np.testing.assert_array_equal(played(ScriptedInput.replay(WALK_SPEC, track), 120, 33), track)


def test_a_source_says_everything_once():
    source = ScriptedInput([FrameAction("jump", 1.0, 3, 2)])
    assert len(source.poll(0.0)) == 1
    assert source.poll(1.0) == []
    assert ScriptedInput.replay(WALK_SPEC, WALK_SPEC.zeros(8)).actions == ()


def test_a_part_knows_where_it_stands():
    text = "# a walk\n0-23: run ; 24-47:\n  +2s: look_yaw=-60,jump # turn\n"
    one, two, three = timed_text.parts(text)
    assert [part.line for part in (one, two, three)] == [2, 2, 3]
    assert all(text[p.offset :].startswith(p.text) for p in (one, two, three))
    assert one.bounds == timed_text.Bounds(start="0", stop="23") and two.held == ()
    assert three.bounds == timed_text.Bounds(length="2s")
    assert three.held == (("look_yaw", "-60"), ("jump", None))
