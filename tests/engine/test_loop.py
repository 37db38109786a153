"""The loop on a fake clock: pacing, latching, policies, pause, frame limit, effects, faults."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from engine.director import (
    Caption,
    EndSession,
    JumpScene,
    LatchContext,
    LatchPlan,
    PassThrough,
    PlaySound,
    Screenshot,
)
from engine.input.events import Command, KeyEvent, PromptEntered
from engine.session import MESSAGE_SECONDS
from engine.session_file import read_session
from engine.synthetic import SyntheticWorld, frame_action
from tests.engine.playing import play

FORWARD = 0


def test_frames_come_in_order_at_their_deadlines(tmp_path):
    run = play(tmp_path, frames=100)
    outcome = run.loop.run()
    assert outcome.frames == 100 and not outcome.failure
    assert run.window.frames == list(range(100))
    times = np.array([shown.t for shown in run.window.shown])
    assert np.allclose(times - times[0], np.arange(100) * 0.05, atol=1e-9)
    assert run.session.playhead.underruns == 0


@pytest.mark.parametrize("make", [0.02, 0.05, 0.15])
def test_input_is_latched_as_late_as_it_can_be(tmp_path, make):
    run = play(tmp_path, make=make, frames=200)
    run.loop.run()
    first = [s for s in run.window.shown if s.frame % 4 == 0][10:]
    ages = [s.hud.age_ms / 1000 for s in first]
    margin = run.session.config.latch
    assert min(ages) >= make
    assert max(ages) <= make + margin.margin + 1e-6


def test_a_key_shows_in_the_first_chunk_latched_after_it(tmp_path):
    pressed = 1.01
    run = play(tmp_path, events=[KeyEvent("w", True, pressed)], frames=80)
    run.loop.run()
    moving = [s for s in run.window.shown if frame_action(s.pixels, FORWARD) > 0.9]
    latch = moving[0].t - moving[0].hud.age_ms / 1000
    assert latch >= pressed
    assert latch - pressed <= 0.2 + 0.008  # a chunk's playing time and one poll
    before = run.window.shown[run.window.shown.index(moving[0]) - 1]
    assert frame_action(before.pixels, FORWARD) == 0
    assert moving[0].frame % 4 == 0


def test_stretch_plays_a_slow_world_in_uniform_slow_motion(tmp_path):
    run = play(tmp_path, make=0.4, frames=100)
    run.loop.run()
    gaps = np.diff([s.t for s in run.window.shown])[20:]
    assert np.allclose(gaps, 0.1, atol=1e-6)
    assert run.window.hud.speed == pytest.approx(0.5, abs=0.01)
    assert run.window.frames == list(range(100))


def test_hold_keeps_full_speed_and_waits_on_the_last_frame(tmp_path):
    run = play(tmp_path, make=0.4, frames=100, policy="hold")
    run.loop.run()
    gaps = np.diff([s.t for s in run.window.shown])
    assert sorted(set(np.round(gaps[20:], 6))) == [0.05, 0.25]
    assert run.window.frames == list(range(100))
    assert run.session.playhead.underruns == 24


def test_drop_skips_what_came_too_late(tmp_path):
    clock_world = play(tmp_path, make=0.05, frames=60, policy="drop")
    world, window = clock_world.world, clock_world.window

    def stall(chunk: int) -> None:
        if chunk == 5:
            world.clock.sleep_until(world.clock.now() + 0.12)

    world._before_generate = stall
    clock_world.loop.run()
    assert 20 not in window.frames and 24 in window.frames
    assert clock_world.session.playhead.dropped > 0
    late = next(s for s in window.shown if s.frame > 20)
    start = window.shown[0]
    on_time = start.t + 0.05 * (24 - start.frame)
    assert next(s for s in window.shown if s.frame == 24).t == pytest.approx(on_time, abs=1e-6)
    assert late.frame in (21, 22, 23)


def test_a_stalled_window_forgives_the_debt(tmp_path):
    run = play(tmp_path, frames=60)
    inner = run.window.show

    def show(frame, hud, overlays):
        inner(frame, hud, overlays)
        if run.window.frames[-1] == 20:
            run.clock.sleep_until(run.clock.now() + 3.0)

    run.window.show = show
    run.loop.run()
    gaps = np.diff(run.window.frames)
    assert gaps.max() <= 5
    assert len(run.window.shown) > 45


def test_pause_stops_generation_and_stale_input_is_dropped(tmp_path):
    events = [
        Command("pause", 1.0),
        KeyEvent("w", True, 1.5),
        KeyEvent("w", False, 1.6),
        Command("pause", 5.0),
    ]
    chunks: list[int] = []
    run = play(tmp_path, events=events, frames=60)
    run.world._before_generate = lambda chunk: chunks.append((chunk, run.clock.now()))
    run.loop.run()
    during = [t for _, t in chunks if 1.3 < t < 5.0]
    assert during == []
    assert run.window.frames == list(range(60))
    assert all(frame_action(s.pixels, FORWARD) == 0 for s in run.window.shown)
    gap = np.diff([s.t for s in run.window.shown]).max()
    assert 4.0 < gap <= 4.15


def test_a_typed_prompt_is_latched_once(tmp_path):
    seen: list[str | None] = []

    class Notes(PassThrough):
        def latch(self, ctx: LatchContext) -> LatchPlan:
            seen.append(ctx.typed_prompt)
            return super().latch(ctx)

    run = play(tmp_path, events=[PromptEntered("snow", 1.0)], director=Notes())
    run.loop.run()
    assert [text for text in seen if text is not None] == ["snow"]
    assert run.window.hud.prompt == "snow"


def test_a_prompt_typed_in_a_pause_counts_when_it_ends(tmp_path):
    events = [Command("pause", 0.5), PromptEntered("snow", 1.0), Command("pause", 1.5)]
    run = play(tmp_path, events=events)
    run.loop.run()
    assert run.window.hud.prompt == "snow"


class Effects(PassThrough):
    """Gives effects at a chunk."""

    def __init__(self, chunk: int, *effects) -> None:
        self._chunk, self._effects = chunk, effects

    def latch(self, ctx: LatchContext) -> LatchPlan:
        plan = super().latch(ctx)
        return replace(plan, effects=self._effects) if ctx.chunk == self._chunk else plan


def test_effects_begin_at_the_first_frame_of_their_chunk(tmp_path):
    caption, sound = Caption(text="dawn", frames=6), PlaySound(file="wind.ogg")
    run = play(tmp_path, director=Effects(3, caption, sound, Screenshot(name="here")))
    run.loop.run()
    with_caption = [s.frame for s in run.window.shown if s.overlays]
    assert with_caption == [12, 13, 14, 15, 16, 17]
    assert run.window.shown[13].overlays[0].age == 1
    assert run.window.sounds == [sound]
    assert (tmp_path / "captures" / "here.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("effect", "jump"), [(EndSession(), ""), (JumpScene(path="b.yaml"), "b.yaml")]
)
def test_ending_effects_end_before_their_chunk(tmp_path, effect, jump):
    run = play(tmp_path, director=Effects(5, effect))
    outcome = run.loop.run()
    assert run.window.frames == list(range(20))
    assert outcome.frames == 20 and outcome.jump == jump


def test_quit_ends_the_session(tmp_path):
    run = play(tmp_path, events=[Command("quit", 1.0)], frames=None)
    assert run.loop.run().frames in (20, 21)


def test_a_failing_world_is_shown_saved_and_reported(tmp_path):
    def fail(chunk: int) -> None:
        if chunk == 6:
            raise RuntimeError("the weights are gone")

    run = play(tmp_path)
    run.world._before_generate = fail
    outcome = run.loop.run()
    assert "the weights are gone" in outcome.failure
    assert "the weights are gone" in run.window.hud.failure
    saved = next((tmp_path / "captures").glob("*.helios"))
    assert read_session(saved).pack == "null"
    assert len(run.window.frames) >= 20


def test_the_name_of_the_file_stays_as_long_as_the_failure(tmp_path):
    def fail(chunk: int) -> None:
        if chunk == 6:
            raise RuntimeError("the weights are gone")

    run = play(tmp_path, failure_seconds=10 * MESSAGE_SECONDS)
    run.world._before_generate = fail
    outcome = run.loop.run()
    assert outcome.saved.startswith(f"saved {tmp_path}")
    assert run.window.hud.messages == (outcome.saved,)


def test_a_recording_that_could_not_be_finished_is_in_the_outcome(tmp_path):
    class Full:
        def presented(self, chunk, offsets, ages_ms) -> None:
            pass

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    run = play(tmp_path, frames=8)
    run.session.stage.add_sink(Full())
    [problem] = run.loop.run().problems
    assert "No space left" in problem


def test_ctrl_c_ends_the_failure_screen_and_the_failure_is_still_told(tmp_path):
    def fail(chunk: int) -> None:
        raise MemoryError("3 GB are missing")

    run = play(tmp_path, failure_seconds=30.0)
    run.world._before_generate = fail
    refresh = run.window.refresh

    def interrupted(hud) -> None:
        refresh(hud)
        if hud.failure and run.clock.now() < 5.0:
            signal.raise_signal(signal.SIGINT)
            run.window.refresh = refresh

    run.window.refresh = interrupted
    assert "3 GB are missing" in run.loop.run().failure
    assert run.clock.now() < 5.0


def test_a_world_that_fails_at_once_still_reports(tmp_path):
    def fail(chunk: int) -> None:
        raise MemoryError("3 GB are missing")

    run = play(tmp_path)
    run.world._before_generate = fail
    assert "3 GB are missing" in run.loop.run().failure


def test_the_interpreter_switches_as_before_afterwards(tmp_path):
    import sys

    before = sys.getswitchinterval()
    seen: list[float] = []
    run = play(tmp_path, frames=8)
    run.world._before_generate = lambda chunk: seen.append(sys.getswitchinterval())
    run.loop.run()
    assert max(seen) < 0.001 and sys.getswitchinterval() == before


def test_every_thread_ends_with_the_session(tmp_path):
    import threading

    before = threading.active_count()
    play(tmp_path, frames=8).loop.run()
    assert threading.active_count() == before


def test_a_slow_prepare_runs_before_the_latch(tmp_path):
    world_ages = []
    for prepare in (0.0, 0.1):
        run = play(tmp_path, make=0.05, prepare=prepare, frames=100)
        run.loop.run()
        world_ages.append(np.median([s.hud.age_ms for s in run.window.shown if s.frame % 4 == 0]))
    assert world_ages[0] == pytest.approx(world_ages[1], abs=1.0)
    assert isinstance(run.world, SyntheticWorld)
