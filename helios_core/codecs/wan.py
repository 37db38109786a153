"""WanCodec: the codec of the released models, through diffusers (extra `wan`).

Windowed: every chunk is coded alone, its first frame by itself. Runs in bf16 or fp32, channels
last, which is how convolutions in half precision are fast; in tiles when memory is short. Decoding
can be compiled. Not here: its weights' place (a pack's source).

    codec = WanCodec.load(Path("Helios-Distilled/vae"), device="cuda", dtype=torch.bfloat16)

B batch, C latent channels, F pixel frames, n latent frames, H W pixels, h w latent rows, columns.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

TILE_BELOW = 12 * 2**30
"""Tile on a GPU with less free memory than this when the codec is loaded, in bytes."""
LAST_3D = torch.channels_last_3d


class WanCodec:
    """diffusers' AutoencoderKLWan behind the `Codec` interface."""

    layout = "windowed"
    context = 0

    def __init__(self, vae: Any) -> None:
        """Takes the autoencoder over: its convolutions' weights become channels last."""
        self.vae = vae
        for module in vae.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                kind = LAST_3D if isinstance(module, nn.Conv3d) else torch.channels_last
                module.to(memory_format=kind)  # pyright: ignore[reportCallIssue]
        config = vae.config
        self.spatial = int(config.scale_factor_spatial)
        self.temporal = int(config.scale_factor_temporal)
        self.channels = int(config.z_dim)
        self.dtype = vae.dtype
        # Where the weights are: a copy from the host would make it wait for all queued work.
        self._mean = torch.tensor(config.latents_mean, device=vae.device).view(1, -1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std, device=vae.device).view(1, -1, 1, 1, 1)

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

    def compile(self) -> None:
        """Fuse what lies between the convolutions of decoding, when it first runs: minutes, or
        less where torch's own cache has it. A codec that tiles is a ValueError.

        The decoder goes from latent to latent, so three programs do for clips of any length: of
        the first, second and later ones. Every picture size has its own; torch keeps two.
        """
        if self.vae.use_tiling:
            raise ValueError(
                "this codec works in tiles, whose sizes differ, so it is not compiled: free "
                f"{TILE_BELOW / 2**30:.0f} GiB of the GPU's memory, or load it without compile"
            )
        self.vae.enable_slicing()  # one clip at a time: the same programs for every batch
        self.vae.decoder.compile(fullgraph=True, dynamic=False)

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, 1 + 4(n-1), H, W] in [-1, 1] to normalised latents [B, C, n, h, w]."""
        if (video.shape[2] - 1) % self.temporal:
            raise ValueError(
                f"this codec takes 1 + a multiple of {self.temporal} frames, not {video.shape[2]}"
            )
        raw = self.vae.encode(self._last(video)).latent_dist.mode().float()
        return (raw - self._mean.to(raw)) / self._std.to(raw)

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """[B, C, n, h, w] to pixels [B, 3, 1 + 4(new-1), H, W] of the last `new` latents."""
        raw = latents[:, :, -new:].float()
        raw = raw * self._std.to(raw) + self._mean.to(raw)
        return self.vae.decode(self._last(raw), return_dict=False)[0].float()

    def _last(self, x: Tensor) -> Tensor:
        """[B, ..., ..., rows, columns] in the dtype and layout of the weights."""
        return x.to(self.dtype).contiguous(memory_format=LAST_3D)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "WanCodec":
        """Move the weights, as residency does."""
        self.vae.to(device, non_blocking=non_blocking)
        self._mean = self._mean.to(device, non_blocking=non_blocking)
        self._std = self._std.to(device, non_blocking=non_blocking)
        return self
