"""Shards: one safetensors file of clips of equal length, pixels or latents, with what goes along.

A pixel shard holds `frames` uint8 [N, F, H, W, 3]; a latent shard `latents` float16
[N, T, C, h, w]; both hold `actions` float32 [N, F, A]. Captions, action spec and origin travel as
JSON in the header. A clip's captions are segments: from a frame on, any of some wordings is true.

Legend: N clips, F pixel frames, T latents, A action channels.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from helios_core.actions import ActionSpec
from training.durable import place_file, save_tensors


@dataclass(frozen=True)
class Segment:
    """From pixel frame `start` on, every one of `texts` describes the clip."""

    start: int
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """What a shard's header says."""

    fps: int
    spec: ActionSpec
    captions: tuple[tuple[Segment, ...], ...]
    """One tuple of segments per clip."""
    origin: dict[str, Any] = field(default_factory=dict)
    """World, seeds, licence, codec: whatever tells where the shard came from."""


@dataclass(frozen=True)
class Clips:
    """One batch of clips in memory, with pixels or with latents."""

    info: ClipInfo
    actions: Tensor
    """[N, F, A] in the spec's units."""
    frames: Tensor | None = None
    """uint8 [N, F, H, W, 3]."""
    latents: Tensor | None = None
    """[N, T, C, h, w]."""


def write(path: Path, clips: Clips) -> None:
    """Write a shard completely or not at all."""
    tensors = {"actions": clips.actions.float()}
    if clips.frames is not None:
        tensors["frames"] = clips.frames
    if clips.latents is not None:
        tensors["latents"] = clips.latents.half()
    header = {
        "fps": str(clips.info.fps),
        "spec": json.dumps(clips.info.spec.to_dict()),
        "captions": json.dumps([[asdict(s) for s in c] for c in clips.info.captions]),
        "origin": json.dumps(clips.info.origin),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    save_tensors({k: v.cpu().contiguous() for k, v in tensors.items()}, partial, header)
    place_file(partial, path)


def read_info(path: Path) -> ClipInfo:
    with safe_open(path, "pt") as file:
        header = file.metadata()
    captions = tuple(
        tuple(Segment(s["start"], tuple(s["texts"])) for s in clip)
        for clip in json.loads(header["captions"])
    )
    return ClipInfo(
        fps=int(header["fps"]),
        spec=ActionSpec.from_dict(json.loads(header["spec"])),
        captions=captions,
        origin=json.loads(header["origin"]),
    )


def read(path: Path) -> Clips:
    with safe_open(path, "pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
    return Clips(read_info(path), tensors["actions"], tensors.get("frames"), tensors.get("latents"))


def listing(folder: Path) -> list[Path]:
    """The shards of a folder in order; an empty folder is an error."""
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise ValueError(f"{folder}: no shards here; run the step that renders or encodes first")
    return found


def iterate(folder: Path) -> Iterator[Clips]:
    for path in listing(folder):
        yield read(path)


class FrameReader:
    """Random groups of frames from pixel shards, read as needed or resident on a device."""

    def __init__(self, folder: Path, resident: torch.device | None = None) -> None:
        """`resident` loads everything there first."""
        files = [safe_open(p, "pt") for p in listing(folder)]
        self.slices: list[Any] = [f.get_slice("frames") for f in files]
        self.shapes = [tuple(s.get_shape()) for s in self.slices]
        counts = torch.tensor([s[0] * s[1] for s in self.shapes], dtype=torch.float64)
        self.weights = counts / counts.sum()
        if resident is not None:
            self.slices = [f.get_tensor("frames").to(resident) for f in files]

    def sample(self, count: int, frames: int, generator: torch.Generator) -> Tensor:
        """uint8 [count, frames, H, W, 3], every frame equally likely."""
        shards = torch.multinomial(self.weights, count, True, generator=generator).tolist()
        where = torch.rand(count, 2, generator=generator, dtype=torch.float64).tolist()
        out = []
        for shard, (u, v) in zip(shards, where, strict=True):
            clips, length = self.shapes[shard][:2]
            start = int(v * (length - frames + 1))
            clip = int(u * clips)
            out.append(self.slices[shard][clip : clip + 1, start : start + frames])
        return torch.cat(out)
