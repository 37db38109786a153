"""What the Rerun export logs, told by a stand-in for its package, which weighs half a gigabyte."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine.cli import main
from engine.rollouts.reader import RolloutDataset
from tests.engine.rollouts.scenes import CHUNK, record_dataset


class _Stream:
    """A recording stream that remembers."""

    made: list["_Stream"]

    def __init__(self, application, *, recording_id):
        self.name, self.now, self.logged, self.closed = recording_id, {}, [], False
        type(self).made.append(self)

    def save(self, path):
        path.write_bytes(b"RRF2")

    def set_time(self, timeline, **value):
        self.now[timeline] = next(iter(value.values()))

    def log(self, path, entity):
        self.logged.append((dict(self.now), path, entity))

    def flush(self):
        assert not self.closed

    def disconnect(self):
        self.closed = True


@pytest.fixture
def streams(monkeypatch):
    _Stream.made = []
    fake = SimpleNamespace(
        RecordingStream=_Stream,
        Image=lambda picture: SimpleNamespace(compress=lambda jpeg_quality: picture),
        Scalars=lambda value: value,
        TextLog=lambda text: text,
    )
    monkeypatch.setitem(sys.modules, "rerun", fake)
    return _Stream.made


def test_every_frame_is_logged_at_its_time(streams, tmp_path):
    record_dataset(tmp_path / "a", [20, 1])
    command = ["rollouts", "export", str(tmp_path / "a"), "--format", "rerun"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["episode-000000.rrd", "episode-000001.rrd"]
    data, stream = RolloutDataset.open(tmp_path / "a"), streams[0]
    assert all(s.closed for s in streams) and stream.name != streams[1].name
    pictures = [(now, value) for now, path, value in stream.logged if path == "camera"]
    assert [now["frame"] for now, _ in pictures] == list(range(20 * CHUNK))
    assert pictures[30][0]["time"] == pytest.approx(30 / data.spec.fps)
    np.testing.assert_array_equal(
        np.stack([p for _, p in pictures[60:70]]), data.read(0, 60, 10).frames
    )
    yaw = [value for _, path, value in stream.logged if path == "action/look_yaw"]
    np.testing.assert_allclose(yaw, data.read(0).applied[:, 2], rtol=1e-6)
    paths = {path for _, path, _ in stream.logged}
    assert {"action/requested/look_yaw", "pose/x", "pose/y", "frame/age_ms"} <= paths
    texts = [(now["frame"], value) for now, path, value in stream.logged if path == "prompt"]
    assert texts == [(0, "a meadow"), (2 * CHUNK, "snow ☃ falls")]


def test_without_rerun_one_sentence_names_the_extra(tmp_path, monkeypatch, capsys):
    record_dataset(tmp_path / "a", [1])
    monkeypatch.setitem(sys.modules, "rerun", None)
    command = ["rollouts", "export", str(tmp_path / "a"), "--format", "rerun"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "helios-engine[rerun]" in error and error.count("\n") == 1
