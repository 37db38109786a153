"""The writer: what it stores, what it refuses, and that any length and any text survive."""

import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.rollouts.layout import Layout, read_record
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.record import PlanRecord, frame_hashes
from engine.rollouts.spec import CAMERA, Column
from engine.rollouts.writer import RolloutWriter, WriterConfig
from tests.engine.rollouts.scenes import (
    CHUNK,
    HEIGHT,
    POSE,
    WIDTH,
    record_dataset,
    record_episode,
    small_spec,
    small_world,
    walk,
)


def test_a_recording_reads_back(tmp_path):
    truth = record_dataset(tmp_path / "a", [3, 5])
    data = RolloutDataset.open(tmp_path / "a")
    assert [e.length for e in data.episodes] == [12, 20]
    for i, frames in enumerate(truth):
        window = data.read(i)
        error = np.abs(window.frames.astype(int) - frames).mean()
        assert error < 10, f"episode {i} came back {error:.1f}/255 off"
        expected = walk(small_world(), len(frames) // CHUNK, seed=i)
        np.testing.assert_array_equal(window.applied, expected.reshape(-1, expected.shape[-1]))
        columns = data.columns(i)
        np.testing.assert_array_equal(columns["frame.hash"], frame_hashes(frames))
        np.testing.assert_array_equal(columns["chunk"], np.arange(len(frames)) // CHUNK)
        assert set(window.prompts[:8]) == {"a meadow"} and window.prompts[8] == "snow ☃ falls"
        np.testing.assert_allclose(columns["prompt.weight"][8], 1 / 3, rtol=1e-6)
        assert json.loads(columns["events"][CHUNK]) == ["bell"] and columns["events"][0] == ""
        assert PlanRecord.from_text(columns["latch.plan"][8]) == PlanRecord(crossfade=3)
        np.testing.assert_array_equal(window.extras["pose"][:, 0], columns["chunk"])
        state = small_world().load_state(data.state(i))
        assert (state.chunk, state.seed) == (0, i)


def test_frames_keep_their_place_in_the_video(tmp_path):
    """Episodes share one file; a window must not be a frame early or late."""
    world = small_world()
    ramp = np.arange(40, dtype=np.uint8)[:, None, None, None] * 6
    frames = np.broadcast_to(ramp, (40, HEIGHT, WIDTH, 3)).copy()
    none = world.info.spec.zeros(CHUNK)
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        for episode in (frames[:12], frames[12:]):
            writer.begin_episode(prompt="", seed=0)
            for k in range(len(episode) // CHUNK):
                part = episode[k * CHUNK : (k + 1) * CHUNK]
                writer.write(part, none, none, prompt="", chunk=k)
            writer.end_episode()
    data = RolloutDataset.open(tmp_path / "a")
    for start in range(0, 24):
        window = data.read(1, start, 5)
        shades = window.frames.reshape(5, -1).mean(1)
        np.testing.assert_allclose(shades, (np.arange(5) + 12 + start) * 6, atol=2)


def test_appending_continues_the_numbers(tmp_path):
    record_dataset(tmp_path / "a", [2])
    record_dataset(tmp_path / "a", [3, 1])
    data = RolloutDataset.open(tmp_path / "a")
    assert [(e.index, e.length, e.part) for e in data.episodes] == [
        (0, 8, 0),
        (1, 12, 1),
        (2, 4, 1),
    ]
    rows = pq.read_table(Layout(tmp_path / "a").data(1))
    assert rows["index"].to_pylist() == list(range(8, 24))
    info = json.loads(Layout(tmp_path / "a").info.read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 24, 2)


def test_a_part_closes_when_it_is_full(tmp_path):
    record_dataset(tmp_path / "a", [2, 2, 2], config=WriterConfig(part_bytes=1))
    _, parts = read_record(Layout(tmp_path / "a"))
    assert [(p.number, p.episodes) for p in parts] == [(0, 1), (1, 1), (2, 1)]
    assert RolloutDataset.open(tmp_path / "a").read(2).frames.shape[0] == 2 * CHUNK


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 10}, "fps is 20, not 10"),
        ({"width": 64}, "width is 48, not 64"),
        ({"extras": (Column(name="reward"),)}, "extra columns are pose, not reward"),
        ({"actions": type(small_spec().actions)()}, "action channels are move_forward"),
    ],
)
def test_another_spec_is_refused(tmp_path, changes, message):
    record_dataset(tmp_path / "a", [1])
    with pytest.raises(ValueError, match=message):
        RolloutWriter.open(tmp_path / "a", small_spec(**{"extras": (POSE,)} | changes))


def test_a_second_writer_is_refused(tmp_path):
    with (
        RolloutWriter.open(tmp_path / "a", small_spec()),
        pytest.raises(ValueError, match="being written by another process"),
    ):
        RolloutWriter.open(tmp_path / "a", small_spec())


def test_a_process_forked_meanwhile_does_not_hold_the_folder(tmp_path):
    with RolloutWriter.open(tmp_path / "a", small_spec()) as writer:
        inherited = os.dup(writer._lock._file.fileno())  # what a fork does with every open file
    RolloutWriter.open(tmp_path / "a", small_spec()).close()
    os.close(inherited)


def test_an_episode_that_an_error_breaks_off_is_not_complete(tmp_path):
    world = small_world()
    with (
        pytest.raises(KeyboardInterrupt),
        RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer,
    ):
        record_episode(writer, world, chunks=2)
        actions = world.info.spec.zeros(CHUNK)
        writer.begin_episode(prompt="", seed=1)
        frames = np.zeros((CHUNK, HEIGHT, WIDTH, 3), np.uint8)
        writer.write(frames, actions, actions, prompt="", chunk=0)
        raise KeyboardInterrupt
    found = RolloutDataset.open(tmp_path / "a").episodes
    assert [(e.length, e.complete) for e in found] == [(2 * CHUNK, True), (CHUNK, False)]


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("no")
    with pytest.raises(ValueError, match="no recording"):
        RolloutWriter.open(tmp_path, small_spec())


def test_empty_episodes_are_refused_and_leave_no_trace(tmp_path):
    world = small_world()
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        writer.begin_episode(prompt="never", seed=1)
        with pytest.raises(ValueError, match="no frames"):
            writer.end_episode()
        writer.drop_episode()
        record_episode(writer, world, chunks=1)
        writer.begin_episode(prompt="never", seed=2)
    data = RolloutDataset.open(tmp_path / "a")
    assert len(data.episodes) == 1 and data.episodes[0].tasks == ("a meadow",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((CHUNK, HEIGHT, WIDTH + 2, 3), np.uint8)}, "frames are uint8"),
        ({"frames": np.zeros((CHUNK, HEIGHT, WIDTH, 3), np.float32)}, "frames are float32"),
        ({"frames": np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)}, "chunk of no frames"),
        ({"applied": np.full((CHUNK, 6), np.nan)}, "outside"),
        ({"requested": np.zeros((CHUNK + 1, 6))}, "action.requested has shape"),
        ({"prompt": "half a pair \ud83d"}, "not valid Unicode"),
        ({"extra": {"pose": np.zeros((CHUNK, 2))}}, "extra columns"),
    ],
)
def test_a_wrong_chunk_is_refused_and_the_recording_goes_on(tmp_path, change, message):
    world = small_world()
    good = {
        "frames": np.zeros((CHUNK, HEIGHT, WIDTH, 3), np.uint8),
        "requested": world.info.spec.zeros(CHUNK),
        "applied": world.info.spec.zeros(CHUNK),
        "prompt": "",
        "chunk": 0,
    }
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        writer.begin_episode(prompt="", seed=0)
        with pytest.raises(ValueError, match=message):
            writer.write(**good | change)
        writer.write(**good)
    assert not writer.error
    assert RolloutDataset.open(tmp_path / "a").frames == CHUNK


def test_a_presented_part_of_a_chunk_keeps_the_rest_of_its_actions(tmp_path):
    world = small_world()
    actions = walk(world, 1, seed=3)[0]
    _, frames = world.advance(world.start(seed=0), actions)
    plan = PlanRecord(actions=tuple(tuple(map(float, row)) for row in actions), cut=(True, 2))
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        writer.begin_episode(prompt="", seed=0)
        writer.write(
            frames[1:3], actions[1:3], actions[1:3], prompt="", chunk=0, offsets=[1, 2], plan=plan
        )
    columns = RolloutDataset.open(tmp_path / "a").columns(0)
    assert columns["chunk.offset"].tolist() == [1, 2]
    stored = PlanRecord.from_text(columns["latch.plan"][0])
    assert stored == plan
    np.testing.assert_array_equal(np.array(stored.actions, np.float32), actions)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    episodes=st.lists(
        st.tuples(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.text(max_size=40)),
        min_size=1, max_size=4,
    ),
    split=st.booleans(),
)  # fmt: skip
def test_any_lengths_and_any_text_survive(tmp_path_factory, episodes, split):
    """Chunks of any size, prompts of any Unicode, one part or one per episode."""
    root = tmp_path_factory.mktemp("any") / "a"
    world = small_world(height=16, width=16)
    config = WriterConfig(part_bytes=1 if split else 10**9, queue_chunks=2)
    rng = np.random.default_rng(0)
    with RolloutWriter.open(root, small_spec(world), config=config) as writer:
        for chunks, prompt in episodes:
            writer.begin_episode(prompt=prompt, seed=0)
            for k, n in enumerate(chunks):
                frames = rng.integers(0, 256, (n, 16, 16, 3), np.uint8)
                none = world.info.spec.zeros(n)
                writer.write(frames, none, none, prompt=prompt + str(k // 2), chunk=k)
            writer.end_episode()
    assert not writer.error
    data = RolloutDataset.open(root)
    assert [e.length for e in data.episodes] == [sum(chunks) for chunks, _ in episodes]
    for e, (chunks, prompt) in enumerate(episodes):
        window = data.read(e)
        expected = [prompt + str(k // 2) for k, n in enumerate(chunks) for _ in range(n)]
        assert list(window.prompts) == expected and data.episodes[e].header.prompt == prompt
        assert len(window.frames) == sum(chunks)
    video_end = pq.read_table(Layout(root).episodes(0))[f"videos/{CAMERA}/to_timestamp"]
    assert video_end[-1].as_py() * world.info.fps == pytest.approx(
        sum(e.length for e in data.episodes if e.part == 0)
    )
