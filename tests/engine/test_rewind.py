"""Rewind, save, load and reset: exact past, new branches, and races with the producer."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.chunk import FrameId
from engine.director import LatchContext, LatchPlan, PassThrough, PlaySound
from engine.headless import play_headless
from engine.input.events import Command, KeyEvent
from engine.intake import Intake
from engine.maker import ChunkMaker, Place
from engine.rewind import RewindConfig, RewindStore
from engine.session_file import read_session
from engine.stage import Stage
from engine.synthetic import frame_number
from helios_core.null_world import NullWorld
from tests.engine.playing import play


class Counting(PassThrough):
    """A director with a memory: how many chunks it has latched."""

    def __init__(self) -> None:
        self.count = 0

    def latch(self, ctx: LatchContext) -> LatchPlan:
        assert self.count == ctx.chunk, "the director's memory belongs to the state's chunk"
        self.count += 1
        return super().latch(ctx)

    def snapshot(self):
        return {"count": self.count}

    def restore(self, value) -> None:
        self.count = value["count"]


class Noting:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.frames: list[FrameId] = []
        self.branches: list[tuple[int, FrameId | None]] = []

    def presented(self, chunk, offsets, ages_ms) -> None:
        self.frames += [FrameId(chunk.branch, chunk.index, i) for i in offsets]
        assert len(ages_ms) == len(offsets)

    def rewound(self, branch, parent) -> None:
        self.branches.append((branch, parent))

    def close(self) -> None:
        pass


def test_rewinding_shows_frames_backward_and_goes_on_as_a_new_branch(tmp_path):
    events = [Command("rewind_start", 2.01), Command("rewind_stop", 2.51)]
    run = play(tmp_path, events=events, frames=80, director=Counting())
    sink = Noting()
    run.session.stage.add_sink(sink)
    run.loop.run()
    frames = run.window.frames
    turn = frames.index(max(frames[:45]))
    back = frames[turn : frames.index(frames[turn] - 18, turn)]
    assert back == list(range(back[0], back[0] - len(back), -1))
    rewinding = [s for s in run.window.shown if s.hud.rewinding]
    assert len(rewinding) >= 15
    branch, parent = sink.branches[0]
    resumed = next(f for f in sink.frames if f.branch == branch)
    assert parent is not None
    assert resumed.chunk == parent.chunk + 1 and resumed.offset == 0 and parent.offset == 3
    assert len(sink.branches) == 1


def test_the_past_is_the_same_pixels_in_memory_and_on_disk(tmp_path):
    events = [
        KeyEvent("w", True, 0.5),
        KeyEvent("w", False, 1.7),
        Command("rewind_start", 4.0),
        Command("rewind_stop", 7.0),
    ]
    run = play(tmp_path, events=events, frames=90, memory_seconds=1.0)
    run.loop.run()
    first: dict[int, np.ndarray] = {}
    checked = 0
    for shown in run.window.shown:
        if shown.hud.rewinding:
            assert np.array_equal(shown.pixels, first[shown.frame])
            checked += 1
        else:
            first.setdefault(shown.frame, shown.pixels)
    assert checked > 60
    assert min(s.frame for s in run.window.shown if s.hud.rewinding) == 0


def test_rewinding_waits_at_the_beginning(tmp_path):
    events = [Command("rewind_start", 1.0), Command("rewind_stop", 9.0)]
    run = play(tmp_path, events=events, frames=40)
    sink = Noting()
    run.session.stage.add_sink(sink)
    run.loop.run()
    after = run.window.frames[run.window.frames.index(0, 1) + 1 :]
    assert after == list(range(len(after))) and len(after) > 15
    assert sink.branches == [(1, None)]
    assert sink.frames[-1].branch == 1


@pytest.mark.parametrize("at", [2.0, 2.06, 2.1, 2.149, 2.15, 2.151, 2.19])
def test_a_chunk_under_way_when_the_player_rewinds_is_never_shown(tmp_path, at):
    events = [Command("rewind_start", at), Command("rewind_stop", at + 0.004)]
    run = play(tmp_path, events=events, frames=80, make=0.1)
    sink = Noting()
    run.session.stage.add_sink(sink)
    run.loop.run()
    branch, parent = sink.branches[0]
    after = [f for f in sink.frames if f.branch == branch]
    assert [f.chunk for f in after[::4]] == list(
        range(after[0].chunk, after[0].chunk + len(after[::4]))
    )
    kept = [f for f in sink.frames if f.branch == 0]
    assert after[0].chunk <= kept[-1].chunk + 1
    assert parent == FrameId(0, after[0].chunk - 1, 3)


def test_save_then_load_goes_on_after_the_saved_chunk(tmp_path):
    path = tmp_path / "s.helios"
    events = [Command("save", 1.51, str(path)), Command("load", 3.0)]
    run = play(tmp_path, events=events, frames=100, director=Counting())
    run.loop.run()
    saved = read_session(path)
    state = run.world.load_state(saved.state)
    frames = run.window.frames
    jump = next(i for i in range(1, len(frames)) if frames[i] < frames[i - 1])
    assert frames[jump] == state.chunk * 4
    assert saved.director == {"count": state.chunk}
    assert saved.history.chunk.tolist() == list(range(state.chunk))
    assert frames[jump:] == list(range(frames[jump], frames[jump] + len(frames) - jump))


@pytest.mark.parametrize("first", ["save", "load", "reset", "rewind_start"])
@pytest.mark.parametrize("second", ["save", "load", "reset", "rewind_start", "rewind_stop"])
def test_verbs_at_the_same_moment_leave_a_sound_session(tmp_path, first, second):
    path = tmp_path / "s.helios"
    events = [Command("save", 1.0, str(path))]
    events += [Command(first, 2.0, ""), Command(second, 2.0, ""), Command("rewind_stop", 2.3)]
    run = play(tmp_path, events=events, frames=80, director=Counting(), make=0.1)
    outcome = run.loop.run()
    assert not outcome.failure and outcome.frames == 80
    tail = run.window.frames[-20:]
    assert tail == list(range(tail[0], tail[0] + 20))
    session = run.session
    assert session.log.chunks == session.store.end - session.store.begin or "load" in (
        first,
        second,
    )


class Raining(PassThrough):
    """The sixth chunk begins an ambience."""

    def latch(self, ctx: LatchContext) -> LatchPlan:
        effects = (PlaySound(file="rain.ogg", loop=True),) if ctx.chunk == 5 else ()
        return LatchPlan(applied=ctx.requested, effects=effects)


@pytest.mark.parametrize("verb", ["reset", "load"])
def test_the_sounds_of_a_line_of_play_end_with_it(tmp_path, verb):
    path = str(tmp_path / "s.helios")
    events = [Command("save", 0.6, path), Command(verb, 1.6, path if verb == "load" else "")]
    run = play(tmp_path, events=events, frames=35, director=Raining())
    run.loop.run()
    assert 25 in run.window.frames and run.window.frames[-1] < 20, "it rained, and is before that"
    assert run.window.sounds == []


def test_reset_begins_again(tmp_path):
    run = play(tmp_path, events=[Command("reset", 1.0)], frames=60, director=Counting())
    run.loop.run()
    frames = run.window.frames
    assert frames.count(0) == 2
    assert frames[frames.index(0, 1) :] == list(range(60 - frames.index(0, 1)))


@pytest.mark.parametrize("verb", ["reset", "load"])
def test_who_goes_elsewhere_while_paused_sees_the_place(tmp_path, verb):
    path = str(tmp_path / "s.helios")
    events = [Command("save", 0.6, path), Command("pause", 1.6)]
    events += [Command(verb, 2.0, path if verb == "load" else ""), Command("quit", 8.0)]
    run = play(tmp_path, events=events, frames=60)
    run.loop.run()
    frames = run.window.frames
    jump = next(i for i in range(1, len(frames)) if frames[i] < frames[i - 1])
    assert frames[jump] == (0 if verb == "reset" else 12)
    assert len(frames) == 60 and not run.window.hud.paused


def test_a_load_that_fails_leaves_a_pause_as_it_was(tmp_path):
    events = [Command("pause", 1.0), Command("load", 1.5, "nowhere.helios")]
    events += [Command("quit", 2.5)]
    run = play(tmp_path, events=events, frames=60)
    run.loop.run()
    assert run.window.hud.paused and len(run.window.frames) < 60


def test_a_session_of_another_pack_or_spec_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "s.helios"
    play(tmp_path, events=[Command("save", 1.0, str(path))], frames=30).loop.run()
    other = play(tmp_path, events=[Command("load", 1.0, str(path))], frames=30, chunk_frames=8)
    other.loop.run()
    assert any("this is pack 'null'" in text for text in other.window.hud.messages)
    assert other.window.frames == list(range(30))


def test_a_torn_session_file_is_refused_and_play_goes_on(tmp_path):
    path = tmp_path / "torn.helios"
    path.write_bytes(b"PK\x03\x04 torn")
    run = play(tmp_path, events=[Command("load", 1.0, str(path))], frames=30)
    run.loop.run()
    assert any("not a whole session file" in text for text in run.window.hud.messages)


def test_the_input_log_is_cut_by_a_rewind(tmp_path):
    path = tmp_path / "s.helios"
    events = [
        Command("rewind_start", 2.0),
        Command("rewind_stop", 2.5),
        Command("save", 3.3, str(path)),
    ]
    run = play(tmp_path, events=events, frames=60)
    run.loop.run()
    chunks = read_session(path).history.chunk
    assert chunks.tolist() == list(range(len(chunks)))


def test_a_save_while_rewinding_holds_the_input_up_to_its_place(tmp_path):
    path = tmp_path / "s.helios"
    events = [
        Command("rewind_start", 2.0),
        Command("save", 2.5, str(path)),
        Command("rewind_stop", 2.6),
    ]
    run = play(tmp_path, events=events, frames=60)
    run.loop.run()
    saved = read_session(path)
    state = run.world.load_state(saved.state)
    assert 0 < state.chunk < 9
    assert saved.history.chunk.tolist() == list(range(state.chunk))


def test_a_reset_of_a_resumed_session_keeps_the_input_that_led_to_it(tmp_path):
    first, second = tmp_path / "1.helios", tmp_path / "2.helios"
    play(tmp_path, events=[Command("save", 1.0, str(first))], frames=30).loop.run()
    events = [Command("reset", 1.0), Command("save", 2.5, str(second))]
    run = play(tmp_path, events=events, frames=60, resume=first)
    run.loop.run()
    saved = read_session(second)
    state = run.world.load_state(saved.state)
    begun = len(read_session(first).history.chunk)
    assert 0 < begun < state.chunk < begun + 10
    assert saved.history.chunk.tolist() == list(range(state.chunk))


# ---- the store by itself


def chunks_of(count: int) -> tuple[NullWorld, list]:
    world = NullWorld(height=16, width=16)
    maker = ChunkMaker(world, PassThrough())
    maker.jump(Place(state=world.start(seed=3)))
    rng = np.random.default_rng(0)
    made = []
    intake = Intake(RandomInput(rng, world))
    for n in range(count):
        window, _ = intake.latch(0.0, frames=4, first_frame=4 * n)
        typed = f"p{n}" if n % 7 == 0 else None
        made.append(maker.begin(window, typed_prompt=typed, now=n).finish())
    return world, made


class RandomInput:
    def __init__(self, rng: np.random.Generator, world: NullWorld) -> None:
        self._rng, self._spec = rng, world.info.spec

    def feed(self, events) -> None:
        pass

    def window(self, t_latch, frames, first_frame):
        from engine.input.events import InputWindow

        values = self._rng.uniform(-1, 1, (frames, self._spec.size))
        return InputWindow(requested=self._spec.clip(values))

    def forget(self, now) -> None:
        pass


WORLD, MADE = chunks_of(60)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from("rrrrsfa"), st.integers(0, 59)), max_size=60))
def test_the_store_always_gives_what_was_remembered(steps):
    store = RewindStore(WORLD, RewindConfig(memory_seconds=1.0, disk_bytes=1 << 16, reels=4))
    line: list = []
    for what, n in steps:
        if what == "r":
            for chunk in MADE[n : n + 9]:
                assert store.remember(chunk) == len(line)
                line.append(chunk)
        elif what == "s":
            store.settle()
        elif what == "f":
            store.forget_from(n)
            del line[max(n, store.begin) :]
        else:
            check(store, line, n)
    store.settle()
    for serial in reversed(range(len(line))):
        check(store, line, serial)
    assert store.end == len(line)
    store.close()


def check(store: RewindStore, line: list, serial: int) -> None:
    again = store.at(serial)
    if not store.begin <= serial < len(line):
        assert again is None
        return
    assert again is not None
    assert again.index == line[serial].index
    assert np.array_equal(again.frames, line[serial].frames)
    assert store.last_frame(serial) == FrameId(again.branch, again.index, 3)


def test_memory_and_disk_are_bounded(tmp_path):
    config = RewindConfig(memory_seconds=2.0, disk_bytes=40_000, reels=4, folder=tmp_path)
    store = RewindStore(WORLD, config)
    for _ in range(5):
        for chunk in MADE:
            store.remember(chunk)
            store.settle()
    assert len(store._recent) == 10
    assert 30_000 < store.disk_bytes < 51_000
    assert 0 < store.begin < store.end - 20
    store.close()


def test_the_past_is_forgotten_without_being_read(monkeypatch):
    """Hours of it are gigabytes, and the window stands still meanwhile."""
    taken = []

    class Counted(io.BytesIO):
        def read(self, size=-1):
            taken.append(data := super().read(size))
            return data

    monkeypatch.setattr("engine.tape.tempfile.TemporaryFile", lambda **_: Counted())
    store = RewindStore(WORLD, RewindConfig(memory_seconds=1.0, disk_bytes=40_000, reels=4))
    for chunk in MADE * 2:
        store.remember(chunk)
        store.settle()
    assert store.begin > 0, "a reel was given up"
    assert not taken
    assert store.last_frame(store.begin + 1) is not None
    store.forget_from(store.begin + 1)
    assert store.end == store.begin + 1
    store.forget_from(store.begin)
    assert store.end == store.begin
    assert len(b"".join(taken)) < 1000, "one chunk, and the way to it"
    store.close()


def test_a_full_disk_costs_the_older_past_only(tmp_path, monkeypatch):
    from engine.tape import Tape

    store = RewindStore(WORLD, RewindConfig(memory_seconds=1.0, folder=tmp_path))

    def full(self, header, body) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tape, "append", full)
    for chunk in MADE:
        store.remember(chunk)
        store.settle()
    assert "No space left" in store.problem
    assert store.begin == store.end - 5
    assert store.at(store.end - 5) is not None and store.at(store.begin - 1) is None
    store.close()


def test_a_disk_that_fills_up_within_a_record_does_not_stop_the_world(tmp_path):
    """A true short write: beyond a file size the system takes a part and refuses the rest."""
    resource = pytest.importorskip("resource")
    events = [Command("rewind_start", 6.0), Command("rewind_stop", 6.4)]
    run = play(tmp_path, frames=160, memory_seconds=1.0, disk_bytes=1 << 26, events=events)
    said: list[str] = []
    run.session.say = said.append
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        outcome = run.loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.frames == 160 and not outcome.failure
    assert any("rewind reaches back 1 s only" in text for text in said)
    assert run.session.store.begin > 0


def test_headless_and_windowed_frames_are_the_same(tmp_path):
    run = play(tmp_path, frames=60)
    run.loop.run()
    maker = ChunkMaker(run.world, PassThrough())
    maker.jump(Place(state=run.world.start(seed=1, prompt="a meadow")))
    shown: list[np.ndarray] = []
    stage = Stage(on_effect=lambda e, c: None, on_message=print, draw=lambda f, o: f)

    class Keep(Noting):
        def presented(self, chunk, offsets, ages_ms) -> None:
            shown.extend(chunk.frames[i] for i in offsets)

    stage.add_sink(Keep())
    intake = Intake(run.session.intake._inputs)
    play_headless(maker, intake, sources=[], stage=stage, frames=60)
    stage.close()
    assert len(shown) == 60
    for headless, windowed in zip(shown, run.window.shown, strict=True):
        assert np.array_equal(headless, windowed.pixels)
        assert frame_number(headless) == windowed.frame
    assert isinstance(tmp_path, Path)
