"""Rollouts by the thousand, in small: workers, and workers that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from engine.rollouts.generate import GenerateConfig, generate, make_shard
from engine.rollouts.layout import Layout, write_json, write_record
from engine.rollouts.policies import POLICIES, make_policy
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.recorder import spec_of
from engine.rollouts.replay import verify
from helios_core.packs import load_world
from tests.engine.rollouts.scenes import CHUNK, small_world

CONFIG = GenerateConfig(pack="random", episodes=5, chunks=2, batch=2, seed=10)


def _check(root, chunks=2):
    """Five different episodes, in the order of their seeds, each as its log says."""
    data = RolloutDataset.open(root)
    assert [e.header.seed for e in data.episodes] == [10, 11, 12, 13, 14]
    assert {e.length for e in data.episodes} == {chunks * CHUNK}
    assert not (root / "shards").exists()
    world = load_world("random")
    assert all(verify(world, data, e).identical for e in (0, 3, 4))
    return [data.columns(e)["frame.hash"].tolist() for e in range(5)]


def test_shards_make_one_dataset_whoever_makes_them(tmp_path, monkeypatch):
    """In this process, one after the other, and again after a run that stopped half way."""
    import engine.rollouts.generate as module

    def here(shards, config, workers):
        for number in module.missing_shards(shards, config):
            make_shard(shards, config, number)
            if stop_after is not None and number >= stop_after:
                raise KeyboardInterrupt
            yield number

    monkeypatch.setattr(module, "_with_processes", here)
    stop_after = None
    generate(tmp_path / "a", CONFIG)
    whole = _check(tmp_path / "a")
    stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "b", CONFIG)
    other = GenerateConfig(pack="random", episodes=5, chunks=4, batch=2, seed=10)
    with pytest.raises(ValueError, match="other settings"):
        generate(tmp_path / "b", other)
    stop_after = None
    generate(tmp_path / "b", CONFIG)
    assert _check(tmp_path / "b") == whole


@pytest.mark.parametrize("wrong", [{"pack": "no-such"}, {"policy": "no-such"}])
def test_what_could_not_begin_is_not_in_the_way_of_what_can(wrong, tmp_path, monkeypatch):
    import engine.rollouts.generate as module

    def here(shards, config, workers):
        for number in module.missing_shards(shards, config):
            make_shard(shards, config, number)
            yield number

    monkeypatch.setattr(module, "_with_processes", here)
    config = GenerateConfig(pack="null", episodes=1, chunks=2)
    with pytest.raises(ValueError, match="no-such"):
        generate(tmp_path / "a", replace(config, **wrong))
    generate(tmp_path / "a", config)
    assert len(RolloutDataset.open(tmp_path / "a").episodes) == 1


@pytest.mark.parametrize("other", ["columns", "latents", "world"])
def test_a_dataset_of_other_rollouts_is_refused_before_a_frame_is_made(
    other, tmp_path, monkeypatch
):
    import engine.rollouts.generate as module

    def here(shards, config, workers):
        for number in module.missing_shards(shards, config):
            make_shard(shards, config, number)
            yield number

    monkeypatch.setattr(module, "_with_processes", here)
    spec = spec_of(load_world("random"), latents=other == "latents")
    spec = replace(spec, extras=() if other == "columns" else spec.extras)
    spec = replace(spec, fps=spec.fps + (other == "world"))
    write_record(Layout(tmp_path / "a"), spec, [])
    with monkeypatch.context() as patch:
        patch.setattr(module, "advance", lambda *a: pytest.fail("frames were made"))
        with pytest.raises(ValueError, match="holds other rollouts than pack random would give"):
            generate(tmp_path / "a", CONFIG)
    assert not (tmp_path / "a" / "shards").exists(), "nothing is in the way of the next run"


def test_a_shard_made_twice_is_there_once(tmp_path):
    write_json(tmp_path / "plan.json", {})
    for _ in range(2):
        make_shard(tmp_path, CONFIG, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plan.json", "shard-000002"]


def test_policies_stay_in_range_and_files_make_them(tmp_path):
    spec = small_world().info.spec
    for name in POLICIES:
        values = make_policy(name, spec, seed=0)(np.zeros(0), 400)
        np.testing.assert_array_equal(spec.validate(values), values)
    walk = make_policy("random", spec, seed=0)(np.zeros(0), 400)
    assert (np.abs(walk[:, :4]).mean(0) > 0.05).all() and walk[:, 4:].any(0).all()
    (tmp_path / "p.py").write_text(
        "def policy(spec, seed):\n    return lambda frames, count: spec.build(count, strafe=1)\n"
    )
    assert (make_policy(str(tmp_path / "p.py"), spec, seed=0)(np.zeros(0), 3)[:, 1] == 1).all()
    with pytest.raises(ValueError, match="no policy 'rnadom'"):
        make_policy("rnadom", spec, seed=0)


SCRIPT = """
import json, signal, sys
from pathlib import Path
from engine.rollouts.generate import GenerateConfig, generate
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's background it is none
    root, config, ray = Path(sys.argv[1]), GenerateConfig(**json.loads(sys.argv[2])), sys.argv[3]
    show = lambda done, total: print(done, flush=True)
    generate(root, config, workers=2, ray=ray == "ray", on_shard=show)
"""


def _generate_and_kill_a_worker(tmp_path, how):
    (tmp_path / "run.py").write_text(SCRIPT)
    config = {"pack": "random", "episodes": 5, "chunks": 10, "batch": 1, "seed": 10}
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",  # Ray's 15 starves its workers where others compute too
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    arguments = [
        str(tmp_path / "run.py"),
        str(tmp_path / "a"),
        json.dumps(config),
        how,
    ]
    run = subprocess.Popen([sys.executable, *arguments], env=environment)
    try:
        assert _kill_a_worker(run, tmp_path / "a", how), "no worker was found to kill"
        assert run.wait(timeout=600) == 0
    finally:
        run.kill()
    _check(tmp_path / "a", chunks=10)


STALLING = """
import os, time
from pathlib import Path

def policy(spec, seed):
    Path(f"{folder}/worker-{os.getpid()}").touch()
    time.sleep(600)
"""


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_workers_end_with_their_run(tmp_path, how):
    """Ctrl-C reaches the workers too, and none of them begins another shard."""
    import psutil

    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / "policy.py").write_text(STALLING.replace("{folder}", str(tmp_path)))
    policy = str(tmp_path / "policy.py")
    config = json.dumps({"pack": "null", "policy": policy, "episodes": 4, "batch": 1})
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "a"), config, "processes"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while len(begun := list(tmp_path.glob("worker-*"))) < 2:
            assert run.poll() is None and time.monotonic() < until, "no two workers began"
            time.sleep(0.05)
        workers = [psutil.Process(int(path.name.removeprefix("worker-"))) for path in begun]
        if how == "killed":
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGINT)
        run.wait(timeout=60)
        for worker in workers:
            while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < until, "a worker goes on"
                time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)


def _kill_a_worker(run, root, how):
    """Kill -9 a worker that is recording; whether one was found."""
    import psutil

    deadline = time.monotonic() + 600  # a busy machine takes minutes to start Ray
    while run.poll() is None and time.monotonic() < deadline:
        working = list(root.glob("shards/.shard-*/row-000/journal"))
        for child in psutil.Process(run.pid).children(recursive=True) if working else []:
            line = " ".join(child.cmdline())
            if "ray::_Maker" in line or ("spawn_main" in line and how != "ray"):
                child.send_signal(signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False


@pytest.mark.full
def test_a_killed_process_costs_no_episode(tmp_path):
    _generate_and_kill_a_worker(tmp_path, "processes")


@pytest.mark.full
def test_a_killed_ray_worker_costs_no_episode(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    _generate_and_kill_a_worker(tmp_path, "ray")
