"""From a pack's folder to a world that plays.

Nothing is returned before everything was checked and loaded, so that a broken pack leaves nothing
half-loaded. Not here: where packs are (find), their weights (modules, tensors).

    world = load("wilds", device="cpu", dtype="bfloat16", threads=2)
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from helios_core.codecs.api import frames_of
from helios_core.codecs.beside import BesideCodec
from helios_core.codecs.joined import JoinedCodec
from helios_core.eightbit import use_eight_bits
from helios_core.fingerprint import fingerprint
from helios_core.packed import pack
from helios_core.packs import builtin
from helios_core.packs import manifest as manifests
from helios_core.packs.find import find
from helios_core.packs.manifest import MODULES, Hashes, Manifest, PresetSpec
from helios_core.packs.modules import dtype_of, load_module
from helios_core.packs.verify import size_of, verify_small
from helios_core.packs.view_files import read_views
from helios_core.plain import build
from helios_core.residency.device import CudaDevice, Device
from helios_core.residency.executor import Residency
from helios_core.residency.plan import plan_residency
from helios_core.residency.sizes import sizes_of, texts_kept, transformer_work
from helios_core.sampling.plan import SamplerPlan
from helios_core.views import Views
from helios_core.world import Parts, WorldModel
from helios_core.world_api import Preset, WorldInfo


def load(
    name_or_path: str | Path,
    *,
    device: str = "cpu",
    dtype: Any = None,
    threads: int | None = None,
    graphs: bool = False,
    codec_device: str | None = None,
    eight_bits: str | None = None,
    compile: bool = False,
) -> WorldModel:
    """A pack's world; every mistake in it is a ValueError.

    `graphs`: pyramid stages replay as CUDA graphs, on a GPU that holds the pack as a whole.
    `codec_device`: another device that codes and decodes. `eight_bits`: `fp8` or `int8` products
    in the blocks, on a device that holds the pack as a whole. `compile`: a decoder of the released
    kind is compiled when it first runs, likewise.
    """
    place = device_of(device)
    kind = dtype_of(dtype, place)
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; give at least 1")
        torch.set_num_threads(threads)
    coder = place if codec_device is None else device_of(codec_device)
    folder = None if str(name_or_path) == "random" else find(name_or_path)
    if folder is None:
        manifest, hashes = builtin.random_manifest(), {}
    else:
        manifest, hashes = manifests.read(folder), manifests.read_hashes(folder)
    check_compile(manifest, compile)
    fits = folder is None or _fits(folder, manifest, place)
    if not fits and (graphs or compile or codec_device is not None or eight_bits is not None):
        raise ValueError(
            f"pack {manifest.name} does not fit on {place} as a whole, so its modules take "
            "turns there: load it without graphs, codec_device, eight_bits and compile"
        )
    homes = (place, coder) if fits else (torch.device("cpu"),) * 2
    modules = _modules(folder, manifest, *homes, dtype=kind)
    turn = None if fits else share(manifest, modules, CudaDevice(place), free_memory(place)).turn
    if eight_bits is not None:
        use_eight_bits(modules["transformer"], eight_bits)
    if place.type == "cpu":
        pack(modules["transformer"])
    if compile:
        modules["codec"].compile()
    return assemble(
        manifest,
        hashes,
        modules,
        device=place,
        dtype=kind,
        turn=turn,
        folder=folder or Path(),
        graphs=graphs,
        eight_bits=eight_bits,
        compile=compile,
        beside=coder if codec_device is not None or (fits and coder.type == "cuda") else None,
    )


def _modules(
    folder: Path | None,
    manifest: Manifest,
    home: torch.device,
    coder: torch.device,
    *,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """A pack's modules, its codec on `coder`; without a folder random ones. Small packs are
    verified first."""
    if folder is None:
        made: dict[str, Any] = dict(builtin.random_modules(manifest, device=home, dtype=dtype))
        made["codec"].to(coder)
        return made
    verify_small(folder, manifest)
    homes = dict.fromkeys(MODULES, home) | {"codec": coder}
    return {
        name: load_module(folder, manifest, name, device=homes[name], dtype=dtype)
        for name in MODULES
    }


def check_compile(manifest: Manifest, compile: bool) -> None:
    """Refuse to compile what would not be faster for it."""
    if compile and manifest.codec.kind != "wan_codec":
        raise ValueError(
            f"pack {manifest.name} has a small codec of its own, and only that of imported "
            "checkpoints is compiled: load it without compile"
        )


ROOMY = 0.6
"""A pack whose files fill less than this share of a GPU's free memory stays there as a whole."""


def _fits(folder: Path, manifest: Manifest, device: torch.device) -> bool:
    """Whether a device holds a pack as a whole; a CPU always does."""
    return device.type != "cuda" or size_of(folder, manifest) < ROOMY * free_memory(device)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU."""
    return torch.cuda.mem_get_info(device)[0]


def share(manifest: Manifest, modules: Mapping[str, Any], device: Device, free: int) -> Residency:
    """Let a pack's modules, loaded on the host, take turns on a device that is short of memory."""
    model, codec = modules["transformer"], modules["codec"]
    networks = {
        "text_encoder": getattr(modules["text_encoder"], "model", modules["text_encoder"]),
        "transformer": model,
        "codec": getattr(codec, "vae", codec),
    }
    rows, columns = manifest.height // codec.spatial, manifest.width // codec.spatial
    sizes = sizes_of(
        **networks,
        blocks=model.blocks,
        transformer_work=transformer_work(model.config, manifest.chunk_latents, rows, columns),
        texts=texts_kept(model.config, modules["text_encoder"].max_tokens),
        pixels=manifest.height * manifest.width * frames_of(codec, manifest.chunk_latents),
        wan=manifest.codec.kind == "wan_codec",
    )
    plan = plan_residency(sizes, free=free)
    return Residency(plan, networks, model.blocks, device)


def device_of(device: str) -> torch.device:
    """A torch device that this machine has."""
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is not known; try cpu or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here; use device cpu")
    return place


def assemble(
    manifest: Manifest,
    hashes: Hashes,
    modules: Mapping[str, Any],
    *,
    device: torch.device,
    dtype: torch.dtype,
    turn: Any = None,
    folder: Path = Path(),
    graphs: bool = False,
    eight_bits: str | None = None,
    compile: bool = False,
    beside: torch.device | None = None,
) -> WorldModel:
    """A world of loaded modules; what does not fit together is a ValueError. `folder` is where the
    pictures of presets lie; a codec that lives `beside` has a device or a stream of its own."""
    codec, encoder = modules["codec"], modules["text_encoder"]
    check_fit(manifest, modules)
    if manifest.joining is not None:
        codec = JoinedCodec(codec, manifest.joining)
    if beside is not None:
        codec = BesideCodec(codec, beside)
    views = None
    if manifest.views is not None:
        with nullcontext() if turn is None else turn("text_encoder"):
            views = Views(read_views(folder, manifest), manifest.views.texts, encoder)
    info = WorldInfo(
        name=manifest.name,
        fps=manifest.fps,
        chunk_frames=frames_of(codec, manifest.chunk_latents),
        height=manifest.height,
        width=manifest.width,
        spec=manifest.spec,
        layout=manifest.layout,
        pack_hash=manifest.hash(hashes),
        crossfade_chunks=manifest.crossfade_chunks,
        known_words=encoder.known_words,
        presets=tuple(_preset(p, folder) for p in manifest.presets),
        bindings=dict(manifest.bindings),
        fingerprint=fingerprint(
            device, dtype, eight_bits=eight_bits, compile_mode="codec" if compile else "none"
        ),
    )
    parts = Parts(
        transformer=modules["transformer"],
        codec=codec,
        text_encoder=encoder,
        plan=build(SamplerPlan, manifest.sampler, "sampler"),
        chunk_latents=manifest.chunk_latents,
        device=device,
        state_dtype=torch.float32 if device.type == "cpu" else dtype,
        start_noise=manifest.start_noise,
        negative_prompt=manifest.negative_prompt,
        stillness=manifest.stillness,
        graphs=graphs,
        views=views,
        **({} if turn is None else {"turn": turn}),
    )
    return WorldModel(parts, info)


def _preset(spec: PresetSpec, folder: Path) -> Preset:
    return Preset(prompt=spec.prompt, image=folder / spec.image if spec.image else None)


def check_fit(manifest: Manifest, modules: Mapping[str, Any]) -> None:
    """Refuse modules whose sizes disagree."""
    codec, encoder = modules["codec"], modules["text_encoder"]
    config = modules["transformer"].config
    pairs = (
        ("latent channels", config.in_channels, codec.channels),
        ("text width", config.text_dim, encoder.text_dim),
    )
    for what, wanted, given in pairs:
        if wanted != given:
            raise ValueError(
                f"pack {manifest.name}: the transformer wants {wanted} {what}, not {given}"
            )
    if codec.layout != manifest.layout:
        raise ValueError(f"pack {manifest.name}: its codec is {codec.layout}")
    if manifest.height % codec.spatial or manifest.width % codec.spatial:
        raise ValueError(
            f"pack {manifest.name}: {manifest.height}x{manifest.width} is no multiple of "
            f"{codec.spatial} pixels"
        )
    if config.actions and config.actions.window != codec.temporal:
        raise ValueError(
            f"pack {manifest.name}: actions come in windows of {config.actions.window} frames, "
            f"latents cover {codec.temporal}"
        )
