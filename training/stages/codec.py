"""Stage `codec`: the small streamed codec learns to code frames, from pixel shards.

Latents get a little noise before decoding, so that the decoder forgives a DiT's errors, and a
small pull towards zero. Each decoded latent has its left context; a share starts without, as the
first chunk of a session does. Published latents are normalised with the mean and standard
deviation of the training frames.

Legend: B batch, F frames, H W pixels, R latents of context, n decoded latents.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from helios_core.codecs.tiny import TinyCodec, TinyCodecConfig
from training import artifacts
from training.data.shards import FrameReader
from training.losses.reconstruction import psnr, reconstruction
from training.stages.context import StepContext, StepName
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """The codec and how it is trained."""

    frames: StepName
    """Step whose folder holds training pixels."""
    held: StepName
    """Step whose folder holds held-out pixels."""
    model: TinyCodecConfig = field(default_factory=TinyCodecConfig)
    decoder_of: StepName = ""
    """Step whose codec to go on from. Its encoder stays as it is, so that latents made with it
    stay good; only the decoder learns."""
    resident: bool = False
    """Hold all training frames in the device's memory."""
    batch: int = 8
    """Clips per step."""
    decoded: int = 3
    """Latents decoded per clip (n)."""
    absolute: float = 1.0
    squared: float = 2.0
    gradient: float = 0.5
    pull: float = 5e-4
    """Weight of the mean square of raw latents."""
    noise: float = 0.1
    """Noise on latents before decoding, as a share of their standard deviation."""
    no_context: float = 0.1
    """Share of steps whose left context is absent."""
    held_clips: int = 64
    """Clips of the held-out figures."""
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=1e-3, ema=0.999, warmup=2000)
    )


class CodecStage:
    """Trains one TinyCodec."""

    def __init__(self, config: CodecConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.codec = self._begin()
        self.codec.encoder.requires_grad_(not config.decoder_of)
        resident = context.device if config.resident else None
        self.reader = FrameReader(context.folder(config.frames), resident)
        self.held = FrameReader(context.folder(config.held))
        self.player = Player(self.codec.named_parameters(), config.optimiser)

    def _begin(self) -> TinyCodec:
        config, device = self.config, self.context.device
        if not config.decoder_of:
            return TinyCodec(config.model).to(device)
        codec = artifacts.load(self.context.final(config.decoder_of), "codec", device)
        assert isinstance(codec, TinyCodec)
        return codec.train().requires_grad_(True)

    def modules(self) -> dict[str, nn.Module]:
        return {"codec": self.codec}

    def players(self) -> dict[str, Player]:
        return {"codec": self.player}

    def turn(self, step: int) -> str:
        return "codec"

    def _clips(self, reader: FrameReader, count: int, generator: torch.Generator) -> Tensor:
        """[B, 3, F, H, W] in [-1, 1] with R + n groups of frames."""
        groups = self.codec.context + self.config.decoded
        frames = reader.sample(count, groups * self.codec.temporal, generator)
        frames = frames.to(self.context.device).permute(0, 4, 1, 2, 3)
        return frames.float() / 127.5 - 1

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        config = self.config
        clips = self._clips(self.reader, config.batch, draw.host)
        with torch.set_grad_enabled(not config.decoder_of), self.context.autocast():
            raw = self.codec.encode_raw(clips).float()
        spread = raw.detach().std((0, 2, 3, 4), keepdim=True)
        noisy = raw + config.noise * spread * draw.normal(*raw.shape)
        with self.context.autocast():
            made = self._decode(noisy, draw).float()
        truth = clips[:, :, self.codec.context * self.codec.temporal :]
        loss = reconstruction(
            made,
            truth,
            absolute=config.absolute,
            squared=config.squared,
            gradient=config.gradient,
        )
        pull = raw.square().mean()
        (loss + config.pull * pull).backward()  # the pull does nothing where the encoder stays
        return {
            "loss": loss.detach(),
            "pull": pull.detach(),
            "psnr": psnr(made.detach(), truth).mean(),
        }

    def _decode(self, raw: Tensor, draw: Draw) -> Tensor:
        """The last n latents; in a share of steps they have no left context, as at a start."""
        count = self.config.decoded
        if float(draw.host_uniform(1)) < self.config.no_context:
            raw = raw[:, :, -count:]
        return self.codec.decode_raw(raw, new=count)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """PSNR on held-out clips, all of them and the quarter that changes fastest."""
        generator = torch.Generator().manual_seed(0)
        scores, speeds = [], []
        for _ in range(-(-self.config.held_clips // 8)):
            clips = self._clips(self.held, 8, generator)
            raw = self.codec.encode_raw(clips)
            made = self.codec.decode_raw(raw, new=self.config.decoded)
            truth = clips[:, :, self.codec.context * self.codec.temporal :]
            scores.append(psnr(made, truth))
            speeds.append((truth[:, :, 1:] - truth[:, :, :-1]).abs().flatten(1).mean(1))
        score, speed = torch.cat(scores), torch.cat(speeds)
        fast = score[speed >= speed.quantile(0.75)]
        figures = {"psnr": float(score.mean()), "psnr_fast_quarter": float(fast.mean())}
        return {**figures, "score": -figures["psnr"]}

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        pass

    def publish(self, folder: Path) -> None:
        if not self.config.decoder_of:  # latents were normalised with what it has
            self._measure()
        artifacts.save(folder, "codec", "tiny_codec", self.codec)

    @torch.no_grad()
    def _measure(self, batches: int = 40) -> None:
        """Mean and standard deviation of the raw latents of training frames, per channel."""
        generator = torch.Generator().manual_seed(1)
        clips = (self._clips(self.reader, 8, generator) for _ in range(batches))
        raw = torch.cat([self.codec.encode_raw(c) for c in clips])
        self.codec.set_statistics(raw.mean((0, 2, 3, 4)), raw.std((0, 2, 3, 4)))
