"""The training loop: resuming, ending, and never losing the previous checkpoint."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError

from tests.training import tiny
from training import durable
from training.data import shards
from training.data.streams import StreamConfig
from training.data.windows import WindowConfig
from training.stages.base import BaseConfig, BaseStage, OwnHistory
from training.trainer import checkpoints
from training.trainer.loop import LoopConfig, Trainer, TrainingDivergedError, numbers
from training.trainer.parallel import Ranks
from training.trainer.player import OptimiserConfig, Player, rate
from training.trainer.rundir import RunDir

BATCH = 4


def make(root, samples=40, matrices="adamw", **loop):
    config = BaseConfig(
        latents="latents", held="held", codec="codec", model=tiny.MODEL, text=tiny.TEXT,
        windows=WindowConfig(history=7),
        batch=BATCH, own=OwnHistory(start=0.3, share=0.5, streams=StreamConfig(count=2)),
        optimiser=OptimiserConfig(lr=1e-3, matrices=matrices, warmup=8, ema=0.9),
    )  # fmt: skip
    settings = LoopConfig(**{"samples": samples, "seed": 3, "log_every": 2, **loop})
    context = tiny.context(root)
    torch.manual_seed(settings.seed)
    context.rundir.open({})
    stage = BaseStage(config, context, settings)
    stage.judge.count, stage.judge.chunks = 2, 2
    stage.judge.long = replace(stage.judge.long, targets=2)
    return Trainer(stage, settings, context.rundir, context.device, "base")


@pytest.fixture
def root(tmp_path):
    tiny.data(tmp_path)
    return tmp_path


def weights(trainer):
    return {k: v.clone() for k, v in trainer.stage.world.state_dict().items()}


@pytest.mark.parametrize("matrices", ["adamw", "muon"])
def test_resuming_is_bit_exact(root, tmp_path_factory, matrices):
    other = tmp_path_factory.mktemp("other")
    tiny.data(other)
    whole = make(root, matrices=matrices)
    whole.run()
    part = make(other, matrices=matrices)
    part.config = replace(part.config, samples=40)
    while part.clock.samples < 20:
        part._step()
    part.save()
    resumed = make(other, matrices=matrices)
    torch.manual_seed(99)  # nothing may depend on the global generator
    resumed.run()
    assert resumed.clock.samples == whole.clock.samples == 40
    for (name, a), b in zip(weights(whole).items(), weights(resumed).values(), strict=True):
        assert torch.equal(a, b), name
    for name, average in whole.players["world"].ema.items():
        assert torch.equal(average, resumed.players["world"].ema[name]), name


def test_moments_come_back_in_the_layout_of_their_weights():
    """The fused AdamW pairs raw memory: moments in another order move other weights."""
    torch.manual_seed(0)
    convs = [
        torch.nn.Conv2d(6, 5, 3).to(memory_format=torch.channels_last)  # pyright: ignore
        for _ in range(2)
    ]
    convs[1].load_state_dict(convs[0].state_dict())
    config = OptimiserConfig(lr=0.1, warmup=0, decay=0, ema=0)
    players = [Player(conv.named_parameters(), config) for conv in convs]

    def step(which: int, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        for p in players[which].params.values():
            p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=draw))
        players[which].step(seed, 100)

    step(0, 1)
    moments = {k: v.contiguous().clone() for k, v in players[0].moments().items()}  # as in a file
    convs[1].load_state_dict(convs[0].state_dict())
    players[1].load_moments(moments)
    for seed in (2, 3):
        step(0, seed)
        step(1, seed)
    assert torch.equal(convs[0].weight, convs[1].weight)


def test_a_run_leaves_metrics_best_and_final(root):
    trainer = make(root)
    assert trainer.run() == "done"
    rundir = trainer.rundir
    rows = rundir.rows()
    assert [r["samples"] for r in rows if "speed" in r] == [8, 16, 24, 32, 40]
    assert any("eval" in r for r in rows)
    assert (rundir.best / "weights.safetensors").exists()
    assert (rundir.final / "transformer.safetensors").exists()
    assert rundir.done and json.loads((rundir.path / "done.json").read_text())["reason"] == "done"


def test_a_signal_saves_and_stops(root):
    trainer = make(root, samples=4000)
    step = trainer._step

    def interrupted():
        step()
        if trainer.clock.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    trainer._step = interrupted
    assert trainer.run() == "stopped"
    assert not trainer.rundir.done
    assert [p.name for p in checkpoints.existing(trainer.rundir.checkpoints)] == ["000000003"]
    assert not any("eval" in row for row in trainer.rundir.rows())  # nothing before the checkpoint
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_nan_stops_and_names_the_last_good_checkpoint(root):
    trainer = make(root)
    trainer._step()
    trainer.save()
    with torch.no_grad():
        trainer.stage.world.dit.proj_out.bias.fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match=r"with --resume to go on from .*000000001"):
        trainer._step()


def test_a_diverging_loss_stops(root):
    trainer = make(root)
    trainer.recent["world"].extend([0.01] * 60)
    with pytest.raises(TrainingDivergedError, match="diverged"):
        trainer._step()


def test_a_budget_ends_the_run_and_may_land_the_decay(root):
    trainer = make(root, samples=10**6, budget_minutes=1 / 60, land=True)
    assert trainer.run() in ("budget", "done")
    assert trainer.clock.total < 10**6  # landed: the decay was brought forward


def test_other_samples_are_not_taken_for_a_landing(root):
    trainer = make(root, budget_minutes=60, land=True)
    trainer._step()
    trainer.save()
    longer = make(root, samples=80, budget_minutes=60, land=True)
    longer._resume()
    assert (longer.clock.total, longer.clock.landed) == (80, False)
    longer.clock.total, longer.clock.landed = 60, True
    longer.save()
    again = make(root, samples=80, budget_minutes=60, land=True)
    again._resume()
    assert (again.clock.total, again.clock.landed) == (60, True)


@pytest.mark.parametrize(
    ("asked", "now"),
    [
        ({}, (60, True)),
        ({"budget_minutes": 30}, (80, False)),
        ({"samples": 160}, (160, False)),
    ],
)
def test_a_landing_is_reckoned_anew_where_another_end_is_asked_for(root, asked, now):
    settings = {"samples": 80, "budget_minutes": 60, "land": True}
    trainer = make(root, **settings)
    trainer._step()
    trainer.clock.total, trainer.clock.landed = 60, True
    trainer.save()
    again = make(root, **settings | asked)
    again._resume()
    assert (again.clock.total, again.clock.landed) == now


def test_a_row_that_a_full_disk_tore_is_forgotten(root):
    trainer = make(root, samples=8)
    trainer.rundir.log({"samples": 0})
    with (trainer.rundir.path / "metrics.jsonl").open("a") as out:
        out.write('{"step": 2, "sam')
    again = make(root, samples=8)
    assert again.run() == "done"
    assert [r["samples"] for r in again.rundir.rows()] == [0, 8, 8]


@pytest.mark.parametrize("before,after", [(0.9, 0.0), (0.0, 0.9)])
def test_an_average_may_be_given_up_or_begun_midway(root, before, after):
    def with_average(decay):
        trainer = make(root)
        config = OptimiserConfig(ema=decay)
        trainer.players = {"world": Player(trainer.stage.world.named_parameters(), config)}
        return trainer

    trainer = with_average(before)
    for _ in range(3):
        trainer._step()
    trainer.save()
    again = with_average(after)
    again._resume()
    player = again.players["world"]
    assert bool(player.ema) == bool(after)
    for name, average in player.ema.items():
        assert torch.equal(average, player.params[name]), name


def test_who_was_told_to_stop_while_judging_is_done_and_begins_nothing_more(root):
    trainer = make(root, samples=4)
    evaluate = trainer.stage.evaluate

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate()

    trainer.stage.evaluate = interrupted
    assert trainer.run() == "stopped" and trainer.rundir.done


def test_a_failed_write_leaves_the_previous_checkpoint(root, monkeypatch):
    trainer = make(root)
    trainer._step()
    trainer.save()
    before = {p: p.read_bytes() for p in trainer.rundir.checkpoints.rglob("*") if p.is_file()}

    def full(*_args, **_kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    trainer._step()
    monkeypatch.setattr(durable, "save_file", full)
    with pytest.raises(OSError, match=r"000000002.tmp/\w+.safetensors: .*No space left"):
        trainer.save()
    after = {p: p.read_bytes() for p in trainer.rundir.checkpoints.rglob("*") if p.is_file()}
    assert after == before


def test_a_kill_while_an_old_one_is_deleted_leaves_no_half_of_it(tmp_path, monkeypatch):
    """The same step is written again by Ctrl-C right after a save, the best one all the time."""
    folder = tmp_path / "000000001"
    checkpoints.write(folder, checkpoints.Snapshot({"samples": 1}))
    delete = shutil.rmtree

    def killed(path, ignore_errors=False):
        if (path / "state.json").exists():
            (path / "state.json").unlink()
            raise KeyboardInterrupt
        delete(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(folder, checkpoints.Snapshot({"samples": 2}))
    assert checkpoints.read(checkpoints.existing(tmp_path)[-1]).state == {"samples": 2}


def test_what_has_its_name_is_on_disk(tmp_path, monkeypatch):
    """A power loss may forget what was written, unsynced, and remember that it was renamed."""
    synced, move = set(), os.replace

    def replace(old, new):
        assert {old, *old.glob("*")} <= synced, new
        move(old, new)

    monkeypatch.setattr(durable, "sync", synced.add)
    monkeypatch.setattr(os, "replace", replace)
    shards.write(tmp_path / "0.safetensors", tiny.pixel_clips())
    RunDir(tmp_path).finish({})
    checkpoints.write(tmp_path / "000000001", checkpoints.Snapshot({"samples": 1}))
    assert tmp_path / "done.json.tmp" in synced


def test_one_process_or_several_go_on_as_they_saved(tmp_path):
    alone = checkpoints.Snapshot({"samples": 1}, {"weights": {"w": torch.ones(2)}})
    checkpoints.write(tmp_path / "000000001", alone)
    with pytest.raises(ValueError, match=r"000000001 was saved by one process.* without torchrun"):
        checkpoints.read_sharded(tmp_path / "000000001", alone, {})
    checkpoints.write_sharded(tmp_path / "000000002", alone, {}, Ranks())
    with pytest.raises(ValueError, match=r"000000002 was saved by several.* with torchrun"):
        checkpoints.read(tmp_path / "000000002")
    fresh = checkpoints.Snapshot({}, {"weights": {"w": torch.zeros(2)}})
    back = checkpoints.read_sharded(tmp_path / "000000002", fresh, {})
    assert back.state == {"samples": 1} and bool(back.tensors["weights"]["w"].all())


def test_only_the_newest_checkpoints_stay(tmp_path):
    for step in range(5):
        checkpoints.write(tmp_path / f"{step:09d}", checkpoints.Snapshot({"samples": step}))
    (tmp_path / "000000009.tmp").mkdir()
    checkpoints.prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000000003", "000000004"]


@pytest.mark.parametrize("change", ["device", "kind", "cpu", "precision", "torch", "threads"])
def test_another_machine_resumes_from_weights_with_fresh_moments(root, capsys, change):
    trainer = make(root)
    trainer._step()
    trainer._step()
    trainer.save()
    again = make(root)
    again.machine = {**again.machine, change: "another"}
    again._resume()
    assert "other machine" in capsys.readouterr().out
    assert again.clock.samples == 2 * BATCH
    player = again.players["world"]
    assert not player.moments() and player.rewarm_from == 2 * BATCH
    assert all(torch.equal(a, b) for a, b in zip(
        weights(trainer).values(), weights(again).values(), strict=True))  # fmt: skip


def test_a_checkpoint_that_says_too_little_is_not_called_bit_exact(root, capsys):
    trainer = make(root)
    del trainer.machine["cpu"]
    trainer._step()
    trainer.save()
    again = make(root)
    again._resume()
    assert "says too little" in capsys.readouterr().out
    assert again.players["world"].moments()


def test_a_changed_model_does_not_resume(root):
    trainer = make(root)
    trainer._step()
    trainer.save()
    again = make(root)
    again.stage.world.dit.proj_out = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"does not fit: .*proj_out.*as they were, or delete"):
        again._resume()


def test_the_learning_rate_follows_samples():
    config = OptimiserConfig(lr=1.0, warmup=10, decay=0.2, floor=0.1)
    assert rate(config, 0, 100) == pytest.approx(0.1)
    assert rate(config, 50, 100) == 1.0
    assert rate(config, 90, 100) == pytest.approx(0.55)
    assert rate(config, 100, 100) == pytest.approx(0.1)


def test_a_rate_that_is_warmed_up_again_falls_as_before():
    config = OptimiserConfig(lr=1.0, warmup=10, decay=0.2, floor=0.1)
    assert rate(config, 90, 100, rewarm_from=50) == rate(config, 90, 100)
    assert rate(config, 94, 100, rewarm_from=90) == pytest.approx(0.5 * rate(config, 94, 100))


def test_the_average_equals_a_plain_loop():
    param = torch.nn.Parameter(torch.zeros(3))
    player = Player([("p", param)], OptimiserConfig(lr=0.1, ema=0.9, warmup=0, decay=0))
    expected = torch.zeros(3)
    for step in range(1, 30):
        param.grad = torch.full((3,), float(step % 3))
        player.step(step, 100)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * param.detach()
    assert torch.allclose(player.ema["p"], expected, atol=1e-6)
    held = param.detach().clone()
    player.swap()
    assert torch.allclose(param.detach(), expected, atol=1e-6)
    player.swap()
    assert torch.equal(param.detach(), held)


def test_an_unfinished_run_needs_resume(root):
    from training import recipe, steps

    settings = {"latents": "latents", "held": "held", "codec": "codec", "model": tiny.MODEL}
    step = recipe.StepConfig(stage="base", settings=settings)
    plan = recipe.Recipe(name="x", root=str(root), steps={"run": step}, device="cpu")
    trainer = make(root)
    trainer._step()
    trainer.save()
    with pytest.raises(ValueError, match="--resume"):
        steps.run(plan)
    assert isinstance(trainer.rundir, RunDir)


def test_muon_moves_the_matrices_inside_blocks_and_adamw_the_rest():
    block = torch.nn.Parameter(torch.eye(4))
    bias, table = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((4,), (3, 4)))
    named = {"dit.blocks.0.proj.weight": block, "dit.blocks.0.proj.bias": bias, "words": table}
    player = Player(named.items(), OptimiserConfig(lr=0.1, matrices="muon", warmup=0, clip=0.0))
    gradient = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    block.grad, bias.grad, table.grad = gradient, torch.ones(4), torch.ones(3, 4)
    player.step(0, 100)
    kinds = {k.split("/")[1]: k.split("/")[0] for k in player.moments()}
    assert kinds["dit.blocks.0.proj.weight"] == "momentum_buffer"
    assert kinds["words"] != "momentum_buffer" != kinds["dit.blocks.0.proj.bias"]
    step = (torch.eye(4) * (1 - 0.1 * 0.01) - block.detach()) / 0.1
    size = torch.linalg.svdvals(step) / 0.2 / 2  # muon's rate: 0.2 sqrt(4) for this shape
    assert ((size > 0.5) & (size < 1.3)).all()  # five rounds bring singular values near one


@pytest.mark.parametrize(("before", "now"), [("muon", "adamw"), ("adamw", "muon")])
def test_matrices_go_on_as_they_were_moved_or_the_way_out_is_said(before, now):
    def player(matrices: str) -> Player:
        named = {"dit.blocks.0.proj.weight": torch.nn.Parameter(torch.eye(4))}
        return Player(named.items(), OptimiserConfig(matrices=matrices))

    player(before).load_moments({})  # a parameter that has not moved yet has none
    then = player(before)
    then.touch_moments()
    player(before).load_moments(then.moments())
    with pytest.raises(ValueError, match=f"{now}.*resume with that"):
        player(now).load_moments(then.moments())


def test_what_a_step_tells_is_read_as_it_is():
    told = {"loss": torch.tensor(0.1), "right": torch.tensor([0.75])}
    assert numbers(told) == {"loss": float(told["loss"]), "right": 0.75}
    mixed = {**told, "count": torch.tensor(2**40), "half": torch.tensor(0.5, dtype=torch.bfloat16)}
    assert numbers(mixed) == {**numbers(told), "count": 2**40, "half": 0.5}
