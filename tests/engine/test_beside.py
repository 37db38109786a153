"""Chunks that are decoded beside the steps of the next. Run: `pytest tests/engine/test_beside.py`.

The device is played by the clock: steps one after the other, decoding one after the other, and the
host waits for nothing but frames. On a real one `tests/helios_core/test_beside.py` goes on.
"""

import numpy as np
import pytest

from engine.clock import FakeClock
from engine.director import PassThrough
from engine.headless import play_headless
from engine.input.bindings import bindings_from
from engine.input.mapper import InputMapper
from engine.intake import Intake
from engine.latch import LatchConfig, LatchTimer
from engine.maker import ChunkMaker, Place
from engine.stage import Stage
from engine.synthetic import SyntheticWorld
from helios_core.world_api import Arriving
from tests.engine.playing import play


class DeviceWorld(SyntheticWorld):
    """Steps and decoding take their time on a device each; `beside` or one after the other."""

    def __init__(self, clock: FakeClock, *, steps: float, decode: float, beside: bool) -> None:
        super().__init__(clock, make=0.0)
        self.steps, self.decoding, self.beside = steps, decode, beside
        self.free = {"steps": 0.0, "decode": 0.0}
        self.calls: list[tuple[str, int]] = []

    def work(self, name: str, seconds: float, after: float = 0.0) -> float:
        """When the device is done with it."""
        self.free[name] = max(self.clock.now(), after, self.free[name]) + seconds
        return self.free[name]

    def generate(self, state, *args, **kwargs):
        self.calls.append(("generate", state.chunk))
        self.work("steps", self.steps)
        return super().generate(state, *args, **kwargs)

    def begin_decode(self, state, latents) -> Arriving:
        chunk = state.chunk - 1
        done = self.work("decode", self.decoding, after=self.free["steps"])
        frames = self.decode(state, latents)

        def wait() -> np.ndarray:
            self.calls.append(("wait", chunk))
            self.clock.sleep_until(done)
            return frames

        if self.beside:
            return Arriving(wait, ready=False)
        wait()
        return Arriving(lambda: frames)


def world_of(*, beside: bool, steps: float, decode: float) -> DeviceWorld:
    return DeviceWorld(FakeClock(), steps=steps, decode=decode, beside=beside)


def frame_time(tmp_path, world: DeviceWorld) -> float:
    """Seconds from frame to frame once play has settled; its frames are the right ones."""
    run = play(tmp_path, frames=600, world=world, clock=world.clock)
    run.loop.run()
    assert run.window.frames == list(range(600))
    return float(np.mean(np.diff([shown.t for shown in run.window.shown])[500:]))


@pytest.mark.parametrize(
    ("steps", "decode", "alone", "together"),
    [(0.15, 0.1, 0.0625, 0.05), (0.3, 0.1, 0.1, 0.075), (0.1, 0.05, 0.05, 0.05)],
    ids=["keeps up beside", "slow", "fast enough alone"],
)
def test_a_slow_world_plays_faster_beside(tmp_path, steps, decode, alone, together) -> None:
    given = {"steps": steps, "decode": decode}
    one = frame_time(tmp_path / "a", world_of(beside=False, **given))
    two = frame_time(tmp_path / "b", world_of(beside=True, **given))
    assert (one, two) == (pytest.approx(alone, rel=0.01), pytest.approx(together, rel=0.01))


@pytest.mark.parametrize(("steps", "ahead"), [(0.3, True), (0.05, False)])
def test_only_a_slow_world_goes_ahead_of_its_frames(tmp_path, steps: float, ahead: bool) -> None:
    """One that keeps up latches as late as can be: the last chunk is shown by then."""
    world = world_of(beside=True, steps=steps, decode=0.05)
    frame_time(tmp_path, world)
    before = [world.calls.index(("generate", n + 1)) < world.calls.index(("wait", n))
              for n in range(30, 40)]  # fmt: skip
    assert before == [ahead] * 10


def test_without_a_device_chunks_are_made_one_after_the_other(tmp_path) -> None:
    world = world_of(beside=False, steps=0.3, decode=0.1)
    frame_time(tmp_path, world)
    made = [(name, n) for n in range(40) for name in ("generate", "wait")]
    assert world.calls[:80] == made


def headless(world: DeviceWorld, frames: int) -> list[np.ndarray]:
    shown: list[np.ndarray] = []
    maker = ChunkMaker(world, PassThrough())
    maker.jump(Place(state=world.start(seed=0)))
    spec = world.info.spec
    intake = Intake(InputMapper(spec, bindings_from(spec), fps=world.info.fps))
    stage = Stage(
        on_effect=lambda effect, chunk: None,
        on_message=lambda text: None,
        draw=lambda frame, overlays: shown.append(frame) or frame,
    )
    result = play_headless(maker, intake, sources=[], stage=stage, frames=frames)
    assert result.frames == frames
    return shown


def test_headless_play_shows_the_same_frames_and_begins_no_chunk_too_many() -> None:
    given = {"steps": 0.1, "decode": 0.1}
    plain, beside = world_of(beside=False, **given), world_of(beside=True, **given)
    one, two = headless(plain, 18), headless(beside, 18)
    assert np.array_equal(one, two)
    assert sorted(plain.calls) == sorted(beside.calls) and len(plain.calls) == 2 * 5
    assert beside.calls.index(("generate", 3)) < beside.calls.index(("wait", 2))
    assert plain.clock.now() == pytest.approx(5 * 0.2)
    assert beside.clock.now() == pytest.approx(5 * 0.1 + 0.1)


def test_the_time_between_chunks_counts_where_their_work_overlaps() -> None:
    timer = LatchTimer(LatchConfig(), chunk_seconds=0.2)
    timer.record(prepare=0.1, make=0.3, apart=0.25)
    assert timer.behind and timer.real_time_factor == pytest.approx(1.25)
    timer = LatchTimer(LatchConfig(), chunk_seconds=0.2)
    timer.record(prepare=0.1, make=0.15)
    assert not timer.behind and timer.real_time_factor == pytest.approx(1.25)
