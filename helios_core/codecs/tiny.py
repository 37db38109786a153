"""TinyCodec: the small causal autoencoder of the shipped packs.

Groups of `temporal` pixel frames become one latent frame at an eighth of the size. The frames of
a group live side by side in the channels, so that everything is plain 2D convolution; the past
comes in as the features of the groups before, at the coarsest level, where it is cheap. No
normalisation layers: streaming, batching and cropping change no value. Training it (losses, data)
is `training.stages`; seams and states are the world's.

    codec = TinyCodec(TinyCodecConfig())
    latents = codec.encode(video)                                # streamed: 4n frames, n latents
    last = codec.decode(latents[:, :, -2:], new=1)               # one latent of context

B batch, C latent channels, K frames of a group, n groups, R context latents, H W pixels,
h w latent rows and columns, G = B*n groups as one batch. Features are [G, width, rows, columns],
channels last.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class TinyCodecConfig:
    """Sizes of the autoencoder; the spatial factor is always 8."""

    temporal: int = 4
    """Pixel frames per latent frame (1, 2, 4, ...)."""
    channels: int = 24
    """Latent channels."""
    context: int = 1
    """Latents before a group that decoding it sees."""
    encoder_context: int = 1
    """Groups before a group that encoding it sees."""
    encoder_widths: tuple[int, int, int] = (48, 80, 128)
    """Features at 1/2, 1/4 and 1/8 of the size, encoding."""
    decoder_widths: tuple[int, int, int] = (48, 96, 160)
    """Features at 1/2, 1/4 and 1/8 of the size, decoding."""
    encoder_blocks: tuple[int, int, int] = (1, 1, 1)
    """Residual blocks at the same levels, encoding."""
    decoder_blocks: tuple[int, int, int] = (1, 1, 2)
    """Residual blocks at the same levels, decoding."""

    def __post_init__(self) -> None:
        positive = (self.temporal, self.channels, *self.encoder_widths, *self.decoder_widths)
        if min(positive) < 1:
            raise ValueError("a codec's temporal factor, channels and widths are at least 1")
        blocks = (*self.encoder_blocks, *self.decoder_blocks)
        if min(self.context, self.encoder_context, *blocks) < 0:
            raise ValueError("a codec's contexts and block counts are at least 0")


class Block(nn.Module):
    """x + conv(relu(conv(relu(x)))); the last convolution starts small, not at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.conv2.weight, std=0.1 * (9 * width) ** -0.5)
        nn.init.constant_(self.conv2.get_parameter("bias"), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(count)))


class Encoder(nn.Module):
    """Groups of frames to raw latents."""

    def __init__(self, config: TinyCodecConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.encoder_widths
        counts = config.encoder_blocks
        self.context = config.encoder_context
        self.enter = nn.Conv2d(config.temporal * 12, half, 3, padding=1)
        self.level2 = _blocks(half, counts[0])
        self.down4 = nn.Conv2d(half * 4, quarter, 1)
        self.level4 = _blocks(quarter, counts[1])
        self.down8 = nn.Conv2d(quarter * 4, eighth, 1)
        self.past = nn.Conv2d(eighth * (1 + self.context), eighth, 3, padding=1)
        self.level8 = _blocks(eighth, counts[2])
        self.leave = nn.Conv2d(eighth, config.channels, 3, padding=1)

    def forward(self, groups: Tensor, batch: int) -> Tensor:
        """[G, K*3, H, W] to [G, C, h, w]."""
        x = self.level2(self.enter(F.pixel_unshuffle(groups, 2)))
        x = self.level4(self.down4(F.pixel_unshuffle(x, 2)))
        x = self.down8(F.pixel_unshuffle(x, 2))
        x = x + self.past(F.relu(with_past(x, batch, self.context)))
        return self.leave(F.relu(self.level8(x)))


class Decoder(nn.Module):
    """Raw latents, with those before them, to groups of frames."""

    def __init__(self, config: TinyCodecConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.decoder_widths
        counts = config.decoder_blocks
        self.enter = nn.Conv2d(config.channels * (1 + config.context), eighth, 3, padding=1)
        self.level8 = _blocks(eighth, counts[2])
        self.up4 = nn.Conv2d(eighth, quarter * 4, 1)
        self.level4 = _blocks(quarter, counts[1])
        self.up2 = nn.Conv2d(quarter, half * 4, 1)
        self.level2 = _blocks(half, counts[0])
        self.leave = nn.Conv2d(half, config.temporal * 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[G, (1+R)*C, h, w] to [G, K*3, H, W]."""
        x = self.level8(self.enter(x))
        x = self.level4(F.pixel_shuffle(self.up4(x), 2))
        x = self.level2(F.pixel_shuffle(self.up2(x), 2))
        return F.pixel_shuffle(self.leave(F.relu(x)), 2)


def with_past(x: Tensor, batch: int, context: int) -> Tensor:
    """Each group beside the `context` groups before it: [B*n, c, ...] to [B*n, (1+R)*c, ...].

    Before the first group stand zeros.
    """
    groups = x.unflatten(0, (batch, -1))
    count = groups.shape[1]
    padded = F.pad(groups, (0, 0) * (groups.ndim - 2) + (context, 0))
    shifted = [padded[:, i : i + count] for i in range(context + 1)]
    return torch.cat(shifted, 2).flatten(0, 1)


class TinyCodec(nn.Module):
    """The autoencoder with the statistics that normalise its latents."""

    layout: Literal["windowed", "streamed"] = "streamed"
    spatial = 8
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: TinyCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.temporal = config.temporal
        self.channels = config.channels
        self.context = config.context
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.channels))
        self.register_buffer("latent_std", torch.ones(config.channels))
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, K*n, H, W] in [-1, 1] to normalised latents [B, C, n, h, w]."""
        raw = self.encode_raw(video.to(self.encoder.enter.weight.dtype)).float()
        return (raw - _channels(self.latent_mean)) / _channels(self.latent_std)

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """[B, C, R+n, h, w] to pixels [B, 3, K*new, H, W] of the last `new` latents.

        Fewer than `context` latents before them stand for the start of a clip.
        """
        raw = latents.float() * _channels(self.latent_std) + _channels(self.latent_mean)
        return self.decode_raw(raw.to(self.decoder.enter.weight.dtype), new=new).float()

    def encode_raw(self, video: Tensor) -> Tensor:
        """As `encode`, before normalising: what training regularises and takes statistics of."""
        b, _, f, h, w = video.shape
        k = self.temporal
        if f % k or h % 8 or w % 8 or f == 0:
            raise ValueError(
                f"TinyCodec codes multiples of {k} frames and of 8 pixels, not {f}x{h}x{w}"
            )
        groups = video.unflatten(2, (f // k, k)).permute(0, 2, 3, 1, 4, 5)  # [B, n, K, 3, H, W]
        groups = groups.reshape(b * (f // k), k * 3, h, w)
        latents = self.encoder(groups.contiguous(memory_format=torch.channels_last), b)
        return latents.unflatten(0, (b, f // k)).transpose(1, 2)

    def decode_raw(self, raw: Tensor, *, new: int) -> Tensor:
        """As `decode`, of latents before normalising."""
        b, _, count = raw.shape[:3]
        if not 1 <= new <= count:
            raise ValueError(f"cannot decode the last {new} of {count} latents")
        groups = raw[:, :, max(0, count - new - self.context) :].transpose(1, 2)
        kept = groups.shape[1]
        stacked = with_past(groups.reshape(b * kept, *groups.shape[2:]), b, self.context)
        stacked = stacked.unflatten(0, (b, kept))[:, kept - new :].flatten(0, 1)
        pixels = self.decoder(stacked.contiguous(memory_format=torch.channels_last))
        pixels = pixels.reshape(b, new, self.temporal, 3, *pixels.shape[2:])
        return pixels.permute(0, 3, 1, 2, 4, 5).flatten(2, 3)

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Fix what `encode` subtracts and divides by, per channel of the raw latents: [C] each."""
        if not (torch.isfinite(mean).all() and (std > 0).all()):
            raise ValueError("latent statistics must be finite, with a positive deviation")
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(std)


def _channels(values: Tensor) -> Tensor:
    """[C] against [B, C, n, h, w], in fp32 whatever the weights are."""
    return values.float()[:, None, None, None]
