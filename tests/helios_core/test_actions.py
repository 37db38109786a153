"""Action specs and tracks: ranges, names, round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_core.actions import WALK_SPEC, ActionSpec, ActionTrack, Channel

NAMES = st.text("abcdefgh_", min_size=1, max_size=8).filter(str.isidentifier)


@st.composite
def specs(draw: st.DrawFn) -> ActionSpec:
    channels = []
    for name in draw(st.lists(NAMES, max_size=6, unique=True)):
        if draw(st.booleans()):
            channels.append(Channel(name=name, kind="button"))
        else:
            low = draw(st.floats(-500, 0))
            high = low + draw(st.floats(0.5, 500))
            channels.append(Channel(name=name, kind="axis", low=low, high=high, unit="deg/s"))
    return ActionSpec(channels=tuple(channels))


@given(specs())
def test_a_spec_survives_its_dictionary(spec: ActionSpec) -> None:
    assert ActionSpec.from_dict(spec.to_dict()) == spec


@given(specs(), st.integers(1, 5), st.floats(-1e4, 1e4))
def test_clipped_values_are_valid(spec: ActionSpec, frames: int, value: float) -> None:
    values = np.full((frames, spec.size), value, np.float32)
    spec.validate(spec.clip(values))


def test_a_value_out_of_range_names_frame_and_channel() -> None:
    values = WALK_SPEC.zeros(3)
    values[1, WALK_SPEC.index("strafe")] = 1.5
    with pytest.raises(ValueError, match=r"frame 1: strafe = 1.5 is outside \[-1, 1\]"):
        WALK_SPEC.validate(values)


def test_nan_is_no_action() -> None:
    values = WALK_SPEC.zeros(1)
    values[0, 0] = np.nan
    with pytest.raises(ValueError, match="frame 0: move_forward"):
        WALK_SPEC.validate(values)


def test_an_unknown_channel_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'look_yaw'"):
        WALK_SPEC.index("look_jaw")


def test_unknown_keys_of_a_channel_are_errors() -> None:
    with pytest.raises(ValueError, match="unknown keys"):
        ActionSpec.from_dict([{"name": "jump", "kind": "button", "key": "space"}])


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "Jump", "kind": "button"},
        {"name": "jump", "kind": "lever"},
        {"name": "jump", "kind": "button", "high": 2.0},
        {"name": "turn", "kind": "axis", "low": 1.0, "high": 1.0},
    ],
)
def test_a_bad_channel_is_refused(bad: dict) -> None:
    with pytest.raises(ValueError):
        Channel(**bad)


def test_a_track_is_read_only_and_slices() -> None:
    track = ActionTrack(spec=WALK_SPEC, values=WALK_SPEC.build(6, move_forward=1))
    assert len(track[2:5]) == 3
    with pytest.raises(ValueError):
        track.values[0, 0] = 0.5
