"""Data step `encode`: pixel shards to latent shards, through a published codec, once.

Clips are coded front to back in spans that overlap by the encoder's context, so that the result
equals coding a clip in one piece whatever its length.

Legend: N clips, F frames, T latents, C channels, H W pixels, h w latent rows and columns.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from helios_core.codecs.api import Codec, frames_of
from helios_core.codecs.tiny import TinyCodec
from training.data import shards
from training.data.render import RenderConfig, jobs, render_clips
from training.stages.context import StepContext, StepName
from training.stages.origin import open_codec
from training.trainer.progress import Progress


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """What to encode with what."""

    frames: StepName = ""
    """Step whose folder holds pixel shards."""
    render: RenderConfig | None = None
    """Instead: render on the fly and keep no pixels, as a GPU does fast enough."""
    codec: StepName
    """Step that published the codec, or `pack:NAME`."""
    chunk_latents: int = 1
    """Latents of a chunk, for windowed codecs: every chunk is coded alone."""
    span: int = 16
    """Latents coded at once per clip, for streamed codecs."""
    batch: int = 4
    """Clips coded at once."""

    def __post_init__(self) -> None:
        if bool(self.frames) == (self.render is not None):
            raise ValueError("name either a step with frames or what to render")


def encode(config: EncodeConfig, context: StepContext) -> dict[str, Any]:
    """Write one latent shard per pixel shard; finished shards are kept on a second start."""
    codec = open_codec(config.codec, context)
    sources = list(_sources(config, context))
    progress = Progress(context.name, len(sources))
    for done, (name, clips_of) in enumerate(sources):
        target = context.rundir.path / name
        if not target.exists():
            clips = clips_of()
            assert clips.frames is not None
            latents = encode_clips(codec, clips.frames, config, context)
            info = replace(clips.info, origin={**clips.info.origin, **_coded(config, codec)})
            shards.write(target, shards.Clips(info, clips.actions, latents=latents))
        progress.update(done + 1)
    progress.close()
    return {"shards": len(sources)}


def _coded(config: EncodeConfig, codec: Codec) -> dict[str, Any]:
    """What a latent shard's header says about its codec."""
    return {
        "codec": config.codec,
        "layout": codec.layout,
        "chunk_latents": config.chunk_latents,
        "temporal": codec.temporal,
    }


def _sources(
    config: EncodeConfig, context: StepContext
) -> Iterator[tuple[str, Callable[[], shards.Clips]]]:
    """File names and how to get their pixels: from a step's shards or by rendering them now."""
    if config.render is None:
        for path in shards.listing(context.folder(config.frames)):
            yield path.name, partial(shards.read, path)
        return
    for job in jobs(config.render, context.rundir.path):
        yield job.path.name, partial(render_clips, config.render, job, str(context.device))


@torch.inference_mode()
def encode_clips(
    codec: Codec, frames: Tensor, config: EncodeConfig, context: StepContext
) -> Tensor:
    """uint8 [N, F, H, W, 3] to float16 latents [N, T, C, h, w]; a ragged tail is left out."""
    out = []
    for clips in frames.split(config.batch):  # on the device already when rendered there
        coded = _spans if codec.layout == "streamed" else _chunks
        parts = list(coded(codec, clips, config, context))
        out.append(torch.cat(parts, 2).transpose(1, 2).half().cpu())
    return torch.cat(out)


def _spans(
    codec: Codec, clips: Tensor, config: EncodeConfig, context: StepContext
) -> Iterator[Tensor]:
    """Streamed: spans with the encoder's context before each."""
    total = clips.shape[1] // codec.temporal
    before = codec.config.encoder_context if isinstance(codec, TinyCodec) else 0
    for start in range(0, total, config.span):
        lead = min(start, before)
        first, last = start - lead, min(total, start + config.span)
        piece = clips[:, first * codec.temporal : last * codec.temporal]
        yield _encode(codec, piece, context)[:, :, lead:]


def _chunks(
    codec: Codec, clips: Tensor, config: EncodeConfig, context: StepContext
) -> Iterator[Tensor]:
    """Windowed: each chunk alone."""
    frames = frames_of(codec, config.chunk_latents)
    for start in range(0, clips.shape[1] - frames + 1, frames):
        yield _encode(codec, clips[:, start : start + frames], context)


def _encode(codec: Codec, pixels: Tensor, context: StepContext) -> Tensor:
    video = pixels.to(context.device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with context.autocast():
        return codec.encode(video).float()
