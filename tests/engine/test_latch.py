"""The latch formula, its margin, and the period of slow motion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.latch import LatchConfig, LatchTimer, quantile


def timer(**changes) -> LatchTimer:
    return LatchTimer(LatchConfig(**changes), chunk_seconds=0.2)


def test_the_latch_is_the_deadline_less_p95_and_margin():
    latch = timer(margin=0.01)
    for n in range(64):
        latch.record(prepare=0.02, make=0.2 if n < 3 else 0.05)
    assert latch.make_p95 == 0.05, "three outliers of 64 are beyond the p95"
    assert latch.latch_time(10.0) == pytest.approx(9.94)
    latch.record(prepare=0.02, make=0.3)
    latch.record(prepare=0.02, make=0.3)
    latch.record(prepare=0.02, make=0.3)
    latch.record(prepare=0.02, make=0.3)
    assert latch.make_p95 == 0.3


def test_old_measurements_are_forgotten():
    latch = timer(window=8)
    for _ in range(8):
        latch.record(prepare=0, make=5.0)
    for _ in range(8):
        latch.record(prepare=0, make=0.1)
    assert latch.make_p95 == 0.1


def test_the_margin_grows_when_a_chunk_is_late_and_shrinks_to_its_floor():
    latch = timer(margin=0.004, margin_low=0.002, margin_high=0.05)
    latch.arrived(-0.03)
    assert latch.margin == pytest.approx(0.019)
    latch.arrived(-1.0)
    assert latch.margin == 0.05
    for _ in range(400):
        latch.arrived(0.01)
    assert latch.margin == 0.002


def test_only_stretch_stretches():
    for policy, period in (("stretch", 0.5), ("hold", 0.2), ("drop", 0.2)):
        latch = timer(policy=policy)
        for _ in range(10):
            latch.record(prepare=0.1, make=0.4)
        assert latch.period == pytest.approx(period)
        assert latch.real_time_factor == pytest.approx(2.5)


def test_a_fast_world_plays_at_its_own_pace():
    latch = timer()
    latch.record(prepare=0.0, make=0.1)
    assert latch.period == 0.2


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="stretch, hold, drop"):
        LatchConfig(policy="wait")


@given(st.lists(st.floats(0, 10), min_size=1, max_size=64), st.floats(0.01, 1.0))
def test_a_quantile_covers_its_share(values, q):
    value = quantile(values, q)
    assert value in values
    assert sum(v <= value for v in values) >= q * len(values) - 1e-9
    assert sum(v < value for v in values) < q * len(values)
