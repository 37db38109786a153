"""The reader: random windows that resume exactly, journals read as they are, clear refusals."""

import importlib
import pickle
import threading
import time
from itertools import islice

import numpy as np
import pytest

from engine.rollouts.reader import RolloutDataset
from engine.rollouts.writer import RolloutWriter
from tests.engine.rollouts.scenes import (
    CHUNK,
    POSE,
    record_dataset,
    record_episode,
    small_spec,
    small_world,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "a"
    record_dataset(path, [3, 1, 6])
    return path


def test_windows_resume_exactly(root):
    whole = list(islice(RolloutDataset.open(root).windows(6, seed=5), 8))
    stream = RolloutDataset.open(root).windows(6, seed=5)
    for _ in range(3):
        next(stream)
    again = RolloutDataset.open(root).windows(6, seed=5, start=stream.position)
    for before, after in zip(whole[3:], again, strict=False):
        assert (before.episode, before.start) == (after.episode, after.start)
        np.testing.assert_array_equal(before.frames, after.frames)


def test_another_seed_gives_other_windows(root):
    def places(seed):
        stream = RolloutDataset.open(root).windows(6, seed=seed)
        return [stream.draw(i) for i in range(8)]

    assert places(0) == places(0) and places(0) != places(1)


def test_shards_share_the_stream_without_overlap(root):
    data = RolloutDataset.open(root)
    whole = data.windows(6, seed=2)
    shards = [data.windows(6, seed=2, shard=(k, 3)) for k in range(3)]
    assert [whole.draw(i) for i in range(9)] == [shards[i % 3].draw(i // 3) for i in range(9)]


def test_every_position_is_equally_likely(root):
    stream = RolloutDataset.open(root).windows(8, seed=0)
    places, counts = np.unique([stream.draw(i) for i in range(4400)], axis=0, return_counts=True)
    assert len(places) == (12 - 7) + (24 - 7), "the episode of 4 frames has no window of 8"
    assert counts.min() > 140 and counts.max() < 270, "200 expected of each"


def test_windows_of_chosen_episodes(root):
    stream = RolloutDataset.open(root).windows(4, seed=0, episodes=[1])
    assert [stream.draw(i) for i in range(3)] == [(1, 0)] * 3


def test_a_window_too_long_is_refused(root):
    data = RolloutDataset.open(root)
    with pytest.raises(ValueError, match="the longest has 24"):
        data.windows(25)
    with pytest.raises(ValueError, match="episode 1 has 4 frames"):
        data.read(1, 2, 3)
    with pytest.raises(ValueError, match="no episode 9"):
        data.read(9)


def test_a_pickled_dataset_opens_again(root):
    data = pickle.loads(pickle.dumps(RolloutDataset.open(root)))
    assert data.read(0, 0, 2).frames.shape[0] == 2


def test_no_recording_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="is not a recording: it has no meta"):
        RolloutDataset.open(tmp_path)
    with pytest.raises(ValueError, match="is not a recording: there is no such folder"):
        RolloutDataset.open(tmp_path / "nowhere")


def test_a_recording_is_readable_while_it_goes_on(tmp_path):
    world = small_world()
    with RolloutWriter.open(tmp_path / "a", small_spec(world, extras=(POSE,))) as writer:
        truth = record_episode(writer, world, chunks=5, switches={2: "snow"})
        while writer.status.chunks_stored < 5:
            pass
        data = RolloutDataset.open(tmp_path / "a")
        window = data.read(0)
        assert len(truth) - CHUNK <= len(window.frames) < len(truth), "the newest chunk may wait"
        assert np.abs(window.frames.astype(int) - truth[: len(window.frames)]).mean() < 10
        assert world.load_state(data.state(0)).chunk == 0
        assert window.prompts[8] == "snow"
    assert RolloutDataset.open(tmp_path / "a").read(0).frames.shape == truth.shape


def _recording(folder, *, latents=(1, 1, 2, 2)):
    """A recording under way, its first episode stored and one frame of it still to be filmed."""
    world = small_world()
    writer = RolloutWriter.open(folder, small_spec(world, latents=latents))
    state = world.start(seed=0)
    for k in range(2):
        writer.begin_episode(prompt="", seed=0, state=b"start %d" % k)
        for chunk in range(3):
            none = world.info.spec.zeros(CHUNK)
            state, frames = world.advance(state, none)
            kept = np.full(latents, 10 * k + chunk, np.float32)
            writer.write(frames, none, none, prompt=str(k), chunk=chunk, latents=kept)
        if k == 0:
            writer.end_episode()
    while writer.status.chunks_stored < 6:
        time.sleep(0.001)
    return writer


def _check_as_of_then(data):
    """Both episodes whole, or the second without its newest chunk."""
    first, second = data.episodes
    assert first.length == 3 * CHUNK and second.length in (2 * CHUNK, 3 * CHUNK)
    for k, e in enumerate(data.episodes):
        assert data.read(e.index).frames.shape[0] == e.length
        assert data.columns(e.index)["prompt"].tolist() == [str(k)] * e.length
        assert data.state(e.index) == b"start %d" % k
        kept = data.latents(e.index)
        assert {c: v.max() for c, v in kept.items()} == {
            c: 10 * k + c for c in range(e.length // CHUNK)
        }


def test_what_was_open_while_the_writer_closed_stays_readable(tmp_path):
    writer = _recording(tmp_path / "a")
    data = RolloutDataset.open(tmp_path / "a")
    writer.close()
    assert not (tmp_path / "a/journal").exists()
    assert data.episodes[1].length == 2 * CHUNK
    _check_as_of_then(data)


@pytest.mark.parametrize(
    "moment", ["journal.count_fragments", "journal.keys", "reader.read_record"]
)
def test_a_publication_while_the_dataset_is_opened_hides_nothing(tmp_path, monkeypatch, moment):
    writer = _recording(tmp_path / "a")
    module, name = moment.split(".")
    module = importlib.import_module(f"engine.rollouts.{module}")
    original = getattr(module, name)

    def meanwhile(*arguments):
        if threading.current_thread() is not threading.main_thread():
            return original(*arguments)
        before = original(*arguments) if name == "read_record" else None
        writer.close()
        return before or original(*arguments)

    monkeypatch.setattr(module, name, meanwhile)
    _check_as_of_then(RolloutDataset.open(tmp_path / "a"))
