"""Weights on disk: safetensors shards, their checks, their hashes, and differences to a base.

A store lists its tensors from the headers alone and reads them one by one, so that a model is
filled without ever holding the weights twice. Everything that can be refused is refused from the
headers, before a byte of weights is read. Not here: which module the tensors fill (build).

    store = FileStore([Path("model.safetensors")])
    fill(module, store, where="transformer", dtype=lambda name: torch.bfloat16)
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

DTYPES = ("F64", "F32", "F16", "BF16")
"""Numbers that weights may be stored as."""
STEPS, SCALE = "::steps", "::scale"
"""A difference is stored as int8 steps and an fp32 step size per first dimension."""


class Entry(NamedTuple):
    """What a header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]


class Store(Protocol):
    """Named tensors that can be read one at a time."""

    entries: dict[str, Entry]

    def get(self, name: str) -> Tensor: ...


class FileStore:
    """The tensors of some safetensors files."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.entries: dict[str, Entry] = {}
        self._files: dict[str, Path] = {}
        missing = [str(path) for path in files if not path.is_file()]
        if missing:
            raise ValueError(f"weights are missing: {', '.join(missing)}")
        for path in files:
            with opened(path) as file:
                for name in file.keys():  # noqa: SIM118  (a safetensors handle is no mapping)
                    part = file.get_slice(name)
                    self._add(path, name, Entry(str(part.get_dtype()), tuple(part.get_shape())))

    def _add(self, path: Path, name: str, entry: Entry) -> None:
        if name in self.entries:
            raise ValueError(f"{path}: the tensor {name} is also in {self._files[name]}")
        self.entries[name] = entry
        self._files[name] = path

    def get(self, name: str) -> Tensor:
        path = self._files[name]
        with opened(path) as file:
            try:
                return file.get_tensor(name)
            except (SafetensorError, RuntimeError, ValueError) as error:
                raise ValueError(f"{path}: the tensor {name} cannot be read: {error}") from error

    def raw(self, name: str) -> bytes:
        """A tensor's bytes with its type and shape, for its hash."""
        tensor = self.get(name).contiguous()
        return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def opened(path: Path):
    """A safetensors file, or a ValueError that says what is wrong with it."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is truncated or no safetensors file ({error}); fetch or export it again"
        ) from error


class DeltaStore:
    """A base store with some tensors replaced and others shifted."""

    def __init__(self, base: Store, delta: FileStore) -> None:
        self._base, self._delta = base, delta
        self.entries = dict(base.entries)
        for name, entry in delta.entries.items():
            plain = name.removesuffix(STEPS).removesuffix(SCALE)
            if plain == name:
                self.entries[name] = entry
            elif plain not in base.entries:
                raise ValueError(f"the difference to {plain} has no such tensor in the base pack")
            else:
                self._check(plain, base.entries[plain].shape)

    def _check(self, plain: str, shape: tuple[int, ...]) -> None:
        """A difference is steps of the base's shape, and a step size for each first dimension."""
        sizes = shape[:1] + (1,) * len(shape[1:])
        for kind, wanted in ((STEPS, shape), (SCALE, sizes)):
            found = self._delta.entries.get(plain + kind)
            if found is None:
                raise ValueError(f"the difference to {plain} has no {kind.strip(':')}")
            if found.shape != wanted:
                raise ValueError(
                    f"the difference to {plain} has {kind.strip(':')} of shape "
                    f"{list(found.shape)}, not {list(wanted)}"
                )

    def get(self, name: str) -> Tensor:
        if name in self._delta.entries:
            return self._delta.get(name)
        tensor = self._base.get(name)
        if name + STEPS not in self._delta.entries:
            return tensor
        steps, scale = self._delta.get(name + STEPS), self._delta.get(name + SCALE)
        return tensor.float() + steps.float() * scale


def fill(
    module: nn.Module,
    store: Store,
    *,
    where: str,
    dtype: Callable[[str], torch.dtype],
    device: torch.device | str = "cpu",
    rename: Callable[[str], str] = lambda name: name,
) -> None:
    """Give a module built on the meta device its weights, one tensor at a time.

    `rename` turns a stored name into the module's. Every tensor of the module must be there, with
    its shape, and no other; a NaN or an infinity is refused.
    """
    wanted = dict(module.state_dict(keep_vars=True))
    stored = {rename(name): name for name in store.entries}
    check(wanted, {new: store.entries[old] for new, old in stored.items()}, where)
    for name, old in stored.items():
        tensor = store.get(old)
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{where}: the tensor {old} holds NaN or infinity; the pack is broken")
        placed = tensor.to(device=device, dtype=dtype(name), copy=True)
        _place(module, name, placed)
    left = [n for n, t in [*module.named_parameters(), *module.named_buffers()] if t.is_meta]
    assert not left, f"never given a value: {left}"


def check(wanted: dict[str, Tensor], found: dict[str, Entry], where: str) -> None:
    """Names, shapes and dtypes of all tensors, before any is read."""
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing:
        raise ValueError(f"{where}: no tensor {missing[0]} ({len(missing)} missing in all)")
    if extra:
        raise ValueError(f"{where}: unknown tensor {extra[0]} ({len(extra)} unknown in all)")
    for name, entry in found.items():
        if entry.shape != tuple(wanted[name].shape):
            raise ValueError(
                f"{where}: {name} has shape {list(entry.shape)}, "
                f"not {list(wanted[name].shape)} as its config says"
            )
        if entry.dtype not in DTYPES:
            raise ValueError(
                f"{where}: {name} is stored as {entry.dtype}; known are {', '.join(DTYPES)}"
            )


def _place(module: nn.Module, name: str, tensor: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[leaf] = tensor


def hash_tensors(store: FileStore) -> Iterator[tuple[str, str]]:
    """(name, sha256 of type, shape and bytes) of every tensor, as they are read."""
    for name, entry in store.entries.items():
        digest = hashlib.sha256(f"{entry.dtype}{list(entry.shape)}".encode())
        digest.update(store.raw(name))
        yield name, digest.hexdigest()


def difference(tensor: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
    """int8 steps and step size per first dimension that lead from base to tensor, nearly."""
    gap = tensor.float() - base.float()
    dims = tuple(range(1, gap.ndim))
    most = gap.abs().amax(dims, keepdim=True) if dims else gap.abs().amax().expand(gap.shape)
    scale = (most / 127).clamp(min=1e-12)
    steps = (gap / scale).round().clamp(-127, 127).to(torch.int8)
    return steps.contiguous(), scale.contiguous()
