"""The networks behind the judges: small convolutions that learn in minutes on a CPU core.

`InverseDynamics` works on the luma at about 32 rows, each window scaled to the same contrast, so
that night and mist read like noon; a cost volume between neighbours sees fast turns that stacked
pictures alone do not. Not here: what they are taught (lessons) and how (judges).

S samples, T pictures of a window, A channels, H W pixels, h w small rows and columns.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.evaluation.lessons import LOOK_THRESHOLD, PUSH_THRESHOLD, QUESTIONS
from training.worlds.wilds.spec import SPEC

WINDOW = 5
"""Pictures from which one action is read."""
ACTED = WINDOW // 2 + 1
"""The frame of a window whose action is read: what led from the middle picture to the next."""
ROWS = 32
"""Pictures are averaged down to about so many rows before motion is read."""
PAIRS = ((1, 2), (2, 3))
"""Pictures of a window that are searched for each other's cells: the frame before, and its own."""
REACH_X, REACH_Y = 4, 2
"""Cells, of two small pixels each, within which a cell's next place is searched."""
LEVELS = 3
"""Pushed low, not at all, high."""


def windows(pictures: Tensor) -> Tensor:
    """uint8 [F, H, W, 3] to the luma of every run of WINDOW pictures, [F - WINDOW + 1, T, h, w]."""
    small = small_luma(pictures)
    return torch.stack([small[i : len(small) - WINDOW + 1 + i] for i in range(WINDOW)], 1)


def small_luma(pictures: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] to float [..., h, w] of 0 to 1 at about ROWS rows."""
    y = pictures.float() @ torch.tensor([0.299, 0.587, 0.114]) / 255.0
    factor = max(1, y.shape[-2] // ROWS)
    flat = functional.avg_pool2d(y.reshape(-1, 1, *y.shape[-2:]), factor)
    return flat.reshape(*y.shape[:-2], *flat.shape[-2:])


class InverseDynamics(nn.Module):
    """Reads how every channel was pushed off a window of small luma pictures."""

    def __init__(self, width: int, height: int, columns: int) -> None:
        super().__init__()
        factor = max(1, height // ROWS)
        rows, columns = height // factor, columns // factor
        cells = -(-rows // 8) * -(-columns // 8)
        offsets = (2 * REACH_X + 1) * (2 * REACH_Y + 1)
        self.stack = nn.Sequential(nn.Conv2d(WINDOW, 2 * width, 5, 2, 2), nn.SiLU())
        self.look = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2), nn.SiLU(), nn.Conv2d(16, 16, 3, 1, 1)
        )  # fmt: skip
        self.pair = nn.Sequential(nn.Conv2d(offsets, width, 1), nn.SiLU())
        joined = 2 * width + len(PAIRS) * width
        self.trunk = nn.Sequential(
            nn.Conv2d(joined, 3 * width, 3, 2, 1), nn.GroupNorm(8, 3 * width), nn.SiLU(),
            nn.Conv2d(3 * width, 4 * width, 3, 2, 1), nn.GroupNorm(8, 4 * width), nn.SiLU(),
            nn.Flatten(), nn.Dropout(0.1), nn.Linear(4 * width * cells, 4 * width), nn.SiLU(),
            nn.Linear(4 * width, SPEC.size * (LEVELS + 1)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[S, T, h, w] to logits [S, A, LEVELS] and values over their scale [S, A]."""
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x / (x.std((1, 2, 3), keepdim=True) + 0.01)
        looks = {i: functional.normalize(self.look(x[:, i : i + 1]), dim=1) for i in (1, 2, 3)}
        pairs = [self.pair(_costs(looks[i], looks[j])) for i, j in PAIRS]
        out = self.trunk(torch.cat([self.stack(x), *pairs], 1)).unflatten(1, (SPEC.size, -1))
        return out[..., :LEVELS], out[..., LEVELS]

    @torch.no_grad()
    def read(self, pictures: np.ndarray) -> np.ndarray:
        """Values [F - WINDOW + 1, A] in the spec's units; row i is the action of frame i + ACTED.

        Zero where no push is the likeliest, else at least the size from which a push counts.
        """
        parts = [self(part) for part in windows(torch.from_numpy(pictures)).split(256)]
        way = torch.cat([logits.argmax(-1) for logits, _ in parts]) - 1
        size = torch.cat([values.abs() for _, values in parts])
        least = torch.tensor(
            [1.01 * (LOOK_THRESHOLD if c.unit else PUSH_THRESHOLD) for c in SPEC.channels]
        )
        scale = torch.tensor([c.scale for c in SPEC.channels])
        return (way * torch.maximum(size, least) * scale).numpy()


def _costs(before: Tensor, after: Tensor) -> Tensor:
    """How alike each cell of `before` is to its neighbours of `after`: [S, offsets, h, w]."""
    height, width = before.shape[2:]
    padded = functional.pad(after, (REACH_X, REACH_X, REACH_Y, REACH_Y))
    return torch.stack(
        [
            (before * padded[:, :, dy : dy + height, dx : dx + width]).sum(1)
            for dy in range(2 * REACH_Y + 1)
            for dx in range(2 * REACH_X + 1)
        ],
        1,
    )


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
