"""Events become actions: held, tapped, turned; nothing lost, nothing doubled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.input.bindings import bindings_from
from engine.input.events import (
    FocusLost,
    FrameAction,
    KeyEvent,
    MouseButton,
    MouseMotion,
    PadAxis,
    PadButton,
    PadChanged,
    Wheel,
)
from engine.input.mapper import InputMapper
from helios_core.actions import WALK_SPEC, ActionSpec, Channel

FPS, F = 20, 4
JUMP, YAW, PITCH = WALK_SPEC.index("jump"), WALK_SPEC.index("look_yaw"), 3


def mapper(**layer) -> InputMapper:
    return InputMapper(WALK_SPEC, bindings_from(WALK_SPEC, user=layer), fps=FPS)


def key(name: str, *times: float) -> list[KeyEvent]:
    """Presses and releases in turn."""
    return [KeyEvent(name, i % 2 == 0, t) for i, t in enumerate(times)]


def column(m: InputMapper, name: str, t: float, first_frame: int = 0) -> list[float]:
    return m.window(t, F, first_frame).requested[:, WALK_SPEC.index(name)].tolist()


def test_what_is_held_at_the_latch_holds_for_the_whole_window():
    m = mapper()
    m.feed(key("w", 0.19))
    assert column(m, "move_forward", 0.2) == [1, 1, 1, 1]
    assert column(m, "move_forward", 0.4) == [1, 1, 1, 1]
    m.feed(key("s", 0.45))
    assert column(m, "move_forward", 0.6) == [0, 0, 0, 0], "opposite keys cancel"


def test_a_tap_between_two_latches_becomes_a_pulse_of_its_length():
    m = mapper()
    m.feed(key("space", 0.05, 0.06))
    window = m.window(0.2, F, 0)
    assert window.requested[:, JUMP].tolist() == [1, 0, 0, 0]
    assert {"space", "jump"} <= window.tapped
    assert not window.pressed
    m.feed(key("space", 0.21, 0.32))
    assert column(m, "jump", 0.4) == [1, 1, 0, 0]
    assert not m.window(0.6, F, 8).tapped


def test_letting_go_and_pressing_again_shows_a_gap():
    m = mapper()
    m.feed(key("space", 0.1))
    assert column(m, "jump", 0.2) == [1, 1, 1, 1]
    m.feed([KeyEvent("space", False, 0.21), KeyEvent("space", True, 0.22)])
    assert column(m, "jump", 0.4) == [0, 1, 1, 1]


def test_an_event_after_the_latch_waits_for_the_next_window():
    m = mapper()
    m.feed(key("w", 0.25))
    assert column(m, "move_forward", 0.2) == [0, 0, 0, 0]
    assert column(m, "move_forward", 0.4) == [1, 1, 1, 1]


def test_mouse_counts_spread_over_the_window_in_degrees_per_second():
    m = mapper(tuning={"mouse_sensitivity": 0.5})
    m.feed([MouseMotion(4, -2, 0.1), MouseMotion(6, -2, 0.15)])
    window = m.window(0.2, F, 0).requested
    np.testing.assert_allclose(window[:, YAW], 5.0 / (F / FPS))
    np.testing.assert_allclose(window[:, PITCH], 2.0 / (F / FPS), err_msg="mouse up looks up")
    assert not m.window(0.4, F, 4).requested.any()


def test_a_turn_faster_than_the_channel_goes_on_for_one_window_at_most():
    m = mapper(tuning={"mouse_sensitivity": 1.0})
    m.feed([MouseMotion(60, 0, 0.1)])
    turned = [m.window(0.2 * i, F, 0).requested[:, YAW].sum() / FPS for i in range(1, 4)]
    assert turned == pytest.approx([48.0, 12.0, 0.0])
    m.feed([MouseMotion(5000, 0, 0.7)])
    turned = [m.window(0.2 * i, F, 0).requested[:, YAW].sum() / FPS for i in range(4, 8)]
    assert turned == pytest.approx([48.0, 48.0, 0.0, 0.0])


def test_inverted_look_turns_mouse_and_stick_and_leaves_keys_alone():
    m = mapper(tuning={"invert_look": True, "dead_zone": 0.0, "curve": 1.0})
    m.feed([MouseMotion(0, -10, 0.1)])
    assert m.window(0.2, F, 0).requested[0, PITCH] < 0
    m.feed([PadAxis(0, "right_y", 1.0, 0.3)])
    assert m.window(0.4, F, 4).requested[0, PITCH] < 0
    m.feed([PadAxis(0, "right_y", 0.0, 0.45), *key("up", 0.5)])
    assert m.window(0.6, F, 8).requested[0, PITCH] > 0


def test_a_stick_stays_analog_beyond_its_round_dead_zone():
    m = mapper(tuning={"dead_zone": 0.2, "curve": 2.0})
    m.feed([PadAxis(0, "left_y", 0.6, 0.1)])
    assert column(m, "move_forward", 0.2) == pytest.approx([0.25] * F)
    m.feed([PadAxis(0, "left_y", 0.15, 0.3), PadAxis(0, "left_x", 0.1, 0.3)])
    assert column(m, "move_forward", 0.4) == [0] * F, "0.18 from the centre is rest"


def test_a_flick_of_the_stick_between_two_latches_is_seen():
    m = mapper(tuning={"dead_zone": 0.0, "curve": 1.0})
    m.feed([PadAxis(0, "left_y", 0.8, 0.1), PadAxis(0, "left_y", 0.0, 0.15)])
    assert column(m, "move_forward", 0.2) == pytest.approx([0.8, 0, 0, 0])
    assert column(m, "move_forward", 0.4) == [0] * F


def test_two_devices_take_the_stronger_pull_and_do_not_add_up():
    m = mapper(tuning={"dead_zone": 0.0, "curve": 1.0})
    m.feed([PadAxis(0, "left_y", 0.5, 0.1), PadAxis(1, "left_y", 0.25, 0.1)])
    assert column(m, "move_forward", 0.2) == pytest.approx([0.5] * F)
    m.feed(key("w", 0.3))
    assert column(m, "move_forward", 0.4) == [1] * F
    m.feed([PadAxis(0, "left_y", -0.5, 0.5)])
    assert column(m, "move_forward", 0.6) == pytest.approx([0.5] * F)


def test_a_trigger_is_analog_on_an_axis_and_down_beyond_its_threshold_on_a_button():
    m = mapper(channels={"strafe": ["pad.right_trigger"]})
    m.feed([PadAxis(0, "right_trigger", 0.2, 0.1), PadAxis(0, "left_trigger", 0.2, 0.1)])
    window = m.window(0.2, F, 0).requested
    assert window[0, 1] == pytest.approx(1 / 9), "a tenth beyond its rest"
    assert window[0, WALK_SPEC.index("run")] == 0
    m.feed([PadAxis(0, "left_trigger", 0.4, 0.3)])
    assert column(m, "run", 0.4) == [1] * F


def test_a_worn_trigger_at_rest_presses_nothing():
    m = mapper(channels={"strafe": ["pad.right_trigger"]})
    m.feed([PadAxis(0, "right_trigger", 0.08, 0.1)])
    window = m.window(0.2, F, 0)
    assert not window.requested.any() and not window.pressed and window.idle_frames == F
    m.feed([PadAxis(0, "right_trigger", 1.0, 0.3)])
    assert column(m, "strafe", 0.4) == [1] * F


@pytest.mark.parametrize("event", [FocusLost(0.3), PadChanged(7, "pad", False, 0.3)])
def test_losing_the_focus_or_the_pad_releases_what_it_held(event):
    m = mapper()
    m.feed([PadButton(7, "a", True, 0.1), PadAxis(7, "left_x", 1.0, 0.1), *key("w", 0.1)])
    assert column(m, "strafe", 0.2) == [1] * F
    m.feed([event])
    window = m.window(0.4, F, 4)
    assert window.requested[:, 1].tolist() == [0] * F
    assert window.requested[:, JUMP].tolist() == [0] * F
    assert ("w" in window.pressed) == isinstance(event, PadChanged), "the keyboard kept its focus"
    m.feed([PadButton(8, "a", True, 0.5)])
    assert column(m, "jump", 0.6) == [1] * F, "another pad takes over"


def test_unplugged_pads_leave_nothing_behind():
    m = mapper()
    for pad in range(50):
        m.feed([PadChanged(pad, "x", True, pad), PadAxis(pad, "left_x", 1.0, pad)])
        m.feed([PadButton(pad, "a", True, pad), PadChanged(pad, "x", False, pad)])
    for i in range(3):
        m.window(100.0 + i, F, 0)
    assert not m._signals._keys
    assert not m._signals._sticks


def test_the_wheel_presses_once_per_notch():
    m = mapper(channels={"jump": ["mouse.wheel_up"]})
    m.feed([Wheel(2, 0.1), Wheel(-1, 0.1)])
    assert column(m, "jump", 0.2) == [1, 0, 1, 0]


def test_motion_cannot_drive_a_button():
    with pytest.raises(ValueError, match=r"jump is a button and mouse\.x is motion"):
        mapper(channels={"jump": ["mouse.x"]})


def test_idle_frames_count_from_the_last_touch():
    m = mapper()
    assert m.window(0.2, F, 0).idle_frames == F
    assert m.window(0.4, F, 0).idle_frames == 2 * F
    m.feed([MouseMotion(1, 0, 0.5)])
    assert m.window(0.6, F, 0).idle_frames == 0
    m.feed([MouseButton("right", True, 0.7)])
    assert m.window(0.8, F, 0).idle_frames == 0
    assert m.window(1.0, F, 0).idle_frames == 0, "still held"


def test_a_resting_sticks_jitter_is_no_touch_but_a_flick_is():
    m = mapper()
    for i, value in enumerate((0.05, -0.1, 0.08)):
        m.feed([PadAxis(0, "left_x", value, 0.2 * i)])
        assert m.window(0.2 * i + 0.1, F, 0).idle_frames == (i + 1) * F
    m.feed([PadAxis(0, "left_x", 0.9, 0.6), PadAxis(0, "left_x", 0.0, 0.62)])
    assert m.window(0.7, F, 0).idle_frames == 0
    assert m.window(0.9, F, 0).idle_frames == F
    m.feed([PadAxis(0, "left_trigger", 1.0, 1.0), PadAxis(0, "left_trigger", 0.0, 1.01)])
    assert m.window(1.1, F, 0).idle_frames == 0, "a trigger that came and went"


def test_after_a_pause_nothing_stale_is_replayed():
    m = mapper()
    m.feed([*key("w", 0.1, 0.15), MouseMotion(500, 0, 0.1), *key("space", 0.1, 0.12)])
    m.forget(0.2)
    assert not m.window(0.3, F, 0).requested.any()


def test_what_is_held_over_a_pause_or_a_rewind_goes_on_and_is_no_new_press():
    m = mapper()
    m.feed([*key("w", 0.1), PadAxis(0, "left_x", 1.0, 0.1), *key("e", 0.1)])
    m.window(0.2, F, 0)
    m.feed([KeyEvent("e", False, 0.25), KeyEvent("space", True, 0.25)])
    m.forget(0.3)
    after = m.window(0.4, F, 0)
    assert {"w", "space", "pad.left_x"} <= after.pressed and "e" not in after.pressed
    assert after.requested[:, 0].tolist() == [1] * F and not after.tapped
    m.feed([KeyEvent("w", False, 0.5), PadAxis(0, "left_x", 0.0, 0.5)])
    assert not m.window(0.6, F, 0).requested[:, :2].any()


def test_a_script_speaks_by_world_frame_and_merges_like_a_device():
    m = mapper()
    m.feed([FrameAction("move_forward", 0.5, 2, 4), FrameAction("look_yaw", -37.7, 6, 1)])
    assert column(m, "move_forward", 0.2, 0) == [0, 0, 0.5, 0.5]
    m.feed(key("w", 0.3))
    window = m.window(0.4, F, 4).requested
    assert window[:, 0].tolist() == [1, 1, 1, 1]
    assert window[:, YAW].tolist() == [0, 0, np.float32(-37.7), 0]
    m.feed([KeyEvent("w", False, 0.45)])
    m.forget(0.5)
    assert column(m, "move_forward", 0.6, 0) == [0, 0, 0.5, 0.5], "a rewind plays it again"


def test_a_world_without_actions_takes_events_and_asks_for_nothing():
    spec = ActionSpec()
    m = InputMapper(spec, bindings_from(spec), fps=FPS)
    m.feed(key("e", 0.1))
    window = m.window(0.2, F, 0)
    assert window.requested.shape == (F, 0)
    assert window.pressed == {"e"}


# ---- properties

gaps = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40)
latches = st.lists(st.floats(0.01, 1.5), min_size=1, max_size=20)


def _drive(m: InputMapper, events: list, latch_gaps: list[float], frames: int) -> np.ndarray:
    """All windows over latches so spaced, and enough more to drain what waits: [N, A]."""
    rows, t, fed = [], 0.0, 0
    for i in range(len(latch_gaps) + 60):
        t += latch_gaps[i] if i < len(latch_gaps) else 50.0
        arrived = [e for e in events[fed:] if e.t <= t + 0.3]
        m.feed(arrived)
        fed += len(arrived)
        rows.append(m.window(t, frames, 0).requested)
    return np.concatenate(rows)


@settings(max_examples=60, deadline=None)
@given(gaps=gaps, latch_gaps=latches, frames=st.integers(1, 33))
def test_every_press_is_one_rising_edge(gaps, latch_gaps, frames):
    events = key("space", *np.cumsum(gaps).tolist())
    rows = _drive(mapper(), events, latch_gaps, frames)
    values = np.concatenate([[0], rows[:, JUMP]])
    presses = (len(events) + 1) // 2
    assert int((np.diff(values) > 0).sum()) == presses
    assert values[-1] == len(events) % 2


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0.001, 0.3), st.integers(-3, 3)), max_size=40),
    latch_gaps=latches,
    frames=st.integers(1, 33),
)
def test_every_mouse_count_turns_once(steps, latch_gaps, frames):
    """Below the channel's speed the sum of the turns is the sum of the counts, exactly."""
    times = np.cumsum([gap for gap, _ in steps]).tolist()
    events = [MouseMotion(dx, 0, t) for t, (_, dx) in zip(times, steps, strict=True)]
    m = mapper(tuning={"mouse_sensitivity": 0.05})
    rows = _drive(m, events, latch_gaps, frames)
    total = sum(dx for _, dx in steps) * 0.05
    assert rows[:, YAW].sum() / FPS == pytest.approx(total, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from(["w", "a", "s", "d", "space", "left shift"]), max_size=30),
    cut=st.integers(0, 30),
)
def test_nothing_is_held_after_the_focus_is_lost(names, cut):
    m = mapper()
    events = [KeyEvent(n, True, 0.01 * (i + 1)) for i, n in enumerate(names)]
    m.feed([*events[:cut], FocusLost(5.0)])
    for i in range(3):
        window = m.window(6.0 + i, F, 0)
    assert not window.requested.any()
    assert not window.pressed


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-2, 2), min_size=1, max_size=10),
    low=st.floats(-300, -0.5),
    high=st.floats(0.5, 300),
)
def test_requests_stay_in_range_whatever_the_devices_say(values, low, high):
    spec = ActionSpec(channels=(Channel(name="strafe", kind="axis", low=low, high=high),))
    layer = {"channels": {"strafe": ["pad.left_x", "mouse.x", "d", "-a"]}}
    m = InputMapper(spec, bindings_from(spec, user=layer), fps=FPS)
    for i, value in enumerate(values):
        m.feed([PadAxis(0, "left_x", value, i), MouseMotion(value * 999, 0, i), *key("d", i)])
        spec.validate(m.window(float(i), F, 0).requested)
