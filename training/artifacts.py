"""Trained modules on disk: weights in safetensors beside the config that rebuilds them.

A step publishes its modules into `<run>/final/`; later steps and the export read them from there.
Not a pack: `training.export` makes packs.
"""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

from helios_core.plain import build, to_plain
from training.durable import save_tensors
from training.trainer.parallel import whole

KINDS = {
    "tiny_codec": ("helios_core.codecs.tiny", "TinyCodecConfig", "TinyCodec"),
    "helios": ("helios_core.transformer", "TransformerConfig", "HeliosTransformer"),
    "reader": ("training.stages.reader", "ReaderShape", "Reader"),
    "small_text": ("helios_core.text.small", "SmallTextConfig", "SmallTextEncoder"),
}
"""Kind to module, config class and class."""


def make(kind: str, config: Mapping[str, Any] | Any) -> nn.Module:
    """A fresh module of a kind from its config (a mapping or the dataclass itself)."""
    if kind not in KINDS:
        raise ValueError(f"no kind of module {kind!r}; known: {', '.join(KINDS)}")
    place, config_name, class_name = KINDS[kind]
    module = import_module(place)
    if isinstance(config, Mapping):
        config = build(getattr(module, config_name), config, kind)
    return getattr(module, class_name)(config)


def save(folder: Path, name: str, kind: str, module: nn.Module) -> None:
    """Write `<name>.safetensors` and `<name>.json` into the folder; sharded weights are joined."""
    tensors = {k: whole(v.detach()).cpu().contiguous() for k, v in module.state_dict().items()}
    if not writes():
        return
    tensors = {k: v.clone() for k, v in tensors.items()}
    save_tensors(tensors, folder / f"{name}.safetensors")
    config: Any = module.config
    text = json.dumps({"kind": kind, "config": to_plain(config)}, indent=1)
    (folder / f"{name}.json").write_text(text)


def writes() -> bool:
    """Whether this process is the one of several that writes files: the first may have moved the
    folder to its place before another gets there."""
    return not dist.is_initialized() or dist.get_rank() == 0


def described(folder: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Kind and config of a published module."""
    path = folder / f"{name}.json"
    if not path.exists():
        raise ValueError(f"{folder}: no module {name!r} was published here; run that step first")
    values = json.loads(path.read_text())
    return values["kind"], values["config"]


def load(folder: Path, name: str, device: torch.device | str = "cpu") -> nn.Module:
    """A published module with its weights, frozen and in evaluation mode."""
    module = make(*described(folder, name))
    module.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return module.to(device).eval().requires_grad_(False)
