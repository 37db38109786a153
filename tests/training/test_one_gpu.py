"""The script that trains wilds-nano where a GPU is there for minutes: here tiny, on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "training" / "one_gpu.sh"


def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHON": sys.executable, **variables}
    command = [str(SCRIPT), *map(str, words)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "training/one_gpu.sh RUNS walks"),
        (("train",), "no part train"),
        (("bring",), "name a folder"),
    ],
)
def test_a_wrong_call_says_what_is_missing(tmp_path, words, says):
    told = run(*([tmp_path, *words] if words else []))
    assert told.returncode == 2 and says in told.stderr


def test_a_world_without_walks_says_so_instead_of_waiting(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "walks.failed").touch()
    told = run(tmp_path, "world", TINY="1")
    assert told.returncode == 1 and "run walks again" in told.stderr


STAND_IN = """#!/usr/bin/env bash
echo "$@" >> "$CALLS"
while [ $# -gt 0 ]; do
  case $1 in root=*) root=${1#root=};; --only) names=$2;; *graphs=true) exit 1;; esac; shift
done
for name in ${names//,/ }; do mkdir -p "$root/$name" && touch "$root/$name/done.json"; done
"""
"""In the place of Python: notes how it is called, makes every step at once, knows no graphs."""


def test_a_gpu_that_captures_no_graphs_does_without_them(tmp_path):
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    variables = {"PYTHON": str(python), "CALLS": str(calls), "MINUTES": "10.5", "DEVICE": "cuda"}

    def played(part: str) -> subprocess.CompletedProcess[str]:
        return run(tmp_path / "there", part, TINY="", **variables)

    def made_by(line: str) -> str:
        return line.split("--only ")[1].split()[0]

    for part in ("walks", "world"):
        told = played(part)
        assert told.returncode == 0, told.stdout + told.stderr
    lines = calls.read_text().splitlines()
    made = [made_by(line) for line in lines]
    assert set(made[: made.index("codec")]) == {"frames", "held-frames", "words"}
    for name in ("frames", "held-frames", "near", "sharpen-near", "sharpen"):
        tries = [line for line in lines if f"--only {name} " in line]
        assert ["graphs=true" in line for line in tries] == [True, False]
        rendered = "frames" in name
        assert ["device=cuda" in line for line in tries] == [True, not rendered]
        assert any("workers=16" in line for line in tries) == (name == "frames")
    sharpened = [line for line in lines if "--only sharpen " in line]
    for part in ("walks", "world"):  # what is made stays, however it was made
        assert played(part).returncode == 0
    again = calls.read_text().splitlines()[len(lines) :]
    assert not any("frames" in made_by(line) or "near" in made_by(line) for line in again)
    for line in sharpened:
        assert "shared.wide=8" in line and "precision=tf32" in line
        minutes = float(line.split("sharpen.loop.budget_minutes=")[1].split()[0])
        assert 9 < minutes <= 10.5
    assert made.index("codec") < made.index("forecast") < made.index("near")
    assert made.index("near") < made.index("sharpen-near") < made.index("sharpen")


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_all_of_it_brings_home_what_export_wants(tmp_path):
    told = run(tmp_path / "there", "all", tmp_path / "results", TINY="1")
    assert told.returncode == 0, told.stdout + told.stderr
    home = tmp_path / "home"
    home.mkdir()
    pieces = sorted((tmp_path / "results").glob("finals.tar.*"))
    assert all(piece.stat().st_size <= 15 * 2**20 for piece in pieces)
    whole = b"".join(piece.read_bytes() for piece in pieces)
    subprocess.run(["tar", "x", "-C", home], input=whole, check=True)
    subprocess.run(["tar", "xzf", tmp_path / "results" / "records.tgz", "-C", home], check=True)
    command = [sys.executable, "-m", "training", "wilds-nano", f"root={home}/wilds-nano"]
    few = "export.settings.views={of_biomes: 1, places: 0}"
    subprocess.run([*command, "--only", "export", few], cwd=REPOSITORY, check=True)
    assert (home / "wilds-nano" / "export" / "wilds-nano" / "pack.yaml").is_file()
