"""`helios bench eightbit`. Run: `pytest tests/engine/cli/test_bench_eightbit.py`."""

import json

import pytest

from engine.cli import main

FEW = ["--repeats", "1", "--warmup", "0", "--moments", "2", "--dtype", "fp32"]


@pytest.mark.parametrize(("kind", "bound"), [("int8", 0.03), ("fp8", 0.1)])
def test_it_ends_with_time_and_quality(kind: str, bound: float, capsys) -> None:
    assert main(["bench", "eightbit", "--pack", "random", "--kind", kind, *FEW]) == 0
    *text, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert report["bench"] == "eightbit" and report["kind"] == kind
    assert [row["products"] for row in report["rows"]] == ["fp32", kind]
    assert all(row["cpu_ms"] > 0 and row["floor_fraction"] > 0 for row in report["rows"])
    quality = report["quality"]
    errors = [*quality["layers"], quality["output"], quality["trajectory"]["worst"]]
    assert len(quality["layers"]) == 2 and all(0 < error < bound for error in errors)
    assert 25 < quality["psnr"]["worst"] <= quality["psnr"]["mean"]
    assert any("PSNR" in line for line in text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--pack", "null"], "multiplies nothing"),
        (["--repeats", "0"], "at least 1"),
        (["--pack", "no-such-pack"], "no-such-pack"),
    ],
)
def test_bad_input_is_one_sentence(given, words, capsys) -> None:
    assert main(["bench", "eightbit", *given]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
