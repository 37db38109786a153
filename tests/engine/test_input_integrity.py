"""No input event is lost or doubled between the window and the world, whatever its timing."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.director import LatchContext, LatchPlan, PassThrough
from engine.input.events import KeyEvent, MouseMotion, PromptEntered
from helios_core.actions import WALK_SPEC
from tests.engine.playing import play

JUMP = WALK_SPEC.index("jump")
YAW = WALK_SPEC.index("look_yaw")
moments = st.floats(0.0, 2.5, allow_nan=False)
quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def applied(run) -> np.ndarray:
    """[F, A] of all presented chunks."""
    run.session.close = lambda: None
    outcome = run.loop.run()
    run.session.producer.stop()
    assert not outcome.failure
    history = run.session.log.history()
    return history.applied.reshape(-1, WALK_SPEC.size)


@quick
@given(
    taps=st.lists(st.tuples(st.floats(0.26, 0.6), st.floats(0.001, 0.12)), max_size=6),
    make=st.sampled_from([0.02, 0.12, 0.3]),
)
def test_every_tap_is_one_press_however_short(tmp_path_factory, taps, make):
    events, t = [], 0.0
    for wait, held in taps:
        t += wait
        events += [KeyEvent("space", True, t), KeyEvent("space", False, t + held)]
    run = play(tmp_path_factory.mktemp("taps"), events=events, make=make, frames=120)
    column = applied(run)[:, JUMP]
    presses = int(np.sum(np.diff(np.concatenate([[0.0], column])) > 0))
    assert presses == len(taps)


@quick
@given(
    moves=st.lists(st.tuples(moments, st.integers(-40, 40)), max_size=30),
    make=st.sampled_from([0.02, 0.12, 0.3]),
    chunk_frames=st.sampled_from([4, 8]),
)
def test_every_mouse_count_turns_the_view_once(tmp_path_factory, moves, make, chunk_frames):
    events = [MouseMotion(float(dx), 0.0, t) for t, dx in moves]
    run = play(
        tmp_path_factory.mktemp("mouse"),
        events=events,
        make=make,
        frames=160,
        chunk_frames=chunk_frames,
    )
    turned = float(applied(run)[:, YAW].sum()) / 20
    sensitivity = run.session.intake._inputs.bindings.tuning.mouse_sensitivity
    assert np.isclose(turned, sensitivity * sum(dx for _, dx in moves), atol=1e-3)


@quick
@given(times=st.lists(st.floats(0.0, 2.0), max_size=5, unique=True))
def test_every_prompt_is_latched_once_and_the_newest_wins(tmp_path_factory, times):
    latched: list[str] = []

    class Notes(PassThrough):
        def latch(self, ctx: LatchContext) -> LatchPlan:
            if ctx.typed_prompt is not None:
                latched.append(ctx.typed_prompt)
            return super().latch(ctx)

    times = sorted(times)
    events = [PromptEntered(f"text {n}", t) for n, t in enumerate(times)]
    run = play(tmp_path_factory.mktemp("p"), events=events, director=Notes(), frames=80)
    run.loop.run()
    assert len(set(latched)) == len(latched)
    assert latched == sorted(latched)
    if times:
        assert latched[-1] == f"text {len(times) - 1}"
        apart = [n for n in range(len(times) - 1) if times[n + 1] - times[n] > 0.21]
        assert {f"text {n}" for n in apart} <= set(latched)
