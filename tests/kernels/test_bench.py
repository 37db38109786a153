"""The speed benchmarks at tiny size. Run: `pytest tests/kernels/test_bench.py`."""

import json

import pytest
import torch

from engine.cli import main
from engine.cli.bench_report import summary
from kernels.suite_summary import print_table

FEW = ["--size", "tiny", "--device", "cpu", "--repeats", "1", "--warmup", "0"]


@pytest.mark.parametrize("name", ["kernels", "train", "dit"])
def test_a_bench_ends_with_one_json_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    assert main(["bench", name, *FEW]) == 0
    assert torch.get_num_threads() == threads
    *text, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert report["bench"] == name and report["hardware"]["torch"] == torch.__version__
    rows = report["kernels" if name == "kernels" else "rows"]
    assert rows and len(text) > len(rows) / 2
    if name == "kernels":
        assert {row["kernel"] for row in rows} >= {"norm + modulate", "gelu"}
        assert all(row["floor_fraction"] > 0 for row in rows if not row["gradient"])
        rows = report["attention"]
    if name != "train":
        assert all(row["p95_ms"] >= row["p50_ms"] for row in rows)
        assert all(row["floor_fraction"] > 0 and row["gflop"] > 0 for row in rows)
    if name == "train":
        parts = [row[part] for row in rows for part in ("forward_backward", "step")]
        assert all(part["gflop"] == parts[0]["gflop"] > 0 for part in parts)
        assert all(part["floor_fraction"] > 0 for part in parts)


def test_processes_that_share_a_forward_make_what_one_makes(capsys) -> None:
    assert main(["bench", "context", *FEW]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["processes"] == 2 and len(report["rows"]) == 2
    for row in report["rows"]:
        assert row["relative_error"] < 2e-5
        assert row["ratio"] > 0 and row["floor_fraction"] > 0


@pytest.mark.full
def test_the_pipeline_makes_the_frames_of_the_reference(capsys) -> None:
    pytest.importorskip("diffusers")
    given = ["bench", "pipeline", "--against", "diffusers", "--variant", "exact", *FEW]
    assert main(given) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [row["variant"] for row in rows] == ["exact", "diffusers"]
    assert rows[0]["psnr"] > 80 and rows[0]["against_diffusers"] > 0
    assert rows[0]["floor_ms"] == rows[1]["floor_ms"] > 0 and rows[0]["floor_fraction"] > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["bench", "pipeline", "--steps", "1,x"], "such as 1,1,1"),
        (["bench", "dit", "--repeats", "0"], "at least 1"),
        (["bench", "context", "--processes", "1"], "at least 2"),
        (["bench", "kernels", "--device", "cuda"], "no CUDA device"),
    ],
)
def test_bad_input_is_one_sentence(given, words, capsys) -> None:
    if "cuda" in given and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main(given) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_percentiles() -> None:
    assert summary([0.001, 0.003, 0.002]) == {"p50_ms": 2.0, "p95_ms": 3.0}


def test_summary_table(capsys) -> None:
    print_table([{"a": 1, "step": {"p50_ms": 2}}, {"b": 3}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| a | step p50_ms | b |" and lines[3] == "|  |  | 3 |"
