"""The speed benchmarks at tiny size. Run: `pytest tests/kernels/test_bench.py`."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from engine.cli import main
from engine.cli.bench_kernels import _cases
from engine.cli.bench_report import summary
from kernels.suite_summary import print_table

FEW = ["--size", "tiny", "--device", "cpu", "--repeats", "1", "--warmup", "0"]


@pytest.mark.parametrize("name", ["kernels", "train", "dit"])
def test_a_bench_ends_with_one_json_line(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    assert main(["bench", name, *FEW, "--report", str(tmp_path / "report.json")]) == 0
    assert torch.get_num_threads() == threads
    *text, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert report["bench"] == name and report["hardware"]["torch"] == torch.__version__
    rows = report["kernels" if name == "kernels" else "rows"]
    assert rows and len(text) > len(rows) / 2
    if name == "kernels":
        assert {row["kernel"] for row in rows} >= {"norm + modulate", "gelu"}
        assert all(row["floor_fraction"] > 0 for row in rows)
        assert len([line for line in text if "of the floor" in line]) >= len(rows)
        bytes_ = {(row["kernel"], row["gradient"]): row["bytes"] for row in rows}
        assert all(bytes_[name, True] >= 2 * bytes_[name, False] for name, ask in bytes_ if ask)
        rows = report["attention"]
    if name != "train":
        assert all(row["p95_ms"] >= row["p50_ms"] for row in rows)
        assert all(row["floor_fraction"] > 0 and row["gflop"] > 0 for row in rows)
    if name == "train":
        parts = [row[part] for row in rows for part in ("forward_backward", "step")]
        assert all(part["gflop"] == parts[0]["gflop"] > 0 for part in parts)
        assert all(part["floor_fraction"] > 0 for part in parts)


def test_a_report_that_has_no_place_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["bench", "train", *FEW, "--report", str(tmp_path / "no" / "report.json")]) == 2
    told = capsys.readouterr()
    assert "there is no folder" in told.err and "step" not in told.out


def test_the_floor_of_a_kernel_is_what_its_tensors_weigh() -> None:
    """Forward inputs and outputs; backward the gradients, and of the inputs no more than all."""
    cases = _cases(Namespace(size="tiny", device="cpu", dtype="fp32"))
    for name, (call, forward, backward, leaves) in cases.items():
        if not leaves:
            continue
        table = 90 * 16 if name == "norm + rotary + growth" else 0  # the angles of 90 tokens
        out = call()
        outs = list(out) if isinstance(out, tuple) else [out]
        given = [torch.randn_like(o) for o in outs]
        inputs = [leaf for leaf in leaves if leaf.ndim == 3 and leaf.shape[1] > 2]
        known = list(given)
        for gradient in torch.autograd.grad(outs, inputs, given):
            tokens = gradient.shape[1]
            if not any(torch.equal(gradient, other[:, -tokens:]) for other in known):
                known.append(gradient)
        assert forward == weight([*inputs, *outs]) + 4 * table, name
        assert 0 <= backward - weight(known) - 4 * table <= weight(inputs), name


def weight(tensors: list[torch.Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


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


def test_what_was_measured_before_a_failure_is_kept(monkeypatch, tmp_path: Path) -> None:
    from engine.cli import bench_dit

    def made(name: str, args, limits) -> list[dict[str, str]]:
        if name == "cached":
            raise ValueError("no memory left")
        return [{"variant": name}]

    monkeypatch.setattr(bench_dit, "_variant", made)
    assert main(["bench", "dit", *FEW, "--report", str(tmp_path / "report.json")]) == 2
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == ["reference", "kernels"]


def test_percentiles() -> None:
    assert summary([0.001, 0.003, 0.002]) == {"p50_ms": 2.0, "p95_ms": 3.0}


def test_summary_table(capsys) -> None:
    print_table([{"a": 1, "step": {"p50_ms": 2}}, {"b": 3}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| a | step p50_ms | b |" and lines[3] == "|  |  | 3 |"
