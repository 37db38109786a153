"""What the model, the world and the training know of a codec.

A codec turns pixels into normalised latents and back, purely: no call leaves anything behind.
`windowed` codecs (the released Wan codec) code each chunk alone, the first frame by itself:
1 + factor*(n-1) frames are n latents. `streamed` codecs code factor*n frames as n latents, and
decoding a chunk takes the last `context` latents before it, so that no seam shows.

B batch, C latent channels, F pixel frames, n latent frames, R context latents, H W pixels,
h w latent rows and columns. Pixels are float in [-1, 1].
"""

from typing import Literal, Protocol

from torch import Tensor


class Codec(Protocol):
    """Pixels to latents and back."""

    layout: Literal["windowed", "streamed"]
    spatial: int
    """Pixels per latent row and column."""
    temporal: int
    """Pixel frames per latent frame."""
    channels: int
    """Latent channels, C."""
    context: int
    """Latents of left context that `decode` wants, R."""

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, F, H, W] in [-1, 1] to normalised latents [B, C, n, h, w]."""
        ...

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """[B, C, R + n, h, w] to pixels [B, 3, F, H, W] of the last `new` latents."""
        ...


def frames_of(codec: Codec, latents: int) -> int:
    """Pixel frames that so many latents are: the whole clip's for a windowed codec."""
    if codec.layout == "streamed":
        return codec.temporal * latents
    return 1 + codec.temporal * (latents - 1)


def latents_of(codec: Codec, frames: int) -> int:
    """Latents of a clip; a length that the layout cannot code is a ValueError with the nearest."""
    count = frames // codec.temporal
    if codec.layout == "windowed":
        count = 1 + (frames - 1) // codec.temporal
    if count < 1 or frames_of(codec, count) != frames:
        below, above = frames_of(codec, max(1, count)), frames_of(codec, max(1, count) + 1)
        raise ValueError(
            f"a {codec.layout} codec cannot code {frames} frames; take {below} or {above}"
        )
    return count
