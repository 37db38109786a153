"""What a world does before its first frame. Run: `pytest tests/engine/test_warm_up.py`.

On a CPU nothing is warmed up in play; here it is asked for, with a stand-in for the stop-watch.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import warm_up as module
from engine.cli.counting import Counting, loading_bar
from engine.opening import OpeningConfig, open_play
from engine.warm_up import get_ready, table_file, warm_up
from helios_core.null_world import NullWorld
from helios_core.packs import load_world
from helios_core.program import ModelProgram
from helios_core.world import WorldModel
from kernels.attention import forget


@pytest.fixture(autouse=True)
def clean():
    forget()
    yield
    forget()


def world_of(*, graphs: bool = False) -> WorldModel:
    world = load_world("random")
    assert isinstance(world, WorldModel)
    return WorldModel(replace(world.parts, graphs=graphs), world.info)


def started(
    folder: Path, world: WorldModel | None = None, clock=None
) -> tuple[int, list[tuple[str, float]]]:
    """A fresh start: how many attentions were timed, and what the bar showed."""
    forget()
    calls, shown = [], []

    def timed(call) -> float:
        call()
        calls.append(call)
        return clock(call) if clock else float(len(calls))

    get_ready(
        world or world_of(),
        on_progress=lambda what, share: shown.append((what, share)),
        folder=folder,
        timed=timed,
    )
    return len(calls), shown


def test_what_one_start_measured_the_next_takes_over(tmp_path, monkeypatch) -> None:
    first, _ = started(tmp_path)
    table = table_file(tmp_path, torch.device("cpu"))
    assert first > 0 and [*tmp_path.iterdir()] == [table]
    assert started(tmp_path)[0] == 0
    table.write_text("[[1,")
    assert started(tmp_path)[0] == first
    monkeypatch.setattr(module, "machine", lambda device: {"torch": "another"})
    assert started(tmp_path)[0] == first and len([*tmp_path.iterdir()]) == 2


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert started(tmp_path / "file")[0] > 0


def test_a_bar_fills_while_chunks_are_made(tmp_path) -> None:
    for graphs in (False, True):
        _, shown = started(tmp_path, world_of(graphs=graphs))
        shares = [share for _, share in shown]
        assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
        assert any("capturing" in what for what, _ in shown) == graphs
        assert not any("compiling" in what for what, _ in shown)
    world = world_of()
    world.info.fingerprint["compile"] = "codec"
    assert "compiling" in started(tmp_path, world)[1][0][0]


def test_nothing_is_new_afterwards(tmp_path) -> None:
    """All programs of a session are there, and its attentions known; frames are as before."""
    cold, world = world_of(), world_of(graphs=True)
    started(tmp_path, world)
    program = world._program
    assert isinstance(program, ModelProgram)
    captures, frames = dict(program.captures), []
    for one in (cold, world):
        state = one.start(seed=7, prompt="a desert at dusk")
        for _ in range(4):
            state, shown = one.advance(state, one.info.spec.zeros(one.info.chunk_frames))
        frames.append(shown.astype(int))
    assert captures and program.captures == captures
    assert np.abs(frames[0] - frames[1]).max() <= 1  # another backend, another rounding


def test_the_fingerprint_tells_which_backends_were_taken(tmp_path) -> None:
    falling = iter(range(999, 0, -1))  # a stop-watch that prefers whatever it times last
    names = []
    for folder, clock in (("a", None), ("a", None), ("b", lambda call: next(falling))):
        world = world_of()
        started(tmp_path / folder, world, clock)
        names.append(world.info.fingerprint["attention"])
    assert names[0] == names[1] != names[2]


def test_play_on_a_cpu_begins_without(monkeypatch) -> None:
    monkeypatch.setattr(module, "get_ready", lambda *a, **k: pytest.fail("nothing to warm up"))
    for world in (NullWorld(), world_of()):
        warm_up(world, on_progress=lambda what, share: None)
        assert "attention" not in world.info.fingerprint


def test_a_play_warms_its_world_up_once(monkeypatch) -> None:
    warmed, shown = [], []

    def note(world, *, on_progress) -> None:
        warmed.append(world)
        on_progress("choosing kernels, chunk 1 of 2", 0.5)

    monkeypatch.setattr("engine.opening.warm_up", note)
    given = {"on_loading": lambda what, share: shown.append((what, share))}
    opening = open_play(OpeningConfig(pack="null"), **given)
    assert warmed == [opening.world]
    assert ("warming up: choosing kernels, chunk 1 of 2", 0.55) in shown
    assert [share for _, share in shown] == sorted(share for _, share in shown)
    open_play(OpeningConfig(pack="null"), world=opening.world, **given)
    assert len(warmed) == 1


def test_the_terminal_shows_a_bar_to_people_only(monkeypatch, capsys) -> None:
    loading_bar()("warming up", 0.5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    show = loading_bar()
    show("warming up", 0.5)
    show("ready", 1.0)
    text = capsys.readouterr().err
    assert "\r[############            ] warming up" in text and text.endswith("\n")


@pytest.mark.gpu
def test_a_gpu_is_ready_and_its_second_start_measures_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "cache_file", lambda: tmp_path / "device.json")
    digests = []
    for start in range(2):
        forget()
        if start:
            monkeypatch.setattr(module, "seconds", lambda call: pytest.fail("measured again"))
        world = load_world("random", device="cuda", graphs=True)
        assert isinstance(world, WorldModel) and isinstance(world._program, ModelProgram)
        warm_up(world, on_progress=lambda what, share: None)
        captures, state = set(world._program.captures), world.start(seed=1, prompt="a meadow")
        for _ in range(3):
            state, _ = world.advance(state, world.info.spec.zeros(world.info.chunk_frames))
        assert captures and set(world._program.captures) == captures
        digests.append(world.info.fingerprint["attention"])
    assert digests[0] == digests[1]


def test_counting_tells_a_log_in_lines_and_ends_where_it_stopped(capsys) -> None:
    counted = Counting("record", "episodes")
    for done in range(3):
        counted(done, 5)
    counted.close()
    said = capsys.readouterr().err
    assert "\r" not in said and said.splitlines()[0].startswith("record   0% [")
    assert said.splitlines()[-1].startswith("record done in") and said.endswith(" 2 episodes\n")
