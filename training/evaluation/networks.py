"""The networks behind the judges: small convolutions that learn in minutes on a CPU core.

`InverseDynamics` never sees pictures, only where their patches went and how a walker would have to
move for that (flow, egomotion): worlds look different, but move alike. Every pair of neighbours is
summed up by itself, then pairs are read in a row. Not here: what they are taught (lessons) and how
(judges).

S samples, F frames, P pairs of neighbours, A channels, H W pixels, h w rows and columns of luma.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.evaluation import egomotion, flow
from training.evaluation.lessons import LOOK_THRESHOLD, PUSH_THRESHOLD, QUESTIONS
from training.worlds.wilds.spec import SPEC, STRAFE, YAW

REACH = 4
"""Pairs before and after its own from which an action is read."""
WINDOW = 2 * REACH + 2
"""Pictures from which one action is read."""
ACTED = REACH + 1
"""The frame of a window whose action is read: its own pair leads to it."""
ROWS = 64
"""Pictures are averaged down to about so many rows before motion is read."""
LEVELS = 3
"""Pushed low, not at all, high."""


@dataclass(frozen=True)
class Seen:
    """What happened between neighbours, [..., P, ...]."""

    maps: Tensor
    """[S, P, flow.MAPS, rows, columns]."""
    hints: Tensor
    """[S, P, egomotion.HINTS]."""

    def beside(self, *others: "Seen") -> "Seen":
        """All as one batch."""
        every = (self, *others)
        return Seen(torch.cat([s.maps for s in every]), torch.cat([s.hints for s in every]))

    def mirrored(self) -> "Seen":
        """The same in a mirror."""
        sides = torch.ones(flow.MAPS, 1, 1)
        sides[0] = -1
        turned = torch.tensor(egomotion.SIDES).repeat(egomotion.TILTS)
        return Seen(self.maps.flip(-1) * sides, self.hints * turned)


def mirror_of(values: Tensor) -> Tensor:
    """Actions [..., A] in a mirror: strafing and turning change sides."""
    sides = torch.ones(SPEC.size)
    sides[[STRAFE, YAW]] = -1
    return values * sides


def seen(luma: Tensor) -> Seen:
    """From one clip's luma [F, h, w]."""
    maps = flow.motion(luma)
    return Seen(maps[None], egomotion.explain(maps)[None])


def small_luma(pictures: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] to float [..., h, w] of 0 to 1 at about ROWS rows."""
    y = pictures.float() @ torch.tensor([0.299, 0.587, 0.114]) / 255.0
    factor = max(1, y.shape[-2] // ROWS)
    flat = functional.avg_pool2d(y.reshape(-1, 1, *y.shape[-2:]), factor)
    return flat.reshape(*y.shape[:-2], *flat.shape[-2:])


class InverseDynamics(nn.Module):
    """Reads how every channel was pushed off what happened between neighbours."""

    def __init__(self, width: int, height: int, columns: int) -> None:
        super().__init__()
        cell = max(1, height // ROWS) * flow.CELL
        cells = -(-(height // cell) // 4) * -(-(columns // cell) // 4)
        middle, wide = 3 * width // 2, 2 * width
        self.pair = nn.Sequential(
            nn.Conv2d(flow.MAPS + 2, width, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(width, middle, 3, 2, 1), nn.GroupNorm(4, middle), nn.SiLU(),
            nn.Conv2d(middle, wide, 3, 2, 1), nn.GroupNorm(4, wide), nn.SiLU(),
            nn.Flatten(), nn.Dropout(0.3),
        )  # fmt: skip
        self.join = nn.Linear(wide * cells + egomotion.HINTS, 3 * width)
        self.row = nn.Sequential(
            nn.Conv1d(3 * width, 3 * width, REACH + 1), nn.SiLU(),
            nn.Conv1d(3 * width, 3 * width, REACH + 1), nn.SiLU(), nn.Dropout(0.1),
            nn.Conv1d(3 * width, SPEC.size * (LEVELS + 1), 1),
        )  # fmt: skip

    def forward(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """Logits [S, P - 2 REACH, A, LEVELS] and values over their scale [S, P - 2 REACH, A]."""
        maps = seen.maps.flatten(0, 1)
        rows, columns = maps.shape[-2:]
        y = torch.linspace(-1, 1, rows)[:, None].expand(rows, columns)
        x = torch.linspace(-1, 1, columns).expand(rows, columns)
        where = torch.stack([y, x]).expand(len(maps), 2, rows, columns)
        pairs = torch.cat([self.pair(torch.cat([maps, where], 1)), seen.hints.flatten(0, 1)], 1)
        summed = functional.silu(self.join(pairs)).unflatten(0, seen.maps.shape[:2])
        out = self.row(summed.mT).mT.unflatten(2, (SPEC.size, LEVELS + 1))
        return out[..., :LEVELS], out[..., LEVELS]

    @torch.no_grad()
    def read(self, pictures: np.ndarray) -> np.ndarray:
        """Values [F - WINDOW + 1, A] in the spec's units; row i is the action of frame i + ACTED.

        Zero where no push is the likeliest, the mirror asked too; else at least the size from which
        a push counts.
        """
        clip = seen(small_luma(torch.from_numpy(pictures)))
        (logits, sizes), (other, _) = self(clip), self(clip.mirrored())
        sides = mirror_of(torch.ones(SPEC.size)) < 0
        other = torch.where(sides[:, None], other.flip(-1), other)
        way, size = (logits + other)[0].argmax(-1) - 1, sizes[0].abs()
        least = torch.tensor(
            [1.01 * (LOOK_THRESHOLD if c.unit else PUSH_THRESHOLD) for c in SPEC.channels]
        )
        scale = torch.tensor([c.scale for c in SPEC.channels])
        return (way * torch.maximum(size, least) * scale).numpy()


class Classifier(nn.Module):
    """Reads the facts of QUESTIONS off one picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in (width, 2 * width, 4 * width, 4 * width):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
            before = after
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(12 * width, len(options)) for name, options in QUESTIONS.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[S, 3, H, W] to logits [S, options] per question."""
        features = self.trunk(x)
        top, bottom = features.tensor_split(2, 2)
        pooled = [top.mean((2, 3)), bottom.mean((2, 3)), features.amax((2, 3))]
        return {name: head(torch.cat(pooled, 1)) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities [F, options] per question."""
        answers = [self(part) for part in as_input(torch.from_numpy(pictures)).split(256)]
        return {
            name: torch.cat([a[name] for a in answers]).softmax(1).numpy() for name in QUESTIONS
        }

    @torch.no_grad()
    def features(self, pictures: np.ndarray) -> np.ndarray:
        """Pooled features [F, 4 * width], the space of the feature distance."""
        parts = as_input(torch.from_numpy(pictures)).split(256)
        return torch.cat([self.trunk(part).mean((2, 3)) for part in parts]).numpy()


def as_input(pictures: Tensor) -> Tensor:
    """uint8 [F, H, W, 3] to [F, 3, H, W] of -1 to 1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
