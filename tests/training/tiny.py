"""A tiny data set and tiny configs, so that every stage trains within a second."""

import math
from pathlib import Path
from typing import Any

import torch

from helios_core.actions import WALK_SPEC
from helios_core.codecs.tiny import TinyCodec, TinyCodecConfig
from helios_core.text.small import SmallTextConfig
from training import artifacts
from training.data import shards
from training.lora import AdapterConfig
from training.stages import world as worlds
from training.stages.base import BaseStage
from training.stages.context import StepContext
from training.stages.distill import DistillConfig, DistillStage
from training.stages.mid import MidStage
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

CHANNELS, ROWS, COLUMNS, TEMPORAL = 4, 4, 4, 2
MODEL = {"width": 32, "layers": 2, "head_dim": 16, "history_sizes": [4, 2, 1],
         "restrict_history": True, "prediction": "x0"}  # fmt: skip
TEXT = SmallTextConfig(text_dim=16, width=16, layers=1, heads=2, max_words=7, buckets=64)


def context(root: Path, name: str = "run") -> StepContext:
    return StepContext(root=root, name=name, device=torch.device("cpu"))


def latent_clips(clips: int = 4, length: int = 24, seed: int = 0) -> shards.Clips:
    """Latents that turn with the look action: learnable, and different in every clip."""
    g = torch.Generator().manual_seed(seed)
    yaw = torch.randn(clips, length * TEMPORAL, generator=g).clamp(-1, 1) * 60
    actions = torch.zeros(clips, length * TEMPORAL, WALK_SPEC.size)
    actions[..., WALK_SPEC.index("look_yaw")] = yaw
    angle = (yaw.cumsum(1)[:, ::TEMPORAL] / 60)[:, :, None, None, None]
    phase = torch.rand(clips, 1, CHANNELS, ROWS, COLUMNS, generator=g) * 2 * math.pi
    captions = tuple(
        (shards.Segment(0, (f"world {i}", f"the world number {i}")), shards.Segment(20, ("later",)))
        for i in range(clips)
    )
    info = shards.ClipInfo(fps=20, spec=WALK_SPEC, captions=captions, origin={"world": "toy"})
    return shards.Clips(info, actions, latents=(phase + angle).sin() * 1.4)


def pixel_clips(clips: int = 2, frames: int = 24, seed: int = 0) -> shards.Clips:
    g = torch.Generator().manual_seed(seed)
    colour = torch.rand(clips, 1, 1, 1, 3, generator=g) * 200
    ramp = torch.linspace(0, 50, 32)[None, None, None, :, None]
    wave = torch.arange(frames)[None, :, None, None, None]
    pixels = (colour + ramp + wave).expand(clips, frames, 32, 32, 3).clamp(0, 255).byte()
    info = shards.ClipInfo(
        fps=20, spec=WALK_SPEC, captions=((shards.Segment(0, ("a wall",)),),) * clips
    )
    return shards.Clips(
        info, torch.zeros(clips, frames, WALK_SPEC.size), frames=pixels.contiguous()
    )


def codec() -> TinyCodec:
    torch.manual_seed(0)
    config = TinyCodecConfig(
        temporal=TEMPORAL,
        channels=CHANNELS,
        encoder_widths=(8, 8, 8),
        decoder_widths=(8, 8, 8),
        encoder_blocks=(0, 0, 1),
        decoder_blocks=(0, 0, 1),
    )
    return TinyCodec(config)


def data(root: Path, scale: int = 1) -> None:
    """Steps `latents`, `held` and `codec` as a recipe would have left them. Latents enlarged by
    `scale` = 2 can be halved twice, as a pyramid needs it."""
    for name, seed in (("latents", 1), ("held", 2)):
        clips = latent_clips(seed=seed)
        large = clips.latents.repeat_interleave(scale, 3).repeat_interleave(scale, 4)
        enlarged = shards.Clips(clips.info, clips.actions, latents=large)
        shards.write(root / name / "0.safetensors", enlarged)
    (root / "codec" / "final").mkdir(parents=True)
    artifacts.save(root / "codec" / "final", "codec", "tiny_codec", codec())


def teach(stage: BaseStage | MidStage, root: Path) -> None:
    """Train a world for a moment and publish it as step `teacher`; its batch is 32."""
    for step in range(120):
        stage.backward("world", Draw(0, step), 0)
        stage.player.step(step * 32, 10**6)
    final = root / "teacher" / "final"
    final.mkdir(parents=True)
    worlds.save(final, stage.world)


def student(root: Path, **changes: Any) -> DistillStage:
    """A stage that distils step `teacher`."""
    settings = {
        "latents": "latents", "held": "held", "codec": "codec", "teacher": "teacher",
        "batch": 16, "head_blocks": (0, 1), "head_width": 8, "critic": AdapterConfig(rank=4),
        "critic_steps": 2, "optimiser": OptimiserConfig(lr=1e-3, warmup=0, ema=0),
    }  # fmt: skip
    torch.manual_seed(1)
    config = DistillConfig(**{**settings, **changes})
    return DistillStage(config, context(root, "student"), LoopConfig())
