"""WanCodec: the codec of the released models, through diffusers (extra `wan`).

Windowed: every chunk is coded alone, its first frame by itself. Runs in bf16 or fp32; in tiles
when memory is short. Not here: its weights' place (a pack's source).

    codec = WanCodec.load(Path("Helios-Distilled/vae"), device="cuda", dtype=torch.bfloat16)

B batch, C latent channels, F pixel frames, n latent frames, H W pixels, h w latent rows, columns.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TILE_BELOW = 12 * 2**30
"""Tile on a GPU with less free memory than this when the codec is loaded, in bytes."""


class WanCodec:
    """diffusers' AutoencoderKLWan behind the `Codec` interface."""

    layout = "windowed"
    context = 0

    def __init__(self, vae: Any) -> None:
        self.vae = vae
        config = vae.config
        self.spatial = int(config.scale_factor_spatial)
        self.temporal = int(config.scale_factor_temporal)
        self.channels = int(config.z_dim)
        self.dtype = vae.dtype
        self._mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std).view(1, -1, 1, 1, 1)

    @staticmethod
    def load(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> "WanCodec":
        """The codec of a released checkpoint; half precision without range becomes fp32."""
        from diffusers import AutoencoderKLWan

        # fp16 overflows in this decoder; bf16 costs 59 dB against fp32.
        kind = torch.float32 if dtype == torch.float16 else dtype
        place = torch.device(device)
        # Any: the library's decorated `to` is more than the type checker understands.
        vae: Any = AutoencoderKLWan.from_pretrained(folder, torch_dtype=kind, local_files_only=True)
        vae.to(place)
        codec = WanCodec(vae.eval().requires_grad_(False))
        if place.type == "cuda" and torch.cuda.mem_get_info(place)[0] < TILE_BELOW:
            codec.tile()
        return codec

    def tile(self) -> None:
        """Code in overlapping tiles: less memory, a little slower."""
        self.vae.enable_tiling()

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, 1 + 4(n-1), H, W] in [-1, 1] to normalised latents [B, C, n, h, w]."""
        if (video.shape[2] - 1) % self.temporal:
            raise ValueError(
                f"this codec takes 1 + a multiple of {self.temporal} frames, not {video.shape[2]}"
            )
        raw = self.vae.encode(video.to(self.dtype)).latent_dist.mode().float()
        return (raw - self._mean.to(raw)) / self._std.to(raw)

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """[B, C, n, h, w] to pixels [B, 3, 1 + 4(new-1), H, W] of the last `new` latents."""
        raw = latents[:, :, -new:].float()
        raw = raw * self._std.to(raw) + self._mean.to(raw)
        return self.vae.decode(raw.to(self.dtype), return_dict=False)[0].float()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "WanCodec":
        """Move the weights, as residency does."""
        self.vae.to(device, non_blocking=non_blocking)
        return self
