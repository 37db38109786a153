"""Data step `encode`: pixel shards to latent shards, through a published codec, once.

Clips are coded front to back in spans that overlap by the encoder's context, so that the result
equals coding a clip in one piece whatever its length.

Legend: N clips, F frames, T latents, C channels, H W pixels, h w latent rows and columns.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from helios_core.codecs.tiny import TinyCodec
from training import artifacts
from training.data import shards
from training.stages.context import StepContext
from training.trainer.progress import Progress


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """What to encode with what."""

    frames: str
    """Step whose folder holds pixel shards."""
    codec: str
    """Step that published the codec."""
    span: int = 16
    """Latents coded at once per clip."""
    batch: int = 4
    """Clips coded at once."""


def encode(config: EncodeConfig, context: StepContext) -> dict[str, Any]:
    """Write one latent shard per pixel shard; finished shards are kept on a second start."""
    codec = artifacts.load(context.final(config.codec), "codec", context.device)
    assert isinstance(codec, TinyCodec)
    sources = shards.listing(context.folder(config.frames))
    progress = Progress(context.name, len(sources))
    for done, source in enumerate(sources):
        target = context.rundir.path / source.name
        if not target.exists():
            clips = shards.read(source)
            assert clips.frames is not None
            latents = encode_clips(codec, clips.frames, config, context)
            origin = {**clips.info.origin, "codec": config.codec, "layout": codec.layout}
            info = replace(clips.info, origin=origin)
            shards.write(target, shards.Clips(info, clips.actions, latents=latents))
        progress.update(done + 1)
    progress.close()
    return {"shards": len(sources)}


@torch.inference_mode()
def encode_clips(
    codec: TinyCodec, frames: Tensor, config: EncodeConfig, context: StepContext
) -> Tensor:
    """uint8 [N, F, H, W, 3] to float16 latents [N, T, C, h, w]; a ragged tail is left out."""
    out = []
    for clips in frames.split(config.batch):
        parts = list(_spans(codec, clips, config.span, context))
        out.append(torch.cat(parts, 2).transpose(1, 2).half().cpu())
    return torch.cat(out)


def _spans(codec: TinyCodec, clips: Tensor, span: int, context: StepContext):
    total = clips.shape[1] // codec.temporal
    for start in range(0, total, span):
        lead = min(start, codec.config.encoder_context)
        first, last = start - lead, min(total, start + span)
        piece = clips[:, first * codec.temporal : last * codec.temporal]
        video = piece.to(context.device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        with context.autocast():
            latents = codec.encode(video).float()
        yield latents[:, :, lead:]
