"""Crash-safe checkpoints: folders of safetensors, published by one rename.

A checkpoint is written beside its final name and renamed when every byte is on disk, so that a
full disk or a kill leaves the previous one as it was. Kept: the last `keep` and the best.

    checkpoints/000001200/  state.json  weights.safetensors  average.<player>.safetensors
                            moments.<player>.safetensors  extra.safetensors
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from training.durable import place_folder, save_tensors
from training.trainer.parallel import (
    Ranks,
    is_sharded,
    like_param,
    load_sharded,
    local,
    save_sharded,
)
from training.trainer.player import Player


@dataclass
class Snapshot:
    """All that a run needs to continue."""

    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """File stem to tensors."""


def collect(
    state: dict[str, Any],
    modules: dict[str, nn.Module],
    players: dict[str, Player],
    extra: dict[str, Tensor],
) -> Snapshot:
    """Gather the values of a run; tensors are shared, not copied."""
    tensors = {"weights": module_tensors(modules), "extra": extra}
    for name, player in players.items():
        tensors[f"moments.{name}"] = player.moments()
        tensors[f"average.{name}"] = player.ema
    counters = {n: {"steps": p.steps, "rewarm_from": p.rewarm_from} for n, p in players.items()}
    return Snapshot({**state, "players": counters}, {k: v for k, v in tensors.items() if v})


def restore(
    snapshot: Snapshot, modules: dict[str, nn.Module], players: dict[str, Player], moments: bool
) -> None:
    """Put weights, averages and (when `moments`) optimiser state back."""
    load_module_tensors(modules, snapshot.tensors["weights"])
    for name, player in players.items():
        counters = snapshot.state["players"][name]
        player.steps = counters["steps"]
        averages = snapshot.tensors.get(f"average.{name}", {})
        for key, average in player.ema.items():
            # What had no average before begins one at its weights.
            average.copy_(averages.get(key, local(player.params[key].detach())))
        if moments:
            player.rewarm_from = counters["rewarm_from"]
            player.load_moments(snapshot.tensors.get(f"moments.{name}", {}))
        else:
            player.rewarm_from = snapshot.state["samples"]


def module_tensors(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Flat names `module/parameter`; tied tensors are written once each."""
    return {f"{m}/{k}": v for m, module in modules.items() for k, v in module.state_dict().items()}


def load_module_tensors(modules: dict[str, nn.Module], tensors: dict[str, Tensor]) -> None:
    for name, module in modules.items():
        prefix = name + "/"
        own = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(own, strict=True)
        except RuntimeError as error:
            raise ValueError(
                f"the checkpoint does not fit: {' '.join(str(error).split())[:300]}; set the "
                "model's settings as they were, or delete the run's folder to begin anew"
            ) from error


def write_sharded(
    folder: Path, snapshot: Snapshot, players: dict[str, Player], ranks: Ranks
) -> None:
    """As `write`, each rank its part, through torch.distributed.checkpoint."""
    save_sharded(folder, _flat(snapshot, players), ranks, json.dumps(snapshot.state, indent=1))


def read_sharded(folder: Path, fresh: Snapshot, players: dict[str, Player]) -> Snapshot:
    """A sharded checkpoint read into the tensors of a run that has just begun, in place."""
    if not is_sharded(folder):
        raise ValueError(
            f"{folder} was saved by one process; resume without torchrun, as it was saved"
        )
    load_sharded(folder, _flat(fresh, players))
    return Snapshot(json.loads((folder / "state.json").read_text()), fresh.tensors)


def _flat(snapshot: Snapshot, players: dict[str, Player]) -> dict[str, Tensor]:
    """All tensors by `file/name`; averages laid out as their parameters."""
    flat = {}
    for stem, tensors in snapshot.tensors.items():
        player = players.get(stem.removeprefix("average."))
        for key, value in tensors.items():
            if stem.startswith("average.") and player is not None:
                value = like_param(value, player.params[key])
            flat[f"{stem}/{key}"] = value
    return flat


def write(folder: Path, snapshot: Snapshot) -> None:
    """Write `folder` completely or not at all."""
    partial = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for stem, tensors in snapshot.tensors.items():
            path = partial / f"{stem}.safetensors"
            whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            save_tensors(whole, path)
        (partial / "state.json").write_text(json.dumps(snapshot.state, indent=1))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    place_folder(partial, folder)


def read(folder: Path) -> Snapshot:
    if is_sharded(folder):
        raise ValueError(
            f"{folder} was saved by several processes; resume with torchrun, as it was saved"
        )
    state = json.loads((folder / "state.json").read_text())
    tensors = {p.stem: load_file(p) for p in sorted(folder.glob("*.safetensors"))}
    return Snapshot(state, tensors)


def existing(root: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(p for p in root.glob("[0-9]*") if p.suffix != ".tmp" and p.is_dir())


def prune(root: Path, keep: int) -> None:
    """Delete all but the newest `keep` (the best is held elsewhere) and abandoned partial ones."""
    for old in existing(root)[: -max(1, keep)]:
        shutil.rmtree(old)
    for partial in root.glob("*.tmp"):
        shutil.rmtree(partial, ignore_errors=True)
