"""The training loop: steps, metrics, checkpoints, resuming, and the ways a run may end.

Ends: all samples seen; the wall-clock budget; Ctrl-C or SIGTERM (a checkpoint is written first);
a loss that is not finite or diverges (the last good checkpoint is named, nothing is overwritten).
"""

import math
import shutil
import signal
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.durable import place_folder
from training.trainer import checkpoints
from training.trainer.draw import Draw
from training.trainer.parallel import Ranks, whole
from training.trainer.player import Player
from training.trainer.progress import Progress
from training.trainer.rundir import DECISIVE, RunDir, machine
from training.trainer.stage import Stage


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long to train and what to keep."""

    samples: int = 100_000
    """Samples after which the run ends and by which the learning rate decays."""
    seed: int = 0
    budget_minutes: float = 0.0
    """Wall-clock limit; 0 = none. Without `land` the run just ends."""
    land: bool = False
    """Near the end of the budget, lower `samples` once so that the decay ends in time."""
    log_every: int = 20
    """Steps per row of metrics."""
    save_minutes: float = 5.0
    """Minutes between checkpoints."""
    evaluate_minutes: float = 15.0
    """Minutes between held-out evaluations; 0 = only at the end."""
    keep: int = 2
    """Checkpoints kept beside the best."""
    diverged: float = 20.0
    """A loss this many times the running median stops the run; 0 = never."""

    def __post_init__(self) -> None:
        if self.log_every < 1:
            raise ValueError(f"loop.log_every is {self.log_every}; give at least 1 step")


class TrainingDivergedError(ValueError):
    """A loss that is not finite, or far above its past."""


@dataclass
class Clock:
    """What changes while training, beside weights."""

    step: int = 0
    samples: int = 0
    total: int = 0
    landed: bool = False
    """Whether `total` is what fits the budget, no longer what was asked for."""
    seconds: float = 0.0
    best: float = math.inf


def numbers(metrics: dict[str, Tensor]) -> dict[str, float]:
    """As floats, waited for once where they lie on one device."""
    values = [value.detach().reshape(()) for value in metrics.values()]
    if len({(value.device, value.dtype) for value in values}) > 1:
        return {key: float(value) for key, value in metrics.items()}
    return dict(zip(metrics, torch.stack(values).tolist(), strict=True))


class Trainer:
    """Runs one stage in one run directory."""

    def __init__(
        self,
        stage: Stage,
        config: LoopConfig,
        rundir: RunDir,
        device: torch.device,
        name: str,
        ranks: Ranks | None = None,
        precision: str = "fp32",
    ) -> None:
        self.stage, self.config, self.rundir = stage, config, rundir
        self.device, self.name = device, name
        self.players: dict[str, Player] = stage.players()
        self.clock = Clock(total=config.samples)
        self.sums: dict[str, float] = defaultdict(float)
        self.counts: dict[str, int] = defaultdict(int)
        self.recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=101))
        self.stop = threading.Event()
        self.ranks = ranks or Ranks()
        self.machine = machine(device, precision)

    # -- running -------------------------------------------------------------------------------
    def run(self) -> str:
        """Train until an end; returns `done`, `budget` or `stopped`."""
        self._resume()
        began, held = time.monotonic(), self.clock.seconds
        saved = evaluated = logged = began
        progress = Progress(self.name, self.clock.total, start=self.clock.samples)
        reason = "done"
        with self._signals():
            while self.clock.samples < self.clock.total:
                self._step()
                now = time.monotonic()
                self.clock.seconds = held + now - began
                if self.clock.step % self.config.log_every == 0:
                    self._log(progress, now - logged)
                    logged = now
                self._land()
                reason = self._reason()
                if reason != "done":
                    break
                if self._due(now - evaluated, self.config.evaluate_minutes):
                    self._evaluate()
                    evaluated = time.monotonic()
                if self._due(now - saved, self.config.save_minutes):
                    self.save()
                    saved = time.monotonic()
            if reason != "stopped":  # who was told to stop may have seconds left
                self._evaluate()
            self.save()
        progress.close(f"[{reason}] {self.clock.samples} samples")
        if reason != "stopped":
            self._publish(reason)
        # Told to stop while the last figures were made: whoever runs steps must not begin the next.
        return "stopped" if self.stop.is_set() else reason

    def _step(self) -> None:
        clock = self.clock
        turn = self.stage.turn(clock.step)
        draw = Draw(self.config.seed, clock.step, self.device)
        metrics = self.stage.backward(turn, draw, clock.samples)
        values = numbers(metrics)
        self._check(turn, values)
        values |= self.players[turn].step(clock.samples, clock.total)
        if not math.isfinite(values["grad_norm"]):
            raise TrainingDivergedError(self._diverged(f"gradient norm is {values['grad_norm']}"))
        for key, value in values.items():
            self.sums[f"{turn}.{key}"] += value
            self.counts[f"{turn}.{key}"] += 1
        clock.step += 1
        clock.samples += self.stage.batch

    def _check(self, turn: str, values: dict[str, float]) -> None:
        loss, past = values["loss"], self.recent[turn]
        if not all(math.isfinite(v) for v in values.values()):
            raise TrainingDivergedError(self._diverged(f"{turn}: {values}"))
        if len(past) > 50 and self.config.diverged:
            median = sorted(past)[len(past) // 2]
            if loss > self.config.diverged * max(median, 1e-6):
                raise TrainingDivergedError(self._diverged(f"{turn} loss {loss:.4g}"))
        past.append(loss)

    def _diverged(self, what: str) -> str:
        good = checkpoints.existing(self.rundir.checkpoints)
        again = f"with --resume to go on from {good[-1]}" if good else "from the beginning"
        return (
            f"{self.name}: training diverged at step {self.clock.step} ({what}); lower the "
            f"learning rate and run again {again}"
        )

    def _reason(self) -> str:
        if self.stop.is_set():
            return "stopped"
        budget = self.config.budget_minutes * 60
        return "budget" if budget and self.clock.seconds >= budget else "done"

    def _land(self) -> None:
        """Once, when the decay must begin: total = what fits the budget at the speed so far."""
        config, clock = self.config, self.clock
        if not (config.land and config.budget_minutes) or clock.landed:
            return
        decay = max(p.config.decay for p in self.players.values())
        share = clock.seconds / (config.budget_minutes * 60)
        if share >= 0.97 * (1 - decay):
            fits = int(clock.samples / share * 0.97)
            clock.total = min(config.samples, max(fits, clock.samples + self.stage.batch))
            clock.landed = True

    # -- keeping -------------------------------------------------------------------------------
    def save(self) -> None:
        folder = self.rundir.checkpoints / f"{self.clock.step:09d}"
        if self.ranks.count > 1:
            checkpoints.write_sharded(folder, self._snapshot(), self.players, self.ranks)
        else:
            checkpoints.write(folder, self._snapshot())
        if self.ranks.primary:
            checkpoints.prune(self.rundir.checkpoints, self.config.keep)

    def _snapshot(self) -> checkpoints.Snapshot:
        return checkpoints.collect(
            {**vars(self.clock), "asked": self._asked(), "machine": self.machine},
            self.stage.modules(),
            self.players,
            self.stage.extra_state(),
        )

    def _asked(self) -> dict[str, float]:
        """What a landing was reckoned from."""
        return {"samples": self.config.samples, "budget_minutes": self.config.budget_minutes}

    def _resume(self) -> None:
        found = checkpoints.existing(self.rundir.checkpoints)
        if not found:
            return
        if self.ranks.count > 1:
            for player in self.players.values():
                player.touch_moments()  # so that there is something to read them into
            snapshot = checkpoints.read_sharded(found[-1], self._snapshot(), self.players)
        else:
            snapshot = checkpoints.read(found[-1])
        then, now = snapshot.state["machine"], self.machine
        same = all(then.get(k, now[k]) == now[k] for k in DECISIVE)
        checkpoints.restore(snapshot, self.stage.modules(), self.players, moments=same)
        self.stage.load_extra_state(snapshot.tensors.get("extra", {}))
        for key in ("step", "samples", "total", "seconds", "best"):
            setattr(self.clock, key, snapshot.state[key])
        differs = self.clock.total != self.config.samples  # all that older checkpoints say
        landed = self.config.land and snapshot.state.get("landed", differs)
        self.clock.landed = landed and snapshot.state.get("asked", self._asked()) == self._asked()
        if not self.clock.landed:
            self.clock.total = self.config.samples
        how = "bit-exact" if same else "other machine: moments are warmed up again"
        if same and any(k not in then for k in DECISIVE):
            how = "bit-exact on the machine of before, of which the checkpoint says too little"
        print(f"{self.name}: resuming at {self.clock.samples} samples ({how})", flush=True)

    def _evaluate(self) -> None:
        for player in self.players.values():
            player.swap()
        try:
            figures = self.stage.evaluate()
            if figures.get("score", math.inf) < self.clock.best:
                self.clock.best = figures["score"]
                self._keep_best(figures)
        finally:
            for player in self.players.values():
                player.swap()
        if self.ranks.primary:
            self.rundir.log({"samples": self.clock.samples, "eval": figures})

    def _keep_best(self, figures: dict[str, float]) -> None:
        named = checkpoints.module_tensors(self.stage.modules())
        tensors = {"weights": {k: whole(v) for k, v in named.items()}}
        if not self.ranks.primary:
            return
        state: dict[str, Any] = {**vars(self.clock), "figures": figures}
        checkpoints.write(self.rundir.best, checkpoints.Snapshot(state, tensors))

    def _publish(self, reason: str) -> None:
        for player in self.players.values():
            player.swap()
        partial = self.rundir.path / "final.tmp"
        if self.ranks.primary:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        self.stage.publish(partial)
        for player in self.players.values():
            player.swap()
        if not self.ranks.primary:
            return
        place_folder(partial, self.rundir.final)
        rows = [r for r in self.rundir.rows() if "eval" in r]
        self.rundir.finish({"reason": reason, **vars(self.clock), "last": rows[-1:]})

    # -- telling -------------------------------------------------------------------------------
    def _log(self, progress: Progress, seconds: float) -> None:
        means = {k: self.sums[k] / self.counts[k] for k in self.sums}
        speed = self.config.log_every * self.stage.batch / max(1e-9, seconds)
        row = {"step": self.clock.step, "samples": self.clock.samples, "speed": round(speed, 2)}
        row |= {"seconds": round(self.clock.seconds, 1), "total": self.clock.total}
        row |= {k: float(f"{v:.5g}") for k, v in means.items()}
        if self.ranks.primary:
            self.rundir.log(row)
            losses = [f"{k} {v:.4g}" for k, v in means.items() if k.endswith("loss")]
            progress.total = self.clock.total
            progress.update(self.clock.samples, "  ".join(losses))
        self.sums.clear()
        self.counts.clear()

    @staticmethod
    def _due(elapsed: float, minutes: float) -> bool:
        return minutes > 0 and elapsed >= minutes * 60

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for a clean end; a second Ctrl-C interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(_number: int, _frame: object) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self.stop.set()

        before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
