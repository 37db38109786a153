"""The networks of a pack: built empty, filled from safetensors, ready to run.

Our own modules are built on the meta device and filled tensor by tensor; the two that come from
other libraries (the Wan codec, UMT5) are loaded by those, after the same checks of their files.
Which dtype what is kept in is decided here. Not here: the manifest, the world around them.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from helios_core.codecs.tiny import TinyCodec, TinyCodecConfig
from helios_core.config import TransformerConfig
from helios_core.local import channels_last
from helios_core.packs import manifest as manifests
from helios_core.packs.find import find
from helios_core.packs.manifest import Manifest, ModuleSpec
from helios_core.packs.tensors import DeltaStore, FileStore, Store, fill
from helios_core.plain import build
from helios_core.text.small import SmallTextConfig, SmallTextEncoder
from helios_core.transformer import FP32_PARAMETERS, HeliosTransformer

OLD_NAMES = {"scale_shift_table": "norm_out.scale_shift_table"}
"""Names of older training checkpoints."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What a world can compute in."""


def dtype_of(dtype: Any, device: torch.device) -> torch.dtype:
    """A torch dtype from itself, its name or None (the device's default)."""
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(f"dtype {name!r} is not known; give one of {', '.join(DTYPES)}")
    return DTYPES[name]


def weights(folder: Path, manifest: Manifest, name: str) -> Store:
    """The tensors of one module, over its base pack's where it is a delta."""
    files = module_files(folder, manifest, name)
    store = FileStore(files)
    if manifest.base is None:
        return store
    base_folder = base_of(folder, manifest)
    return DeltaStore(weights(base_folder, manifests.read(base_folder), name), store)


def module_files(folder: Path, manifest: Manifest, name: str) -> list[Path]:
    """Paths of a module's safetensors."""
    place = source_of(folder, manifest)
    return [place / file for file in manifest.module(name).files]


def source_of(folder: Path, manifest: Manifest) -> Path:
    """Where the files are: the released folder of an imported pack, else the pack's own."""
    if manifest.source is None:
        return folder
    source = Path(manifest.source)
    if not source.is_dir():
        raise ValueError(f"{folder} was imported from {source}, which is gone: import it again")
    return source


def base_of(folder: Path, manifest: Manifest) -> Path:
    """Folder of the pack that a delta pack differs from: beside it, or found by name."""
    assert manifest.base is not None
    base = named_base(manifest.base.name, folder)
    found = manifests.read(base).hash(manifests.read_hashes(base))
    if found != manifest.base.hash:
        raise ValueError(
            f"{folder} is the difference to another version of the pack {manifest.base.name}: "
            f"it wants {manifest.base.hash}, {base} is {found}"
        )
    return base


def named_base(name: str, folder: Path) -> Path:
    """Where the base of a pack in `folder` is looked for."""
    beside = folder.absolute().parent / name  # of `.`, too
    return beside if (beside / manifests.FILE).is_file() else find(name)


def empty(spec: ModuleSpec, where: str) -> nn.Module:
    """One of our modules on the meta device: sizes, no memory."""
    with torch.device("meta"):
        if spec.kind == "helios":
            return HeliosTransformer(build(TransformerConfig, spec.config, f"{where} config"))
        if spec.kind == "tiny_codec":
            return TinyCodec(build(TinyCodecConfig, spec.config, f"{where} config"))
        if spec.kind == "small_text":
            return SmallTextEncoder(build(SmallTextConfig, spec.config, f"{where} config"))
    raise ValueError(f"{where}: {spec.kind} is not a module of ours")


def kept_dtype(spec: ModuleSpec, dtype: torch.dtype) -> Any:
    """Tensor name to the dtype that it is kept in."""
    if spec.kind == "small_text":
        return lambda name: torch.float32  # runs once per prompt
    exact = FP32_PARAMETERS if spec.kind == "helios" else ("latent_mean", "latent_std")
    return lambda name: torch.float32 if any(part in name for part in exact) else dtype


def load_module(
    folder: Path, manifest: Manifest, name: str, *, device: torch.device, dtype: torch.dtype
) -> Any:
    """One network of a pack on the device, frozen."""
    spec = manifest.module(name)
    if spec.kind in ("wan_codec", "umt5"):
        return _foreign(folder, manifest, name, device=device, dtype=dtype)
    module = empty(spec, name)
    store = weights(folder, manifest, name)
    return filled(module, spec, store, name, device=device, dtype=dtype)


def filled(
    module: nn.Module,
    spec: ModuleSpec,
    store: Store,
    where: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> nn.Module:
    """The module with a store's weights, in the memory layout that it runs in."""
    fill(
        module,
        store,
        where=where,
        dtype=kept_dtype(spec, dtype),
        device=device,
        rename=lambda stored: OLD_NAMES.get(stored, stored),
    )
    if spec.kind == "tiny_codec":
        channels_last(module)
    if isinstance(module, HeliosTransformer):
        for part in (module.forecast, module.local):
            if part is not None:
                channels_last(part)
    return module.eval().requires_grad_(False)


def _foreign(
    folder: Path, manifest: Manifest, name: str, *, device: torch.device, dtype: torch.dtype
) -> Any:
    spec, source = manifest.module(name), source_of(folder, manifest)
    FileStore(module_files(folder, manifest, name))  # refuses what is missing or damaged
    if spec.kind == "wan_codec":
        from helios_core.codecs.wan import WanCodec

        return WanCodec.load(_below(source, spec, name, "folder"), device=device, dtype=dtype)
    from helios_core.text.umt5 import UMT5Encoder

    return UMT5Encoder.load(
        _below(source, spec, name, "folder"),
        _below(source, spec, name, "tokenizer"),
        device=device,
        dtype=dtype,
    )


def _below(source: Path, spec: ModuleSpec, where: str, key: str) -> Path:
    """A folder that a module of another library is loaded from."""
    if not isinstance(spec.config.get(key), str):
        raise ValueError(f"{where} config: {key} missing; name a folder below the pack's source")
    manifests.check_below(f"{where} {key}", spec.config[key])
    return source / spec.config[key]
