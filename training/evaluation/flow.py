"""Where every patch of a picture went: what the inverse-dynamics judge sees of two neighbours.

Whole cells are searched at a quarter of the size, then refined twice by least squares on gradients
(Lucas and Kanade). Motion looks the same in worlds that look nothing alike, so a judge that sees it
needs few worlds. Not here: what the motion means (networks).

    maps = motion(luma)                        # [F - 1, MAPS, h / CELL, w / CELL] from [F, h, w]

F frames, S pairs, h w rows and columns of luma.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

CELL = 4
"""Pixels of a cell of the answer, and of the coarse search."""
REACH_X, REACH_Y = 4, 3
"""Cells within which a patch is searched."""
PATCH = 7
"""Pixels, at every size, over which a patch's motion is one."""
ROUNDS = 2
"""Refinements at each size."""
STIFF = 0.003
"""Squared gradient, of patches of contrast 1, below which a patch tells little about its motion."""
AROUND = 25
"""Pixels within which contrast is evened out."""
LEAST_CONTRAST = 0.004
"""About one step of eight bits, below which there is nothing but rounding."""
MAPS = 6
"""Right and down (in cells), how sure either is, how badly the patches match, luma."""
PASS = 64
"""Pairs at once: what stays in a core's cache."""


def motion(luma: Tensor) -> Tensor:
    """Maps of every two neighbours, luma from 0 to 1."""
    pairs = torch.stack([luma[:-1], luma[1:]], 1)
    return torch.cat([_motion(part) for part in pairs.split(PASS)])


def _motion(pairs: Tensor) -> Tensor:
    """[S, 2, h, w], every patch brought to the same contrast: dark ground reads like bright."""
    pairs = pairs - _pooled(pairs, AROUND)
    pairs = pairs / (_pooled(pairs.square(), AROUND).sqrt() + LEAST_CONTRAST)
    before, after = pairs.unbind(1)
    sizes = [(before[:, None], after[:, None])]
    for _ in range(2):
        a, b = sizes[-1]
        sizes.append((functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)))
    flow = _search(*sizes[2])
    sure = misfit = flow
    for a, b in (sizes[1], sizes[0]):
        flow = 2 * functional.interpolate(flow, a.shape[-2:], mode="bilinear")
        flow, sure, misfit = _refine(a, b, flow)
    cells = functional.avg_pool2d(torch.cat([flow / CELL, sure, misfit], 1), CELL)
    return torch.cat([cells, functional.avg_pool2d(before[:, None], CELL)], 1)


def _search(before: Tensor, after: Tensor) -> Tensor:
    """The whole-pixel shift of the patch around every pixel that matches best: [S, 2, h, w]."""
    rows, columns = before.shape[-2:]
    padded = functional.pad(after, (REACH_X, REACH_X, REACH_Y, REACH_Y), mode="replicate")
    reach = [range(-r, r + 1) for r in (REACH_X, REACH_Y)]
    # The shortest first: of equal matches, such as of a blank sky, the first is taken.
    shifts = sorted(product(*reach), key=lambda d: d[0] ** 2 + d[1] ** 2)
    costs = torch.cat([
        (padded[:, :, REACH_Y + dy :, REACH_X + dx :][:, :, :rows, :columns] - before).abs()
        for dx, dy in shifts
    ], 1)  # fmt: skip
    best = _pooled(costs).argmin(1)
    return torch.tensor(shifts, dtype=before.dtype)[best].permute(0, 3, 1, 2)


def _refine(before: Tensor, after: Tensor, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flow in pixels, how sure its two directions are, and what still differs."""
    dx, dy = _slopes(before)
    xx, xy, yy = _pooled(torch.cat([dx * dx, dx * dy, dy * dy], 1)).split(1, 1)
    both = (xx + STIFF) * (yy + STIFF) - xy * xy
    for _ in range(ROUNDS):
        off = _moved(after, flow) - before
        x, y = _pooled(torch.cat([dx * off, dy * off], 1)).split(1, 1)
        step = torch.cat([(yy + STIFF) * x - xy * y, (xx + STIFF) * y - xy * x], 1) / both
        flow = flow - step.clamp(-1, 1)
    off = _moved(after, flow) - before
    sure = torch.cat([xx, yy], 1)
    return flow, sure / (sure + STIFF), _pooled(off.abs())


def _slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    wide = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return (
        (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2,
        (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2,
    )


def _pooled(x: Tensor, size: int = PATCH) -> Tensor:
    """The mean around every pixel; rows, then columns, which is the same and costs less."""
    for part in ((1, size), (size, 1)):
        around = (part[0] // 2, part[1] // 2)
        x = functional.avg_pool2d(x, part, 1, around, count_include_pad=False)
    return x


def _moved(picture: Tensor, flow: Tensor) -> Tensor:
    """`picture` read where the flow points."""
    rows, columns = picture.shape[-2:]
    y = torch.arange(rows)[:, None] + flow[:, 1]
    x = torch.arange(columns) + flow[:, 0]
    grid = torch.stack([2 * x / (columns - 1) - 1, 2 * y / (rows - 1) - 1], -1)
    return functional.grid_sample(picture, grid, padding_mode="border", align_corners=True)
