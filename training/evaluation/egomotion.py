"""How a walker over flat ground would have to move to see such a flow.

A robust least-squares fit of turning, nodding, walking, sidestepping and rising to the flow of a
pair, once for each tilt that the camera may have: a start for the judge that needs no lessons. The
ground is rarely flat and things stand on it, so what is fitted is a hint, not an answer.

    hints = explain(maps)                      # [S, HINTS] from flow.motion's [S, MAPS, r, c]

S pairs, r c rows and columns of cells, T tilts, E = 2 r c equations, M = 5 motions.
"""

from functools import lru_cache

import torch
from torch import Tensor

from training.evaluation.flow import PASS
from training.worlds.wilds.camera import HALF_HEIGHT
from training.worlds.wilds.physics import PITCH_LIMIT

TILTS = 9
"""Tilts of the camera that are tried, over all that a walker can take."""
MOTIONS = ("yaw", "pitch", "forward", "right", "up")
UNITS = (0.05, 0.02, 0.1, 0.1, 0.1)
"""What counts as one: radians, and eye heights, in one frame."""
SIDES = (-1.0, 1.0, 1.0, -1.0, 1.0, 1.0)
"""What a mirror does to the motions and to the misfit of a tilt."""
HINTS = TILTS * len(SIDES)
ROUNDS = 3
"""Fits, each trusting less what the one before did not explain."""
CLOSE = 0.02
"""Squared cells from which on a vector counts less."""
RIDGE = (0.01, 0.01, 0.2, 0.2, 0.2)
"""Pull of each motion towards none."""


def explain(maps: Tensor) -> Tensor:
    """Five motions and a misfit for every tilt, in UNITS."""
    ways = _ways(*maps.shape[-2:])
    return torch.cat([_fit(part, ways) for part in maps.split(PASS)]).flatten(1).clamp(-5, 5)


def _fit(maps: Tensor, ways: Tensor) -> Tensor:
    """[S, T, M + 1]."""
    flow = maps[:, :2].flatten(1)[:, None]
    sure = maps[:, 2:4].flatten(1)[:, None]
    trust = sure.expand(-1, len(ways), -1)
    found, far = _solve(flow, trust, ways)
    for _ in range(ROUNDS - 1):
        trust = sure * (CLOSE / (CLOSE + far)).repeat(1, 1, 2)
        found, far = _solve(flow, trust, ways)
    misfit = (torch.log1p(far / CLOSE) * sure[..., : far.shape[2]]).mean(2, keepdim=True)
    return torch.cat([found / torch.tensor(UNITS), misfit], 2)


def _solve(flow: Tensor, trust: Tensor, ways: Tensor) -> tuple[Tensor, Tensor]:
    """Motions [S, T, M] and what each cell has left, in squared cells."""
    pulled = (trust[..., None] * ways).mT
    normal = pulled @ ways + torch.diag(torch.tensor(RIDGE))
    found = torch.linalg.solve(normal, (pulled @ flow[..., None])[..., 0])
    left = flow - (ways @ found[..., None])[..., 0]
    return found, left.unflatten(2, (2, -1)).square().sum(2)


@lru_cache(maxsize=4)
def _ways(rows: int, columns: int) -> Tensor:
    """The flow, in cells, of one of each motion at each tilt: [T, E, M]."""
    focal = rows / 2 / HALF_HEIGHT
    y = ((torch.arange(rows) + 0.5 - rows / 2) / focal)[:, None].expand(rows, columns)
    x = ((torch.arange(columns) + 0.5 - columns / 2) / focal).expand(rows, columns)
    tilts = torch.linspace(-PITCH_LIMIT, PITCH_LIMIT, TILTS)
    return focal * torch.stack([_seen(x, y, float(tilt)) for tilt in tilts])


def _seen(x: Tensor, y: Tensor, tilt: float) -> Tensor:
    """[E, M]: rays are (x, y, 1), right, down and ahead; the ground is one eye height below."""
    c, s = float(torch.tensor(tilt).cos()), float(torch.tensor(tilt).sin())
    near = (y * c - s).clamp(min=0)

    def turned(right: float, down: float, ahead: float) -> Tensor:
        dx, dy, dz = ahead * y - down, right - ahead * x, down * x - right * y
        return torch.stack([dx - x * dz, dy - y * dz])

    def moved(right: float, down: float, ahead: float) -> Tensor:
        return torch.stack([x * ahead - right, y * ahead - down]) * near

    flows = (turned(0, c, -s), turned(1, 0, 0), moved(0, s, c), moved(1, 0, 0), moved(0, -c, s))
    return torch.stack([flow.flatten() for flow in flows], 1)
