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
