"""How a view moves from picture to picture: sideways, up or down, nearer or farther.

One motion for the whole picture, the same from each picture to the next, found by least squares
from coarse to fine (Lucas and Kanade): turning and looking up are nearly that, walking partly. What
moves by itself, and what is near, is not followed. Small, differentiable plain tensors; no weights.

    motion = motion_of(frames)                     # [B, 3]
    ahead = moved(frames[:, :, -1], motion)        # what it says the next picture looks like

B batch, F frames, H W rows and columns. A motion is (right, down, nearer): shares of half a
picture, and of distance, per step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = (4, 2, 1)
"""How much smaller pictures are looked at, one after the other; twice each."""
FARTHEST = (0.4, 0.4, 0.1)
"""Most of a motion that is believed in one step."""
DOUBT = 1e-3
"""How much evidence a motion needs, as a share of all that the picture has."""


def motion_of(frames: Tensor) -> Tensor:
    """[B, 3, F, H, W] with F > 1 to the mean motion [B, 3] of a step."""
    grey = frames.float().mean(1)  # [B, F, H, W]
    motion = grey.new_zeros(len(grey), 3)
    for level in LEVELS:
        small = F.avg_pool2d(grey, level) if level > 1 else grey
        for _ in range(2):
            parts = (motion + _correction(small, motion)).unbind(1)
            bounded = [m.clamp(-most, most) for m, most in zip(parts, FARTHEST, strict=True)]
            motion = torch.stack(bounded, 1)
    return motion


def moved(pictures: Tensor, motion: Tensor) -> Tensor:
    """Pictures [B, c, H, W] after motions [B, 3]; what comes into sight repeats the edge."""
    right, down, nearer = motion.to(pictures.dtype).unbind(1)
    size = 1 / (1 + nearer)
    where = pictures.new_zeros(len(pictures), 2, 3)
    where[:, 0, 0] = where[:, 1, 1] = size
    where[:, 0, 2], where[:, 1, 2] = -right * size, -down * size
    grid = F.affine_grid(where, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _correction(grey: Tensor, motion: Tensor) -> Tensor:
    """What least squares adds to motions [B, 3] of [B, F, H, W]."""
    ahead = moved(grey[:, :-1], motion)
    slopes = _slopes(ahead)  # [B, 3, F-1, H, W]
    weight = _middle(grey)
    evidence = torch.einsum("bifhw,bjfhw,hw->bij", slopes, slopes, weight)
    wanted = torch.einsum("bifhw,bfhw,hw->bi", slopes, ahead - grey[:, 1:], weight)
    doubt = DOUBT * evidence.diagonal(dim1=1, dim2=2).mean(1) + 1e-6
    evidence = evidence + doubt[:, None, None] * torch.eye(3, device=grey.device)
    return torch.linalg.solve_ex(evidence, wanted).result  # unlike `solve`, no GPU waits for it


def _slopes(grey: Tensor) -> Tensor:
    """How pictures [B, f, H, W] fall along each part of a motion, [B, 3, f, H, W]."""
    height, width = grey.shape[-2:]
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * (width / 4)
    y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) * (height / 4)
    at_x, at_y = (_places(n, grey) for n in (width, height))
    return torch.stack([x, y, x * at_x + y * at_y[:, None]], 1)


def _places(count: int, like: Tensor) -> Tensor:
    """Middles of so many pixels, -1 to 1."""
    return (torch.arange(count, device=like.device) + 0.5) * (2 / count) - 1


def _middle(grey: Tensor) -> Tensor:
    """[H, W] weights: what enters at the edges is no evidence."""
    rows, columns = ((_places(n, grey) * torch.pi / 2).cos() for n in grey.shape[-2:])
    return rows[:, None] * columns
