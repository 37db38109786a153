"""Rotary positions over time, rows and columns.

Every latent token has a position (frame index, row, column); each axis turns its share of the
channel pairs. Compressed history takes the average of the cosines and sines that it covers. Axes
are independent, so an average over a block is an average per axis. Tables are fp32.

Dimensions: T latent frames, y x token rows and columns, N = T*y*x tokens, P = head width / 2.
"""

import torch
from torch import Tensor


def axis_frequencies(dim: int, theta: float, device: torch.device | str = "cpu") -> Tensor:
    """Angular step per position of each pair of an axis with `dim` channels, [dim/2]."""
    exponent = torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim
    return 1.0 / (theta**exponent)


def axis_table(positions: Tensor, dim: int, theta: float, pool: int = 1) -> Tensor:
    """Cosine and sine per position, [ceil(n/pool), dim/2, 2], averaged over `pool` neighbours.

    The last position is repeated to fill the last block.
    """
    angles = positions[:, None] * axis_frequencies(dim, theta, positions.device)
    table = torch.stack((angles.cos(), angles.sin()), dim=-1)
    if pool == 1:
        return table
    missing = -len(positions) % pool
    padded = torch.cat([table, table[-1:].expand(missing, -1, -1)])
    return padded.unflatten(0, (-1, pool)).mean(dim=1)


def rotary_table(
    frames: tuple[float, ...],
    rows: int,
    columns: int,
    *,
    dims: tuple[int, int, int],
    theta: float,
    pool: int = 1,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Table [N,P,2] of a block of tokens, frame by frame and row by row.

    One row and one column turn by time only.
    """
    places = (
        torch.tensor(frames, dtype=torch.float32, device=device),
        torch.arange(rows, dtype=torch.float32, device=device),
        torch.arange(columns, dtype=torch.float32, device=device),
    )
    time, y, x = (axis_table(p, d, theta, pool) for p, d in zip(places, dims, strict=True))
    t, r, c = len(time), len(y), len(x)
    parts = (
        time[:, None, None].expand(t, r, c, -1, 2),
        y[None, :, None].expand(t, r, c, -1, 2),
        x[None, None, :].expand(t, r, c, -1, 2),
    )
    return torch.cat(parts, dim=3).flatten(0, 2)
