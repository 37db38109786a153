"""Step `export`: published modules as a pack that plays, with its card.

Weights become 16 bit; the card says how they were trained and what was measured. Not for bare
machines: the manifest needs PyYAML.

    helios train wilds-nano --only export
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helios_core.codecs.joined import JoinedCodec, Joining
from helios_core.packs.find import find
from helios_core.packs.manifest import FORMAT, Manifest, ModuleSpec, ViewsSpec
from helios_core.packs.view_files import FILE, digest, views_bytes
from helios_core.packs.write import check_base, check_place, write_delta, write_pack
from helios_core.plain import to_plain
from helios_core.stillness import Stillness
from helios_core.text.small import vocabulary_of
from training import artifacts
from training.data import shards
from training.stages.context import StepContext, StepName
from training.stages.origin import codec_on_paper, open_codec
from training.stages.way import student_plan
from training.starts import Start, check_clips, presets
from training.trainer.rundir import RunDir
from training.views import ViewsConfig, wilds_views


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What becomes a pack."""

    name: str
    world: StepName
    """Step that published transformer and text encoder."""
    codec: StepName
    """Step that published the codec, or `pack:NAME`."""
    latents: StepName
    """Step whose shards tell fps and actions."""
    height: int
    width: int
    folder: str = ""
    """Where packs go; empty = the step's own folder."""
    chunk_latents: int = 1
    sigmas: tuple[float, ...] = (1.0, 0.75, 0.4)
    """Noise levels of a chunk's steps, of a world without a pyramid."""
    steps: tuple[int, ...] = ()
    """Steps of each stage of a distilled pyramid; empty = no pyramid."""
    crossfade_chunks: int = 10
    about: str = ""
    """Empty: which game it learned from."""
    licence: str = ""
    """Empty: that of what it learned from."""
    presets: tuple[Start, ...] = ()
    """Beginnings; play starts from the first, the number keys lead to the others."""
    views: ViewsConfig | None = None
    """Pictures of Wilds to begin from where there is only a text; none by default."""
    stillness: Stillness | None = None
    """How the world keeps its moment while nothing is asked of it; none by default."""
    joining: Joining | None = None
    """How chunks lead over into each other; none by default."""
    clips: StepName = ""
    """Step whose folder holds the recordings that presets name by `clip`."""
    bindings: dict[str, Any] = field(default_factory=dict)
    """Devices of its channels; empty: those that the game's mapping has for who plays by hand."""
    card: dict[str, Any] = field(default_factory=dict)
    """Anything else worth saying, such as the licences of what it learned from."""
    delta_of: str = ""
    """Pack, by name or folder, to store only the difference to; empty = all weights."""

    def __post_init__(self) -> None:
        student_plan(self.sigmas, self.steps)  # which refuses what cannot be sampled

    def check(self, root: Path, name: str) -> None:
        """Refuse before the training what would fail after it, as far as it is known by then."""
        if self.delta_of:
            check_base(find(self.delta_of), self.place(root / name))
        if self.clips and RunDir(root / self.clips).done:
            check_clips([start.clip for start in self.presets], root / self.clips)
        codec = codec_on_paper(self.codec, root) if self.joining else None
        if self.joining and codec is not None:
            JoinedCodec(codec, self.joining)  # which refuses one that cannot be joined

    def place(self, own: Path) -> Path:
        """Where the pack goes; `own` is the step's folder."""
        return (Path(self.folder).expanduser() if self.folder else own) / self.name


def export(config: ExportConfig, context: StepContext) -> dict[str, Any]:
    """Write the pack; returns its place, hash and size."""
    folder = config.place(context.rundir.path)
    check_place(folder)  # before the work, not after it
    modules = {
        "transformer": artifacts.load(context.final(config.world), "transformer"),
        "codec": open_codec(config.codec, context),
        "text_encoder": artifacts.load(context.final(config.world), "text"),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: module.state_dict() for name, module in modules.items()}
    begins, pictures = presets(
        config.presets,
        height=config.height,
        width=config.width,
        clips=context.folder(config.clips) if config.clips else None,
    )
    views, files = _views(config)
    pictures |= files
    manifest = replace(make_manifest(config, context, modules), presets=begins, views=views)
    if config.delta_of:
        report = write_delta(folder, manifest, weights, find(config.delta_of), pictures=pictures)
        pack_hash = report.hash
    else:
        pack_hash = write_pack(folder, manifest, weights, dtype=torch.float16, pictures=pictures)
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(f"{folder}: {size / 2**20:.1f} MiB, hash {pack_hash}", flush=True)
    return {"folder": str(folder), "hash": pack_hash, "bytes": size}


def _views(config: ExportConfig) -> tuple[ViewsSpec | None, dict[str, bytes]]:
    """What the manifest says of the views, and their file."""
    if config.views is None:
        return None, {}
    views = wilds_views(config.views, height=config.height, width=config.width)
    pictures = np.stack([view.picture for view in views])
    texts = tuple(view.texts for view in views)
    spec = ViewsSpec(file=FILE, sha256=digest(pictures), texts=texts)
    return spec, {FILE: views_bytes(pictures)}


def make_manifest(config: ExportConfig, context: StepContext, modules: dict[str, Any]) -> Manifest:
    """All of pack.yaml but the files and the presets."""
    infos = [shards.read_info(path) for path in shards.listing(context.folder(config.latents))]
    info, origins = infos[0], [info.origin for info in infos]
    kinds = {"transformer": "helios", "codec": "tiny_codec", "text_encoder": "small_text"}
    specs = {
        name: ModuleSpec(kind=kinds[name], config=to_plain(modules[name].config))  # type: ignore[arg-type]
        for name in kinds
    }
    specs["text_encoder"].config["vocabulary"] = _words(modules["text_encoder"], infos)
    games = said([{"env": o.get("env", "").rpartition(":")[2]} for o in origins], "env")
    return Manifest(
        format=FORMAT,
        name=config.name,
        about=config.about or (f"Learned from recordings of {games}." if games else ""),
        licence=config.licence or said(origins, "licence") or "unknown",
        fps=info.fps,
        height=config.height,
        width=config.width,
        chunk_latents=config.chunk_latents,
        layout=modules["codec"].layout,
        crossfade_chunks=config.crossfade_chunks,
        actions=tuple(info.spec.to_dict()),
        stillness=config.stillness,
        joining=config.joining,
        bindings=config.bindings or info.origin.get("bindings", {}),
        sampler=student_plan(config.sigmas, config.steps).to_dict(),
        card={**_history(config, context, modules), **config.card},
        **specs,  # type: ignore[arg-type]
    )


def said(origins: Sequence[Mapping[str, Any]], key: str) -> str:
    """What the shards' headers say under a key, each answer once."""
    return "; ".join(dict.fromkeys(str(origin[key]) for origin in origins if origin.get(key)))


def _words(encoder: Any, infos: Sequence[shards.ClipInfo]) -> list[str]:
    """Those that it knew before, and those of the captions that it learned from here."""
    segments = (s for info in infos for caption in info.captions for s in caption)
    heard = vocabulary_of(text for segment in segments for text in segment.texts)
    return sorted({*encoder.config.vocabulary, *heard})


def _history(config: ExportConfig, context: StepContext, modules: dict[str, Any]) -> dict[str, Any]:
    """How the weights came about, from the runs' own records."""
    steps = [s for s in (config.codec, config.world) if not s.startswith("pack:")]
    trained = {step: _run_record(context, step) for step in steps}
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in modules.items()}
    return {"parameters": counts, "trained": trained}


def _run_record(context: StepContext, step: str) -> dict[str, Any]:
    """Samples, hours, machine and held-out figures of one run."""
    folder = context.folder(step)
    if not (folder / "done.json").exists():
        raise ValueError(f"{step} is not done, so there is nothing to export; run it first")
    summary = json.loads((folder / "done.json").read_text())
    start = json.loads((folder / "config.json").read_text())["starts"][-1]
    figures = [row["eval"] for row in summary["last"]]
    return {
        "samples": summary["samples"],
        "hours": round(summary["seconds"] / 3600, 2),
        "device": start["device"],
        "git": start["git"],
        "held_out": figures[-1] if figures else {},
    }
