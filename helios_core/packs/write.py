"""Write packs: all of a pack's weights, or only the difference to another pack.

A pack appears whole or not at all, also after a power loss: it is written beside its place, and
moved there when it is on disk. Files stay below a size, so that packs fit into places that limit
it. Not here: reading (build).

    write_pack(Path("assets/packs/wilds"), manifest, {"transformer": model.state_dict(), ...})
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from helios_core.disk import sync
from helios_core.packs import manifest as manifests
from helios_core.packs.manifest import MODULES, BaseRef, Manifest, ModuleSpec
from helios_core.packs.modules import named_base, weights
from helios_core.packs.tensors import SCALE, STEPS, FileStore, Store, difference, hash_tensors
from helios_core.packs.verify import verify

SHARD_BYTES = 15 * 2**20
"""A file holds at most so much, unless a single tensor is larger."""
Weights = Mapping[str, Mapping[str, Tensor]]
"""Module to tensor name to tensor."""
Pictures = Mapping[str, bytes]
"""File name to content, of the presets' pictures and of views."""
KEPT = ("README.md", "evaluation")
"""What others put beside a pack; it outlives writing the pack again."""
NO_PICTURES: Pictures = MappingProxyType({})


def write_pack(
    folder: Path,
    manifest: Manifest,
    weights_of: Weights,
    *,
    dtype: torch.dtype = torch.float16,
    shard_bytes: int = SHARD_BYTES,
    pictures: Pictures = NO_PICTURES,
) -> str:
    """Write a pack and verify it; returns its hash. Vectors stay fp32, matrices get `dtype`."""
    stored = {
        module: {name: _stored(tensor, dtype) for name, tensor in weights_of[module].items()}
        for module in MODULES
    }
    whole = replace(manifest, base=None, source=None)
    return _publish(folder, whole, stored, shard_bytes, pictures)


class DeltaReport(NamedTuple):
    """What storing a difference cost."""

    hash: str
    worst: float
    """Largest error of any weight, over the largest magnitude in its tensor."""
    shifted: int
    replaced: int
    kept: int


def write_delta(
    folder: Path,
    manifest: Manifest,
    weights_of: Weights,
    base_folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    shard_bytes: int = SHARD_BYTES,
    pictures: Pictures = NO_PICTURES,
) -> DeltaReport:
    """Write only what differs from another pack: 8-bit steps, or whole tensors of new shape.

    Lossy: measure the pack as it is loaded from here, not the model that it was made from. The base
    has to lie beside the new pack, or be found by name.
    """
    base = check_base(base_folder, folder)
    stored: dict[str, dict[str, Tensor]] = {module: {} for module in MODULES}
    counts, worst = {"shifted": 0, "replaced": 0, "kept": 0}, 0.0
    for module in MODULES:
        store = weights(base_folder, base, module)
        gone = sorted(set(store.entries) - set(weights_of[module]))
        if gone:
            raise ValueError(f"the base's {module} has {gone[0]}, which this pack has not")
        for name, tensor in weights_of[module].items():
            kind, parts, error = _encode(name, tensor.detach().cpu(), store, dtype)
            counts[kind] += 1
            worst = max(worst, error)
            stored[module].update(parts)
    reference = BaseRef(name=base.name, hash=base.hash(manifests.read_hashes(base_folder)))
    changed = replace(manifest, base=reference, source=None)
    pack_hash = _publish(folder, changed, stored, shard_bytes, pictures)
    return DeltaReport(hash=pack_hash, worst=worst, **counts)


def check_base(base_folder: Path, folder: Path) -> Manifest:
    """The base's manifest. Refuses one from which the pack `folder` could not be loaded: another
    difference, one of its own name, or one that is not the pack of its name beside `folder` or
    found by name."""
    base = manifests.read(base_folder)
    if base.base is not None:
        raise ValueError(f"{base_folder} is itself a difference; take {base.base.name} as the base")
    if folder.absolute().name == base.name:
        raise ValueError(
            f"{folder} has the name of its base and would be taken for it; give it another name, "
            "or store all weights (leave out delta_of)"
        )
    named = named_base(base.name, folder)
    same = named.resolve() == base_folder.resolve() or _hash(named) == _hash(base_folder)
    if not same:
        raise ValueError(
            f"{base_folder} cannot be the base of {folder}: the pack that is found by the name "
            f"{base.name} is {named}, another one; rename yours, or store all weights (no base)"
        )
    return base


def _hash(folder: Path) -> str:
    return manifests.read(folder).hash(manifests.read_hashes(folder))


def _encode(
    name: str, tensor: Tensor, base: Store, dtype: torch.dtype
) -> tuple[str, dict[str, Tensor], float]:
    """How one tensor is stored: kind, the tensors that say it, and the error."""
    if name not in base.entries or base.entries[name].shape != tuple(tensor.shape):
        return "replaced", {name: _stored(tensor, dtype)}, 0.0
    old = base.get(name)
    if torch.equal(tensor.to(old.dtype), old):
        return "kept", {}, 0.0
    if tensor.ndim < 2:
        return "replaced", {name: _stored(tensor, dtype)}, 0.0
    steps, scale = difference(tensor, old)
    gap = (old.float() + steps.float() * scale - tensor.float()).abs().max()
    error = float(gap / tensor.float().abs().max().clamp(min=1e-12))
    return "shifted", {name + STEPS: steps, name + SCALE: scale}, error


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor as it lies on disk: on the CPU, contiguous, vectors and small tables exact."""
    kept = torch.float32 if tensor.ndim < 2 or tensor.shape[0] == 1 else dtype
    return tensor.detach().to("cpu", kept).contiguous().clone()


def _publish(
    folder: Path,
    manifest: Manifest,
    stored: Weights,
    shard_bytes: int,
    pictures: Pictures,
) -> str:
    """Write to a folder beside, verify, then move into place."""
    check_place(folder)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        specs = {module: _write(draft, module, manifest, stored, shard_bytes) for module in MODULES}
        manifest = replace(manifest, **specs)
        for name, picture in pictures.items():
            (draft / name).write_bytes(picture)
        manifests.write(manifest, draft)
        hashes = {
            module: dict(hash_tensors(FileStore([draft / f for f in specs[module].files])))
            for module in MODULES
        }
        manifests.write_hashes(hashes, draft)
        verify(draft)
        _carry(folder, draft)
        for path in (*draft.rglob("*"), draft):
            sync(path)
        before = draft.with_name(f"{draft.name}.before")
        if folder.exists():
            folder.rename(before)  # as a whole, or refused where something keeps a file of it open
        draft.rename(folder)
        sync(folder.absolute().parent)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest.hash(hashes)


def check_place(folder: Path) -> None:
    """Refuse to replace anything but a pack: the folder may be a person's own."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; name another folder for the pack")
    if any(folder.iterdir()) and not (folder / manifests.FILE).is_file():
        raise ValueError(
            f"{folder} is not empty and holds no pack ({manifests.FILE}), so it is not replaced; "
            "name another folder or empty it"
        )


def _carry(old: Path, draft: Path) -> None:
    """Copy what others put beside the old pack, unless the new one brings its own."""
    for name in KEPT:
        kept, place = old / name, draft / name
        if place.exists():
            continue
        if kept.is_dir():
            shutil.copytree(kept, place)
        elif kept.is_file():
            shutil.copy2(kept, place)


def _write(
    draft: Path, module: str, manifest: Manifest, stored: Weights, shard_bytes: int
) -> ModuleSpec:
    """A module's shards; returns its spec with their names."""
    shards = _shards(stored[module], shard_bytes)
    files = []
    for i, shard in enumerate(shards, 1):
        files.append(f"{module}-{i:02}-of-{len(shards):02}.safetensors")
        save_file(shard, draft / files[-1])
    return replace(manifest.module(module), files=tuple(files))


def _shards(tensors: Mapping[str, Tensor], most: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = []
    room = 0
    for name, tensor in tensors.items():
        if tensor.nbytes > room:
            shards.append({})
            room = most
        shards[-1][name] = tensor
        room -= tensor.nbytes
    return shards
