"""How a world begins: from nothing, from a picture or from a clip, as history and anchor.

Windowed codecs follow the released pipelines: a picture is coded alone for the anchor and, repeated
over a chunk, for a last history frame; a clip is coded in windows from its end. Streamed codecs
code a repeated picture or the clip's last groups. Some checkpoints want a little noise on what
they start from. Not here: states (helios_core.state).

F pixel frames, H W pixels, C latent channels, n latent frames, h w latent rows and columns.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from helios_core.codecs.api import Codec, frames_of
from helios_core.sampling.noise import NoiseSource


def check_pixels(name: str, pixels: np.ndarray, ndim: int) -> np.ndarray:
    """uint8 [..., H, W, 3] of the wanted number of dimensions, or a ValueError."""
    if pixels.ndim != ndim or pixels.dtype != np.uint8 or pixels.shape[-1] != 3:
        shape = "[H, W, 3]" if ndim == 3 else "[F, H, W, 3]"
        raise ValueError(
            f"the start {name} has shape {pixels.shape} and type {pixels.dtype}; give uint8 {shape}"
        )
    if min(pixels.shape) < 1:
        raise ValueError(f"the start {name} is empty")
    return pixels


def fit(frames: np.ndarray, height: int, width: int) -> Tensor:
    """Frames [F, H', W', 3] as video [1, 3, F, H, W] in [-1, 1], scaled to cover and cropped."""
    # One by one: floats of a whole film at its own size would fill the memory.
    video = torch.stack([_fitted(frame, height, width) for frame in frames], 1)
    return (video / 127.5 - 1).clamp(-1, 1)[None]


def _fitted(frame: np.ndarray, height: int, width: int) -> Tensor:
    picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float()
    rows, columns = picture.shape[1:]
    if (rows, columns) == (height, width):
        return picture
    scale = max(height / rows, width / columns)
    size = (max(height, round(rows * scale)), max(width, round(columns * scale)))
    picture = F.interpolate(picture[None], size, mode="bilinear", antialias=True)[0]
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return picture[:, top : top + height, left : left + width]


def from_image(codec: Codec, image: Tensor, chunk_latents: int) -> tuple[Tensor, Tensor]:
    """History [1, C, 1, h, w] and anchor [1, C, 1, h, w] of a still [1, 3, 1, H, W]."""
    if codec.layout == "windowed":
        still = image.expand(-1, -1, frames_of(codec, chunk_latents), -1, -1)
        return codec.encode(still)[:, :, -1:], codec.encode(image)
    # Two groups: the second has seen the first, as every group in the middle of a clip has.
    latents = codec.encode(image.expand(-1, -1, 2 * codec.temporal, -1, -1))
    return latents[:, :, -1:], latents[:, :, -1:]


def from_clip(codec: Codec, clip: Tensor, chunk_latents: int, most: int) -> tuple[Tensor, Tensor]:
    """History [1, C, n, h, w], at most `most` newest latents, and anchor of a clip."""
    window = frames_of(codec, chunk_latents)
    if clip.shape[2] < window:
        raise ValueError(
            f"the start clip has {clip.shape[2]} frames; this world needs {window} or more"
        )
    if codec.layout == "windowed":
        windows = min(clip.shape[2] // window, -(-most // chunk_latents))
        parts = clip[:, :, -windows * window :].split(window, 2)
        return torch.cat([codec.encode(p) for p in parts], 2), codec.encode(clip[:, :, :1])
    groups = min(clip.shape[2] // codec.temporal, most + 1)
    latents = codec.encode(clip[:, :, -groups * codec.temporal :])
    return latents[:, :, -most:], codec.encode(clip[:, :, : codec.temporal])


def with_noise(latents: Tensor, span: tuple[float, float], noise: NoiseSource, name: str) -> Tensor:
    """Each frame of [1, C, n, h, w] mixed with its own share, between `span`, of noise."""
    low, high = span
    if high <= 0:
        return latents
    count = latents.shape[2]
    share = low + (high - low) * noise.uniform(f"{name} share", (1, count)).to(latents)
    share = share.view(1, 1, count, 1, 1)
    return share * noise.normal(name, tuple(latents.shape)).to(latents) + (1 - share) * latents
