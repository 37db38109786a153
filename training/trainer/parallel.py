"""Several processes as one: FSDP2 sharding, each rank's share of a batch, sharded checkpoints.

Started by torchrun; without it there is one rank and everything here is a no-op. Every rank draws
the whole batch's random numbers and takes its own rows, so that N processes train what one would.

    torchrun --nproc-per-node 8 -m training frozen.json --only base
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from training.durable import place_folder


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    rank: int = 0
    count: int = 1

    @property
    def primary(self) -> bool:
        """The one that logs, judges and publishes."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """This rank's rows of a batch."""
        if batch % self.count:
            raise ValueError(f"a batch of {batch} does not divide over {self.count} processes")
        size = batch // self.count
        return slice(self.rank * size, (self.rank + 1) * size)


def start(device: torch.device) -> Ranks:
    """Join the processes that torchrun started; one rank without it."""
    if "WORLD_SIZE" not in os.environ:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return Ranks(dist.get_rank(), dist.get_world_size())


def shard(world: Any, ranks: Ranks) -> None:
    """Shard a trained world's parameters over all ranks, block by block, in place.

    Methods through which the model is entered beside `forward` gather their weights as well.
    """
    if ranks.count == 1:
        return
    for block in world.dit.blocks:
        fully_shard(block.attn2)
        for method in ("key_value", "action_key_value"):
            register_fsdp_forward_method(block.attn2, method)
        fully_shard(block)
        register_fsdp_forward_method(block, "history_step")
    fully_shard(world)
    register_fsdp_forward_method(world, "told")


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this rank holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together, on every rank."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like_param(mine: Tensor, param: Tensor) -> Tensor:
    """A local part (of an average, say) as a sharded tensor laid out as its parameter."""
    if not isinstance(param, DTensor):
        return mine
    return DTensor.from_local(
        mine, param.device_mesh, param.placements, shape=param.shape, stride=param.stride()
    )


def save_sharded(
    folder: Path, tensors: Mapping[str, Tensor], ranks: Ranks, state: str = "{}"
) -> None:
    """Each rank writes its part; the folder appears whole or not at all."""
    partial = folder.with_name(folder.name + ".tmp")
    if ranks.primary:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    _wait(ranks)
    dcp.save(dict(tensors), checkpoint_id=partial)
    _wait(ranks)
    if ranks.primary:
        (partial / "state.json").write_text(state)
        place_folder(partial, folder)
    _wait(ranks)


def is_sharded(folder: Path) -> bool:
    """Whether a checkpoint is `save_sharded`'s."""
    return (folder / ".metadata").exists()  # of torch.distributed.checkpoint


def load_sharded(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill tensors in place; they may be sharded over another number of ranks than when saved."""
    dcp.load(dict(tensors), checkpoint_id=folder)


def _wait(ranks: Ranks) -> None:
    if ranks.count > 1:
        dist.barrier()
