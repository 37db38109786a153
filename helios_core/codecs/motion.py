"""How a view moves from picture to picture: sideways, up or down, nearer or farther.

One motion for the whole picture, the same from each picture to the next, found by least squares
from coarse to fine (Lucas and Kanade): turning and looking up are nearly that, walking partly. What
moves by itself, and what is near, is not followed. Plain tensors, no weights.

    motion = motion_of(frames)                     # [B, 3]
    ahead = moved(frames[:, :, -1], motion)        # what it says the next picture looks like

B batch, F frames, H W rows and columns. A motion is (right, down, nearer): shares of half a
picture, and of distance, per step.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = (4, 2, 1)
"""How much smaller pictures are looked at, one after the other; twice each."""
FARTHEST = (0.4, 0.4, 0.1)
"""Most of a motion that is believed in one step."""
DOUBT = 1e-3
"""How much evidence a motion needs, as a share of all that the picture has."""


class Raster(NamedTuple):
    """What is the same for all pictures of a size, on a device."""

    places: Tensor
    """[H, W, 2] middles of pixels, right and down, -1 to 1."""
    weight: Tensor
    """[H * W]: what enters at the edges is no evidence."""
    most: Tensor
    """[3] FARTHEST."""


def motion_of(frames: Tensor) -> Tensor:
    """[B, 3, F, H, W] with F > 1 to the mean motion [B, 3] of a step."""
    grey = frames.float().mean(1)  # [B, F, H, W]
    motion = grey.new_zeros(len(grey), 3)
    most = _raster(*grey.shape[-2:], grey.device).most
    for level in LEVELS:
        small = F.avg_pool2d(grey, level) if level > 1 else grey
        for _ in range(2):
            motion = (motion + _correction(small, motion)).clamp(-most, most)
    return motion


def moved(pictures: Tensor, motion: Tensor) -> Tensor:
    """Pictures [B, c, H, W] after motions [B, 3]; what comes into sight repeats the edge."""
    places = _raster(*pictures.shape[-2:], pictures.device).places
    aside, nearer = motion[:, None, None, :2], motion[:, None, None, 2:]
    grid = ((places - aside) / (1 + nearer)).to(pictures.dtype)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _correction(grey: Tensor, motion: Tensor) -> Tensor:
    """What least squares adds to motions [B, 3] of [B, F, H, W]."""
    raster = _raster(*grey.shape[-2:], grey.device)
    ahead = moved(grey[:, :-1], motion)
    slopes = _slopes(ahead, raster.places)  # [B, 3, F-1, H, W]
    weighed = (slopes.flatten(-2) * raster.weight).flatten(2)
    evidence = weighed @ slopes.flatten(2).transpose(1, 2)
    wanted = weighed @ (ahead - grey[:, 1:]).flatten(1)[..., None]
    certain = evidence.diagonal(dim1=1, dim2=2)
    certain += DOUBT * certain.mean(1, keepdim=True) + 1e-6
    return torch.linalg.solve_ex(evidence, wanted).result[..., 0]  # `solve` makes a GPU wait


def _slopes(grey: Tensor, places: Tensor) -> Tensor:
    """How pictures [B, f, H, W] fall along each part of a motion, [B, 3, f, H, W]."""
    height, width = grey.shape[-2:]
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * (width / 4)
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) * (height / 4)
    nearer = torch.addcmul(right * places[..., 0], down, places[..., 1])
    return torch.stack([right, down, nearer], 1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _raster(height: int, width: int, device: torch.device) -> Raster:
    down, right = ((torch.arange(n) + 0.5) * (2 / n) - 1 for n in (height, width))
    weight = (down * torch.pi / 2).cos()[:, None] * (right * torch.pi / 2).cos()
    places = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1)
    parts = (places, weight.flatten(), torch.tensor(FARTHEST))
    return Raster(*(part.to(device) for part in parts))
