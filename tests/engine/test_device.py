"""The choice of device, dtype and threads; what clashes; the doctor's report."""

import json
import subprocess

import pytest

from engine import device as devices
from engine.cli import doctor, main
from engine.device import choose, measure, pick, time_small_world
from engine.installation import check_installation

FAST_HALF = {"float32 1": 4.0, "float32 2": 2.0, "bfloat16 1": 2.0, "bfloat16 2": 1.0}
SLOW_HALF = {"float32 1": 4.0, "float32 2": 2.0, "bfloat16 1": 9.0, "bfloat16 2": 8.0}


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        (FAST_HALF, ("bfloat16", 2)),
        (SLOW_HALF, ("float32", 2)),
        ({"float32 1": 2.0, "float32 2": 1.95, "bfloat16 1": 1.9}, ("float32", 1)),
        (
            {"float32 1": 1.0, "float32 2": 60.0, "bfloat16 1": 0.5, "bfloat16 2": 70.0},
            ("bfloat16", 1),
        ),
    ],
)
def test_the_clearly_fastest_is_picked_else_the_plainest(seconds, best):
    assert pick(seconds) == best


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.setattr(devices, "_best_device", lambda: "cpu")
    monkeypatch.setattr(devices, "_cores", lambda: 2)


@pytest.mark.parametrize(
    ("cores", "tried"), [(1, {1}), (4, {1, 2, 4}), (16, {1, 8}), (18, {1, 8}), (64, {1, 8})]
)
def test_machines_of_many_cores_try_as_many_threads_as_help(cores, tried, monkeypatch):
    monkeypatch.setattr(devices, "_cores", lambda: cores)
    seconds = devices.measure(lambda dtype, threads: 1.0)
    assert {int(name.split()[1]) for name in seconds} == tried


def counting(seconds, calls):
    def timing(dtype, threads):
        calls.append((dtype, threads))
        return seconds[f"{dtype} {threads}"]

    return timing


def test_it_is_measured_once_and_remembered(tmp_path, cpu):
    calls, cache = [], tmp_path / "deep" / "device.json"
    timing = counting(FAST_HALF, calls)
    one, two = (choose(cache=cache, timing=timing) for _ in range(2))
    assert one == two and (one.device, one.dtype, one.threads) == ("cpu", "bfloat16", 2)
    assert len(calls) == 4 and "bfloat16 2: 1000 ms" in one.reason
    assert [p.name for p in cache.parent.iterdir()] == ["device.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"machine": 1, "seconds": {}}', "\x00"])
def test_a_cache_that_says_nothing_is_measured_again(tmp_path, cpu, content):
    cache = tmp_path / "device.json"
    cache.write_text(content)
    assert choose(cache=cache, timing=counting(SLOW_HALF, [])).dtype == "float32"
    assert json.loads(cache.read_text())["seconds"] == SLOW_HALF


def test_what_a_busy_machine_was_found_to_do_holds_until_it_is_calm(tmp_path, cpu, monkeypatch):
    cache, calls = tmp_path / "device.json", []
    for load, times in ((9.0, 4), (9.0, 4), (0.1, 8), (0.1, 8), (9.0, 8)):
        monkeypatch.setattr(devices.os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        monkeypatch.setattr(devices.os, "cpu_count", lambda: 4)
        choose(cache=cache, timing=counting(FAST_HALF, calls))
        assert len(calls) == times


def test_another_machine_measures_again(tmp_path, cpu, monkeypatch):
    cache = tmp_path / "device.json"
    choose(cache=cache, timing=counting(FAST_HALF, []))
    monkeypatch.setattr(devices, "_machine", lambda: {"torch": "another"})
    assert choose(cache=cache, timing=counting(SLOW_HALF, [])).dtype == "float32"


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, cpu):
    blocked = tmp_path / "file"
    blocked.write_text("")
    choice = choose(cache=blocked / "device.json", timing=counting(FAST_HALF, []))
    assert choice.dtype == "bfloat16"


def test_what_is_asked_for_is_kept(tmp_path, cpu):
    cache, timing = tmp_path / "device.json", counting(FAST_HALF, [])
    assert choose(dtype="float32", cache=cache, timing=timing).threads == 2
    assert choose(threads=1, cache=cache, timing=timing).dtype == "bfloat16"
    far = choose(threads=7, cache=cache, timing=timing)
    assert (far.dtype, far.threads) == ("bfloat16", 7)
    both = choose(dtype="float32", threads=1, cache=tmp_path / "none", timing=None)
    assert (both.dtype, both.threads, both.reason) == ("float32", 1, "asked for")
    assert not (tmp_path / "none").exists()
    gpu = choose(device="cuda:1", cache=tmp_path / "none")
    assert (gpu.device, gpu.dtype, gpu.threads) == ("cuda:1", "bfloat16", None)
    with pytest.raises(ValueError, match="float12"):
        choose(dtype="float12", cache=cache, timing=timing)


def test_the_real_measurement_measures(cpu):
    import torch

    before = torch.get_num_threads()
    assert 0 < time_small_world("float32", 1, budget=0.01) < 60
    assert torch.get_num_threads() == before
    assert set(measure(lambda dtype, threads: 1.0)) == set(FAST_HALF)
    crowded = measure(lambda dtype, threads: 9.0 ** (threads - 1))
    assert "bfloat16 2" not in crowded and pick(crowded) == ("float32", 1)


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ({"pygame-ce": "2.5.8"}, None),
        ({"pygame": "2.6.1"}, None),
        ({"pygame-ce": "2.5.8", "pygame": "2.6.1"}, "pip uninstall -y pygame pygame-ce"),
        ({"pygame-ce": "2.5.8", "kernels": "0.17.2"}, "pip uninstall -y kernels"),
    ],
)
def test_what_clashes_is_refused_with_the_command_that_mends_it(installed, message):
    if message is None:
        check_installation(installed.get)
        return
    with pytest.raises(ValueError) as caught:
        check_installation(installed.get)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_installed_here_does_not_clash():
    check_installation()


def test_the_doctor_reports_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HELIOS_HOME", str(tmp_path))
    monkeypatch.setattr(devices, "time_small_world", lambda dtype, threads: 0.01)
    assert main(["doctor", "--measure"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    wanted = "helios python torch gpu computes kernels pygame display gamepads packs wan research"
    assert set(wanted.split()) <= set(rows)
    assert "random" in rows["packs"] and "float32" in rows["computes"]


def test_the_doctor_survives_a_broken_window_and_names_a_clash(monkeypatch, capsys):
    broken = subprocess.CompletedProcess([], 139, "", "")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *a, **k: broken)
    monkeypatch.setattr(doctor, "_compute", lambda measure: iter(()))
    monkeypatch.setattr("engine.installation.installed_version", lambda name: "1.0", raising=True)
    assert dict(doctor.report(measure=False))["window"].endswith("it crashed")
    monkeypatch.setattr("engine.installation.check_installation", _clash)
    assert main(["doctor"]) == 1
    assert "clash" in capsys.readouterr().out


def test_the_doctor_survives_a_display_that_hangs(monkeypatch):
    run = subprocess.run

    def hangs(command, **options):
        if doctor.PROBE in command:
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return run(command, **options)

    monkeypatch.setattr(doctor.subprocess, "run", hangs)
    monkeypatch.setattr(doctor, "_compute", lambda measure: iter(()))
    rows = dict(doctor.report(measure=False))
    assert "does not start within" in rows["window"] and "packs" in rows


def _clash() -> None:
    raise ValueError("two of a kind")


def test_play_refuses_a_clash_before_any_window(monkeypatch, capsys):
    monkeypatch.setattr("engine.installation.check_installation", _clash)
    assert main(["play", "--pack", "null"]) == 2
    assert capsys.readouterr().err == "helios play: two of a kind\n"
