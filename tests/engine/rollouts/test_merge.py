"""Merges: repeated, killed, of sources that grow, that are recorded anew, that do not fit."""

import shutil
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from engine.rollouts.layout import Layout, read_record, write_record
from engine.rollouts.merge import merge
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.replay import verify
from engine.rollouts.writer import RolloutWriter
from tests.engine.rollouts.scenes import (
    CHUNK,
    record_dataset,
    record_episode,
    small_spec,
    small_world,
)


def _record(folder, *, seed=0, parent=None):
    """One more episode, in a part of its own."""
    world = small_world()
    with RolloutWriter.open(folder, small_spec(world)) as writer:
        record_episode(writer, world, chunks=1, seed=seed, parent=parent)


def _seeds_and_parents(folder):
    return [(e.header.seed, e.header.parent) for e in RolloutDataset.open(folder).episodes]


def test_a_merge_keeps_frames_states_and_parents(tmp_path):
    record_dataset(tmp_path / "other", [2])
    world, truth = small_world(), []
    for name in ("a", "b"):
        for k in range(2):
            with RolloutWriter.open(tmp_path / name, small_spec(world)) as writer:
                parent = (0, 3) if k else None
                truth.append(record_episode(writer, world, chunks=2 + k, seed=k, parent=parent))
    sources = [(name, tmp_path / name) for name in ("a", "b")]
    merge(tmp_path / "all", sources)
    data = RolloutDataset.open(tmp_path / "all")
    assert [e.length for e in data.episodes] == [2 * CHUNK, 3 * CHUNK] * 2
    assert [e.header.parent for e in data.episodes] == [None, (0, 3), None, (2, 3)]
    assert len(read_record(Layout(tmp_path / "all"))[1]) == 1, "one part of four"
    for i, frames in enumerate(truth):
        assert np.abs(data.read(i).frames.astype(int) - frames).mean() < 10
        assert verify(world, data, i).identical
    merge(tmp_path / "all", sources)
    assert len(RolloutDataset.open(tmp_path / "all").episodes) == 4, "merged twice, there once"
    with pytest.raises(ValueError, match="does not fit"):
        merge(tmp_path / "all", [("other", tmp_path / "other")])


def test_a_merge_goes_on_where_it_was_killed(tmp_path):
    world = small_world()
    for k in range(3):
        with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
            record_episode(writer, world, chunks=1, seed=k, parent=(0, 0) if k else None)

    def killed(episodes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(tmp_path / "all", [("a", tmp_path / "a")], part_bytes=1, on_part=killed)
    assert len(RolloutDataset.open(tmp_path / "all").episodes) == 1
    merge(tmp_path / "all", [("a", tmp_path / "a")], part_bytes=1)
    data = RolloutDataset.open(tmp_path / "all")
    assert [e.header.seed for e in data.episodes] == [0, 1, 2]
    assert data.episodes[2].header.parent == (0, 0)


def test_parents_are_found_where_a_source_grew_between_two_merges(tmp_path):
    sources = [(name, tmp_path / name) for name in ("mon", "tue")]
    for seed, (_, folder) in enumerate(sources):
        _record(folder, seed=seed)
    merge(tmp_path / "all", sources)
    _record(tmp_path / "mon", seed=2, parent=(0, 3))
    _record(tmp_path / "mon", seed=3, parent=(1, 1))
    _record(tmp_path / "tue", seed=4, parent=(0, 2))
    merge(tmp_path / "all", sources)
    family = [(0, None), (1, None), (2, (0, 3)), (3, (2, 1)), (4, (1, 2))]
    assert _seeds_and_parents(tmp_path / "all") == family


def test_a_folder_recorded_anew_is_not_taken_for_what_it_was(tmp_path):
    _record(tmp_path / "a", seed=0)
    merge(tmp_path / "all", [("a", tmp_path / "a")])
    shutil.rmtree(tmp_path / "a")
    _record(tmp_path / "a", seed=1)
    _record(tmp_path / "a", seed=2, parent=(0, 0))
    for _ in range(2):
        merge(tmp_path / "all", [("a", tmp_path / "a")] * 2)
        assert _seeds_and_parents(tmp_path / "all") == [(0, None), (1, None), (2, (1, 0))]


def test_a_merge_from_before_digests_is_not_repeated(tmp_path):
    """Then `origins` named a part by source and number alone."""
    _record(tmp_path / "a", seed=0)
    merge(tmp_path / "all", [("a", tmp_path / "a")])
    layout = Layout(tmp_path / "all")
    spec, [part] = read_record(layout)
    write_record(layout, spec, [replace(part, origins={"a#0": 0})])
    _record(tmp_path / "a", seed=1, parent=(0, 2))
    merge(tmp_path / "all", [("a", tmp_path / "a")])
    assert _seeds_and_parents(tmp_path / "all") == [(0, None), (1, (0, 2))]


def test_sources_by_the_thousand_need_no_open_file_each(tmp_path):
    _record(tmp_path / "a")
    names = [f"copy-{k}" for k in range(6)]
    for name in names:
        shutil.copytree(tmp_path / "a", tmp_path / name)
    opened = []
    merge(
        tmp_path / "all", [(name, tmp_path / name) for name in names], part_bytes=1,
        on_part=lambda episodes: opened.append(psutil.Process().num_fds()),
    )  # fmt: skip
    assert opened[-1] <= opened[0], "no more open files after the last than after the first"
    assert len(RolloutDataset.open(tmp_path / "all").episodes) == 6


def test_a_target_among_its_sources_is_not_doubled(tmp_path):
    """As in `helios rollouts merge runs/all runs/*`, the second time."""
    target = tmp_path / "all"
    with pytest.raises(ValueError, match="is not a recording"):
        merge(target, [("all", target)])
    for seed in range(2):
        _record(tmp_path / f"night-{seed}", seed=seed)
        merge(target, [(path.name, path) for path in sorted(tmp_path.iterdir())])
    assert _seeds_and_parents(target) == [(0, None), (1, None)]


def test_what_does_not_fit_leaves_nothing_behind(tmp_path):
    _record(tmp_path / "a", seed=0)
    record_dataset(tmp_path / "posed", [1])
    both = [(name, tmp_path / name) for name in ("posed", "a")]
    with pytest.raises(ValueError, match="a does not fit"):
        merge(tmp_path / "all", both)
    assert not (tmp_path / "all").exists()
    merge(tmp_path / "all", both[1:])
    assert _seeds_and_parents(tmp_path / "all") == [(0, None)]


def test_a_source_that_is_being_recorded_or_damaged_is_refused(tmp_path):
    world = small_world()
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        record_episode(writer, world, chunks=2)
        while writer.status.chunks_stored < 2:
            time.sleep(0.001)
        with pytest.raises(ValueError, match="is being recorded"):
            merge(tmp_path / "all", [("a", tmp_path / "a")])
    _record(tmp_path / "a", parent=(7, 0))
    with pytest.raises(ValueError, match="episode 1 has the parent 7"):
        merge(tmp_path / "all", [("a", tmp_path / "a")])
    assert not (tmp_path / "all").exists()
