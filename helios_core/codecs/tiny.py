"""The small streamed codec of shipped packs: groups of `temporal` frames to one latent, and back.

Each group is encoded by itself, so that a window may begin anywhere and a start image is the same
frame repeated. Decoding reads `context` latents to the left of the new ones and nothing else, so
that it is a pure function of the stored history and a boundary between chunks is not visible.
Convolutions only, no normalisation: fast on a CPU. It is trained by `training.stages.codec`.

Legend: B batch, n latents (T), C latent channels, F = n * temporal frames, H W pixels,
h w = H W / 8.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class TinyCodecConfig:
    """Sizes of the codec."""

    channels: int = 24
    """Latent channels."""
    temporal: int = 4
    """Pixel frames per latent."""
    context: int = 2
    """Latents of left context that decoding reads (R)."""
    decoder: tuple[int, int, int] = (128, 96, 64)
    """Widths at 1/8, 1/4 and 1/2 of the picture's size."""
    decoder_blocks: tuple[int, int, int] = (3, 2, 1)
    """Residual blocks at each of these sizes."""
    encoder: tuple[int, int, int] = (64, 96, 160)
    """Widths at 1/2, 1/4 and 1/8."""
    encoder_blocks: tuple[int, int, int] = (1, 1, 3)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), the last convolution starting at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(functional.relu(x))))


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


class Encoder(nn.Module):
    """[N, 3 * temporal, H, W] to [N, C, h, w]."""

    def __init__(self, config: TinyCodecConfig) -> None:
        super().__init__()
        a, b, c = config.encoder
        half, quarter, eighth = config.encoder_blocks
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12 * config.temporal, a, 3, padding=1),
            _blocks(a, half),
            nn.Conv2d(a, b, 4, stride=2, padding=1),
            _blocks(b, quarter),
            nn.Conv2d(b, c, 4, stride=2, padding=1),
            _blocks(c, eighth),
            nn.Conv2d(c, config.channels, 1),
        )

    def forward(self, groups: Tensor) -> Tensor:
        return self.layers(groups)


class Decoder(nn.Module):
    """[B, C, R + n, h, w] to [B * n, 3 * temporal, H, W]."""

    def __init__(self, config: TinyCodecConfig) -> None:
        super().__init__()
        a, b, c = config.decoder
        eighth, quarter, half = config.decoder_blocks
        self.frames, self.context = config.temporal, config.context
        self.entry = nn.Conv2d(config.channels * (config.context + 1), a, 3, padding=1)
        self.layers = nn.Sequential(
            _blocks(a, eighth),
            nn.Conv2d(a, 4 * b, 1),
            nn.PixelShuffle(2),
            _blocks(b, quarter),
            nn.Conv2d(b, 4 * c, 1),
            nn.PixelShuffle(2),
            _blocks(c, half),
            nn.ReLU(),
            nn.Conv2d(c, 12 * config.temporal, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, latents: Tensor) -> Tensor:
        n = latents.shape[2] - self.context
        # Each new latent with the R before it, stacked over channels.
        stacks = [latents[:, :, i : i + self.context + 1] for i in range(n)]
        x = torch.stack(stacks, 1).flatten(2, 3).flatten(0, 1)  # [B * n, C * (R + 1), h, w]
        return self.layers(self.entry(x))


class TinyCodec(nn.Module):
    """Encoder, decoder and the statistics that make latents zero-mean and unit-variance."""

    layout = "streamed"
    spatial = 8

    def __init__(self, config: TinyCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.channels, self.temporal = config.channels, config.temporal
        self.context = config.context
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))
        self.to(memory_format=torch.channels_last)

    def encode_raw(self, video: Tensor) -> Tensor:
        """[B, 3, F, H, W] in [-1, 1] to latents before normalisation, [B, C, n, h, w]."""
        batch, colours, frames, height, width = video.shape
        if frames % self.temporal or height % self.spatial or width % self.spatial:
            raise ValueError(
                f"the codec takes multiples of {self.temporal} frames and {self.spatial} pixels, "
                f"got {frames} frames of {height}x{width}"
            )
        n = frames // self.temporal
        groups = video.reshape(batch, colours, n, self.temporal, height, width)
        groups = groups.permute(0, 2, 3, 1, 4, 5).reshape(batch * n, -1, height, width)
        latents = self.encoder(groups.contiguous(memory_format=torch.channels_last))
        return latents.unflatten(0, (batch, n)).transpose(1, 2)

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, F, H, W] in [-1, 1] to normalised latents [B, C, n, h, w]."""
        return (self.encode_raw(video) - self._channel(self.mean)) / self._channel(self.std)

    def decode_raw(self, latents: Tensor) -> Tensor:
        """[B, C, R + n, h, w] before normalisation to [B, 3, n * temporal, H, W]."""
        batch = latents.shape[0]
        frames = self.decoder(latents)  # [B * n, temporal * 3, H, W]
        frames = frames.unflatten(1, (self.temporal, 3)).unflatten(0, (batch, -1))
        return frames.flatten(1, 2).transpose(1, 2)

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """Pixels of the last `new` of the normalised latents [B, C, R + new, h, w]."""
        if latents.shape[2] != self.context + new:
            raise ValueError(
                f"decoding {new} latents needs {self.context + new} with their left context, "
                f"got {latents.shape[2]}"
            )
        return self.decode_raw(latents * self._channel(self.std) + self._channel(self.mean))

    @staticmethod
    def _channel(values: Tensor) -> Tensor:
        return values.view(1, -1, 1, 1, 1)
