"""Recordings that end badly: kill -9, a full disk, a folder that cannot be written."""

import json
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from engine.rollouts.journal import read_journal
from engine.rollouts.layout import Layout, read_record
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.repair import repair
from engine.rollouts.video import copy_packets
from engine.rollouts.writer import RolloutWriter
from tests.engine.rollouts.crash_child import shade
from tests.engine.rollouts.scenes import (
    CHUNK,
    record_dataset,
    record_episode,
    small_spec,
    small_world,
)


def test_kill_9_loses_at_most_the_last_chunk(tmp_path):
    _kill_many(tmp_path, kills=3, seed=0)


@pytest.mark.full
def test_kill_9_at_200_random_moments(tmp_path):
    for series in range(20):
        _kill_many(tmp_path / str(series), kills=10, seed=series)


def _kill_many(root, *, kills, seed):
    """Kill one recording after another in one folder; nothing stored may be missing or wrong."""
    rng = random.Random(seed)
    frames_before = 0
    for _ in range(kills):
        stored = _kill_after(root, rng.uniform(0.0, 0.6))
        data = RolloutDataset.open(root)
        assert data.frames - frames_before >= (stored - 1) * CHUNK, "more than a chunk is missing"
        _check_frames(data)
        repair(Layout(root))
        repaired = RolloutDataset.open(root)
        assert repaired.frames == data.frames and not Layout(root).journal.exists()
        assert [e.complete for e in repaired.episodes] == [e.complete for e in data.episodes]
        _check_frames(repaired)
        frames_before = data.frames


def _kill_after(root, seconds) -> int:
    """Chunks that the child had reported stored when it died."""
    command = [sys.executable, "-m", "tests.engine.rollouts.crash_child", str(root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"1\n"
    time.sleep(seconds)
    child.kill()
    rest = child.stdout.read().split(b"\n")[:-1]
    assert child.wait() == -9, "the recording failed before it was killed"
    return int(rest[-1]) if rest else 1


def _check_frames(data):
    """Every frame is the one that its row says, and every episode but the last ones is whole."""
    for e in data.episodes:
        if e.index < len(data.episodes) - 4:
            continue
        window = data.read(e.index)
        greys = window.frames.reshape(e.length, -1).mean(1)
        expected = [shade(e.index, i) for i in range(e.length)]
        np.testing.assert_allclose(greys, expected, atol=3)
        assert data.state(e.index) == b"s" * 100
        latents = data.latents(e.index)
        assert sorted(latents) == list(range(e.length // CHUNK))
        assert all((values == expected[k * CHUNK]).all() for k, values in latents.items())
        assert e.length == (2 + e.index % 4) * CHUNK or not e.complete


def test_a_crash_after_publication_does_not_double_it(tmp_path):
    """Between the commit and the removal of the journal, and between any two files before it."""
    world = small_world()
    writer = RolloutWriter.open(tmp_path / "a", small_spec(world))
    record_episode(writer, world, chunks=4)
    while writer.status.chunks_stored < 4:
        time.sleep(0.001)
    shutil.copytree(tmp_path / "a" / "journal", tmp_path / "journal")
    writer.close()
    published = RolloutDataset.open(tmp_path / "a").frames
    shutil.copytree(tmp_path / "journal", tmp_path / "a" / "journal")
    assert RolloutDataset.open(tmp_path / "a").frames == published
    assert repair(Layout(tmp_path / "a")).frames == 0
    assert RolloutDataset.open(tmp_path / "a").frames == published


@pytest.mark.parametrize("survivors", range(6))
def test_a_crash_inside_publication_is_repaired(tmp_path, monkeypatch, survivors):
    """Publication stops after some of its files; the next open gives the same dataset."""
    import engine.rollouts.layout as layout
    import engine.rollouts.publish as publish

    record_dataset(tmp_path / "a", [2])
    left = [survivors]

    def broken(path, write):
        if left[0] == 0:
            raise OSError("the power went")
        left[0] -= 1
        layout.replace_file(path, write)

    monkeypatch.setattr(publish, "replace_file", broken)
    monkeypatch.setattr(publish, "write_record", lambda *_: broken(None, None))
    world = small_world()
    from tests.engine.rollouts.scenes import POSE

    with RolloutWriter.open(tmp_path / "a", small_spec(world, extras=(POSE,))) as writer:
        truth = record_episode(writer, world, chunks=5)
    assert "the power went" in writer.error
    monkeypatch.undo()
    assert RolloutDataset.open(tmp_path / "a").frames == (2 + 5) * CHUNK
    repair(Layout(tmp_path / "a"))
    data = RolloutDataset.open(tmp_path / "a")
    assert data.frames == (2 + 5) * CHUNK and len(data.episodes) == 2
    assert data.read(1).frames.shape == truth.shape
    counts = json.loads(Layout(tmp_path / "a").stats.read_text())["action"]["count"]
    assert counts == [(2 + 5) * CHUNK]


def test_a_full_disk_stops_the_recording_and_not_the_play(tmp_path):
    command = [sys.executable, "-m", "tests.engine.rollouts.disk_full_child"]
    out = subprocess.run(
        [*command, str(tmp_path / "a"), "100000"], capture_output=True, text=True, check=True
    )
    status = json.loads(out.stdout)
    assert "too large" in status["error"] and status["frames"] == 100 * CHUNK
    assert 0 < status["chunks_stored"] < 100
    assert "Traceback" not in out.stderr
    kept = repair(Layout(tmp_path / "a"))
    assert kept.frames >= (status["chunks_stored"] - 1) * CHUNK
    data = RolloutDataset.open(tmp_path / "a")
    assert not data.episodes[0].complete and data.read(0).frames.shape[0] == kept.frames


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        RolloutWriter.open(tmp_path / "file" / "a", small_spec())


def test_a_journal_that_cannot_be_made_shows_in_the_status(tmp_path):
    world = small_world()
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        (tmp_path / "a" / "journal").write_text("in the way")
        record_episode(writer, world, chunks=3)
    assert "recording to" in writer.error
    with pytest.raises(OSError, match="recording to"):
        writer.raise_if_failed()


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_journal_gives_whole_chunks(tmp_path, keep):
    """Cut each of the journal's growing files anywhere: what remains is consistent."""
    world = small_world()
    writer = RolloutWriter.open(tmp_path / "a", small_spec(world))
    record_episode(writer, world, chunks=6)
    while writer.status.chunks_stored < 6:
        time.sleep(0.001)
    for name in ("video.mp4", "frames.arrow"):
        torn = tmp_path / name.replace(".", "-")
        shutil.copytree(tmp_path / "a" / "journal", torn)
        whole = (torn / name).read_bytes()
        (torn / name).write_bytes(whole[: int(len(whole) * keep)])
        view = read_journal(torn)
        if view is None:
            assert keep < 0.5
            continue
        assert view.rows.num_rows % CHUNK == 0 and view.rows.num_rows <= 5 * CHUNK + CHUNK
        copy_packets([(view.video, view.rows.num_rows)], tmp_path / "copy.mp4")
    writer.close()


def test_a_repair_of_nothing_changes_nothing(tmp_path):
    record_dataset(tmp_path / "a", [2])
    before = read_record(Layout(tmp_path / "a"))
    assert repair(Layout(tmp_path / "a")).episodes == 0
    assert read_record(Layout(tmp_path / "a")) == before
