"""Make a pack of a released Helios checkpoint, in place: its weights are read, never copied.

The released layout is a folder with model_index.json and one folder per network: transformer/
(config.json, safetensors with an index), vae/, text_encoder/, tokenizer/, scheduler/. The pack is
a manifest that names that folder and a hash of every tensor.

    folder = import_released(Path("Helios-Distilled"), user_folder())
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from helios_core.config import TransformerConfig
from helios_core.packs import manifest as manifests
from helios_core.packs.manifest import FORMAT, MODULES, Manifest, ModuleSpec
from helios_core.packs.modules import OLD_NAMES, empty, module_files
from helios_core.packs.tensors import FileStore, check, hash_tensors
from helios_core.plain import to_plain
from helios_core.sampling.plan import BASE, DISTILLED, MID, SamplerPlan
from helios_core.sampling.pyramid import check_pyramid

FPS, CHUNK_LATENTS = 24, 9
"""Of the released models."""
START_NOISE = (0.111, 0.135)
"""Share of noise that the released pipelines mix into start images and clips."""
NEGATIVE_PROMPT = (
    "overexposed, static picture, blurred details, subtitles, grey overall, worst quality, "
    "JPEG artefacts, ugly, deformed, extra limbs, cluttered background"
)
"""What the guided checkpoints steer away from; the distilled one does not read it."""


def import_released(
    source: Path,
    packs: Path,
    *,
    name: str | None = None,
    height: int = 384,
    width: int = 640,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the pack's manifest and hashes below `packs`; returns its folder."""
    source = source.expanduser().resolve()
    index = _json(source / "model_index.json", "this is no released checkpoint")
    plan = sampler(index, _json(source / "scheduler" / "scheduler_config.json"))
    config = TransformerConfig.from_diffusers(_json(source / "transformer" / "config.json"))
    vae = _json(source / "vae" / "config.json")
    _check_size(height, width, int(vae.get("scale_factor_spatial", 8)), plan, config)
    manifest = Manifest(
        format=FORMAT,
        name=name or source.name.lower(),
        about=f"imported from {source.name}: plays by text",
        licence="Apache-2.0 as released; see the model card of the checkpoint",
        fps=FPS,
        height=height,
        width=width,
        chunk_latents=CHUNK_LATENTS,
        layout="windowed",
        crossfade_chunks=2,
        negative_prompt=NEGATIVE_PROMPT,
        start_noise=START_NOISE,
        sampler=plan.to_dict(),
        source=str(source),
        **_modules(source, config, vae),
    )
    return _write(manifest, packs / manifest.name, progress)


def _check_size(
    height: int, width: int, cells: int, plan: SamplerPlan, config: TransformerConfig
) -> None:
    """Refuse a picture that codec or pyramid cannot show, before anything is hashed."""
    if height % cells or width % cells:
        raise ValueError(f"{height}x{width} is no multiple of {cells} pixels; 384x640 is usual")
    rows, columns = height // cells, width // cells
    check_pyramid(rows, columns, stages=plan.stages, patch=config.patch, spatial=cells)


def _modules(source: Path, config: TransformerConfig, vae: dict[str, Any]) -> dict[str, Any]:
    """The three networks, each with its files below the source."""
    codec = {"folder": "vae", "channels": vae.get("z_dim", 16)}
    text = {"folder": "text_encoder", "tokenizer": "tokenizer"}
    return {
        "transformer": ModuleSpec(
            kind="helios", config=to_plain(config), files=_files(source, "transformer")
        ),
        "codec": ModuleSpec(kind="wan_codec", config=codec, files=_files(source, "vae")),
        "text_encoder": ModuleSpec(kind="umt5", config=text, files=_files(source, "text_encoder")),
    }


def sampler(index: dict[str, Any], scheduler: dict[str, Any]) -> SamplerPlan:
    """The plan of a released pipeline, by its class, its flags and its scheduler."""
    distilled = scheduler.get("_class_name") == "HeliosDMDScheduler" or index.get("is_distilled")
    stages = int(scheduler.get("stages", 3))
    if distilled:
        plan = DISTILLED
    elif index.get("_class_name") == "HeliosPipeline" or stages == 1:
        return _shifted(BASE, scheduler)
    else:
        rule = "cfg_zero_star" if index.get("is_cfg_zero_star", True) else "cfg"
        solver = "euler" if scheduler.get("scheduler_type") == "euler" else "unipc"
        plan = replace(MID, guidance_rule=rule, solver=solver)
    gamma = float(scheduler.get("gamma", plan.gamma))
    return _shifted(replace(plan, steps=plan.steps[:1] * stages, gamma=gamma), scheduler)


def _shifted(plan: SamplerPlan, scheduler: dict[str, Any]) -> SamplerPlan:
    if not scheduler.get("use_dynamic_shifting", True):
        return replace(plan, shift="none")
    return replace(plan, shift=scheduler.get("time_shift_type", plan.shift))


def _files(source: Path, part: str) -> tuple[str, ...]:
    """Safetensors of one network, below the source; a shard that is missing is named."""
    folder = source / part
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if indexes:
        names = sorted(set(_json(indexes[0]).get("weight_map", {}).values()))
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors"))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        what = f"the shard {missing[0]} is missing" if missing else "there are no safetensors"
        raise ValueError(f"{folder}: {what}; fetch the checkpoint again")
    return tuple(f"{part}/{name}" for name in names)


def _write(manifest: Manifest, folder: Path, progress: Callable[[int, int], None] | None) -> Path:
    """Check the transformer against its config, hash everything, then write."""
    if any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{folder} is a pack with weights of its own; give the imported one another name"
        )
    stores = {module: FileStore(module_files(folder, manifest, module)) for module in MODULES}
    entries = stores["transformer"].entries
    wanted = dict(empty(manifest.transformer, "transformer").state_dict())
    check(wanted, {OLD_NAMES.get(n, n): entry for n, entry in entries.items()}, "transformer")
    total = sum(len(store.entries) for store in stores.values())
    hashes: dict[str, dict[str, str]] = {module: {} for module in MODULES}
    done = 0
    for module, store in stores.items():
        for tensor, digest in hash_tensors(store):
            hashes[module][tensor] = digest
            done += 1
            if progress is not None:
                progress(done, total)
    folder.mkdir(parents=True, exist_ok=True)
    manifests.write_hashes(hashes, folder)
    manifests.write(manifest, folder)
    return folder


def _json(path: Path, remedy: str = "fetch the checkpoint again") -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: {remedy}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {remedy}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no keys and values: {remedy}")
    return values
