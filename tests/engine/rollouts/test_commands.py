"""`helios rollouts`: what each action prints, writes and refuses."""

import csv
import json
import shutil
import time

import numpy as np
import pytest

from engine.cli import bench_env, main
from engine.rollouts.check import check
from engine.rollouts.export import export
from engine.rollouts.layout import Layout
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.recorder import OUTCOME
from engine.rollouts.writer import RolloutWriter
from engine.video import read_image
from tests.engine.rollouts.scenes import (
    CHUNK,
    HEIGHT,
    WIDTH,
    record_dataset,
    record_episode,
    small_spec,
    small_world,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("commands") / "a"
    record_dataset(path, [3, 4])
    return path


def test_info_counts(root, capsys):
    assert main(["rollouts", "info", str(root)]) == 0
    out = capsys.readouterr().out
    assert "2 episodes, 28 frames" in out and "48x32 at 20 fps" in out
    assert "2 x 'snow ☃ falls'" in out and "pack: null (2)" in out and "also: pose" in out


def test_check_finds_each_kind_of_damage(root, tmp_path, capsys):
    assert main(["rollouts", "check", str(root)]) == 0
    assert "all is well" in capsys.readouterr().out
    harms = {
        "video cannot be read": lambda a: Layout(a).video(0).write_bytes(b"gone"),
        "rows cannot be read": lambda a: Layout(a).data(0).write_bytes(b"PAR1"),
        "start state cannot be read": lambda a: Layout(a).states(0).unlink(),
        "episodes cannot be read": lambda a: Layout(a).episodes(0).unlink(),
        "tasks.parquet is missing": lambda a: Layout(a).tasks.unlink(),
    }
    for problem, harm in harms.items():
        broken = tmp_path / problem
        shutil.copytree(root, broken)
        harm(broken)
        assert any(problem in found for found in check(broken)), problem
        assert main(["rollouts", "check", str(broken)]) == 1
        assert problem in capsys.readouterr().out


def test_check_repairs_what_a_crash_left(tmp_path, capsys):
    world = small_world()
    writer = RolloutWriter.open(tmp_path / "a", small_spec(world))
    record_episode(writer, world, chunks=3)
    while writer.status.chunks_stored < 3:
        time.sleep(0.001)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    writer.close()
    assert main(["rollouts", "check", str(tmp_path / "b")]) == 1
    assert "interrupted" in capsys.readouterr().out
    assert main(["rollouts", "check", "--repair", str(tmp_path / "b")]) == 0
    assert "repaired: 1 episodes, 8 frames; 4 lost" in capsys.readouterr().out


def test_frames_and_a_table_hold_every_value(root, tmp_path):
    assert main(["rollouts", "export", str(root), "--out", str(tmp_path / "out")]) == 0
    data = RolloutDataset.open(root)
    folder = tmp_path / "out" / "episode-000001"
    with open(folder / "rows.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * CHUNK and rows[-1]["prompt"] == "snow ☃ falls"
    yaw = [float(row["action.look_yaw"]) for row in rows]
    np.testing.assert_allclose(yaw, data.read(1).applied[:, 2], rtol=1e-6)
    picture = read_image(folder / "frame-000015.png")
    np.testing.assert_array_equal(picture, data.read(1, 15, 1).frames[0])
    with pytest.raises(ValueError, match="not empty"):
        export(data, tmp_path / "out", "frames")


def test_hdf5_holds_steps_as_rlds_names_them(root, tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    data = RolloutDataset.open(root)
    export(data, tmp_path / "out", "hdf5")
    with h5py.File(tmp_path / "out" / "rollouts.hdf5") as file:
        group = file["episode_0"]
        np.testing.assert_array_equal(group["observation/image"][:], data.read(0).frames)
        np.testing.assert_array_equal(group["action"][:], data.read(0).applied)
        assert group["is_last"][:].tolist() == [False] * 11 + [True]
        assert group["language_instruction"][11].decode() == "snow ☃ falls"


def test_minari_opens_an_export(root, tmp_path, monkeypatch):
    pytest.importorskip("h5py", reason="h5py is not installed")
    minari = pytest.importorskip("minari", reason="minari is not installed")
    out = tmp_path / "helios" / "walks-v0"
    export(RolloutDataset.open(root), out, "minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    dataset = minari.MinariDataset(out / "data")
    episode = next(iter(dataset.iterate_episodes([1])))
    window = RolloutDataset.open(root).read(1)
    np.testing.assert_array_equal(episode.observations, window.frames)
    np.testing.assert_array_equal(episode.actions, window.applied[1:])
    assert dataset.total_episodes == 2 and episode.truncations[-1]


def test_an_episode_that_came_to_its_end_is_not_truncated(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    pytest.importorskip("minari", reason="minari is not installed")
    spec = small_spec(extras=OUTCOME)
    actions, frames = spec.actions.zeros(CHUNK), np.zeros((CHUNK, HEIGHT, WIDTH, 3), np.uint8)
    with RolloutWriter.open(tmp_path / "a", spec) as writer:
        for done in (True, False):
            ends = np.arange(CHUNK) == (CHUNK - 1 if done else CHUNK)
            outcome = {"next.reward": np.zeros(CHUNK), "next.done": ends}
            writer.begin_episode(prompt="", seed=0)
            writer.write(frames, actions, actions, prompt="", chunk=0, extra=outcome)
            writer.end_episode()
    export(RolloutDataset.open(tmp_path / "a"), tmp_path / "out", "minari")
    with h5py.File(tmp_path / "out/data/main_data.hdf5") as file:
        ends = [(file[e]["terminations"][-1], file[e]["truncations"][-1]) for e in sorted(file)]
    assert ends == [(True, False), (False, True)]


def test_merge_joins(root, tmp_path, capsys):
    record_dataset(tmp_path / "b", [1])
    assert main(["rollouts", "merge", str(tmp_path / "c"), str(root), str(tmp_path / "b")]) == 0
    assert "3 episodes" in capsys.readouterr().out


def test_generate_makes_a_dataset(tmp_path, capsys):
    arguments = [
        "--pack",
        "random",
        "--episodes",
        "2",
        "--chunks",
        "1",
        "--out",
        str(tmp_path / "a"),
    ]
    assert main(["rollouts", "generate", *arguments]) == 0
    assert "2 episodes, 8 frames" in capsys.readouterr().out
    assert main(["rollouts", "generate", "--pack", "no-such", "--out", str(tmp_path / "b")]) == 2
    assert "no-such" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["info", "check", "export", "view"])
def test_no_recording_is_one_clear_sentence(tmp_path, capsys, action):
    more = ["--out", str(tmp_path / "o")] if action == "export" else []
    assert main(["rollouts", action, str(tmp_path), *more]) == 2
    error = capsys.readouterr().err
    assert "is not a recording" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "harm",
    [
        lambda body: [],
        lambda body: {k: v for k, v in body.items() if k != "spec"},
        lambda body: body | {"parts": [{"number": 0, "colour": 3}]},
        lambda body: body | {"parts": 5},
        lambda body: body | {"spec": {"fps": 20}},
    ],
)
def test_a_damaged_record_is_one_clear_sentence(root, tmp_path, capsys, harm):
    shutil.copytree(root, tmp_path / "a")
    record = Layout(tmp_path / "a").record
    record.write_text(json.dumps(harm(json.loads(record.read_text("utf-8")))))
    assert main(["rollouts", "info", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err
    assert f"{record} is damaged: " in error and error.count("\n") == 1


def test_the_bench_prints_a_line_per_batch(capsys):
    assert main(["bench", "env", "--chunks", "2", "--warmup", "0", "--batch", "1", "2"]) == 0
    *_, one, two, _, last = capsys.readouterr().out.splitlines()
    assert one.split()[0] == "1" and "1.00 x" in one and "of the floor" in two
    report = json.loads(last)
    assert report["bench"] == "env" and report["hardware"]["torch"] and report["warmup"] == 0
    for row, worlds in zip(report["rows"], (1, 2), strict=True):
        assert row["worlds"] == worlds and row["p95_ms"] >= row["p50_ms"] > 0
        assert row["floor_fraction"] == pytest.approx(row["floor_ms"] / row["p50_ms"], abs=1e-3)
    assert report["rows"][1]["gflop"] > 1.8 * report["rows"][0]["gflop"] > 0
    for wrong in (["--chunks", "0"], ["--batch", "1", "0"], ["--warmup", "-1"]):
        assert main(["bench", "env", *wrong]) == 2


def test_the_bench_takes_a_world_without_products(capsys):
    assert main(["bench", "env", "--pack", "null", "--chunks", "1", "--batch", "1"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["ceilings"] is None and report["rows"][0]["floor_fraction"] is None


def test_the_bench_says_what_limits_a_batch():
    says = bench_env._why([1, 2, 4, 8], [0.012, 0.014, 0.018, 0.026])
    assert says.startswith("a step costs 10.0 ms and 2.0 ms per world")
    assert says.endswith("no batch gives more than 6.0 x of one world")
    assert "too noisy" in bench_env._why([1, 8], [0.02, 0.01])


def test_the_reading_bench_counts_decoded_frames(root, capsys):
    assert main(["bench", "clips", str(root), "--frames", "4", "--windows", "3"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["window"] * report["windows"] == 12 and report["size"] == "32x48"
    assert 12 / report["frames_per_s"] >= 2 * report["p50_ms"] / 1000
    assert main(["bench", "clips", str(root), "--windows", "0"]) == 2
    assert main(["bench", "clips", str(root), "--frames", "1000"]) == 2
