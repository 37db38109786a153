"""A figure is a mean over clips with a bootstrap interval, its count and its seeds.

figure = Figure.of(values_per_clip, seeds)
figure.mean, figure.low, figure.high
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

DRAWS = 2000
REDRAWS = 200


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number."""

    mean: float
    low: float
    """Lower end of the 95 % interval over clips."""
    high: float
    count: int
    """Clips (or events) that it is the mean of."""
    clips: int
    """Clips that were drawn from, those without an answer among them."""
    unit: str = ""
    draws: tuple[float | None, ...] = ()
    """The same of clips drawn with repetition, None where there was no answer: of as many clips
    the same ones are drawn, whatever was measured, so that two packs can be compared draw by draw
    (training.evaluation.against)."""

    @staticmethod
    def of(values: Sequence[float] | np.ndarray, *, unit: str = "", seed: int = 0) -> "Figure":
        """Mean and bootstrap interval of independent values, one per clip. A clip without an
        answer is not finite and keeps its place: which clips have one, the world may decide."""
        array = np.asarray(values, np.float64)
        finite = np.isfinite(array)
        if not finite.any():
            raise ValueError("a figure needs at least one finite value")
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, len(array), (DRAWS, len(array)))
        sums, counts = np.where(finite, array, 0.0)[drawn].sum(1), finite[drawn].sum(1)
        low, high = interval(sums[counts > 0] / counts[counts > 0])
        draws = zip(sums[:REDRAWS].tolist(), counts[:REDRAWS].tolist(), strict=True)
        return Figure(
            mean=float(array[finite].mean()), low=low, high=high, count=int(finite.sum()),
            clips=len(array), unit=unit, draws=tuple(s / n if n else None for s, n in draws),
        )  # fmt: skip

    @staticmethod
    def pooled(
        measure: Callable[[np.ndarray], float | None], clips: int, *, unit: str = "", seed: int = 0
    ) -> "Figure | None":
        """A figure that is no mean over clips, such as a balanced accuracy: `measure` is given
        clip numbers, all of them once, then drawn with repetition for the interval."""
        middle = measure(np.arange(clips))
        if middle is None:
            return None
        rng = np.random.default_rng(seed)
        drawn = [measure(rng.integers(0, clips, clips)) for _ in range(REDRAWS)]
        low, high = interval([d for d in drawn if d is not None])
        return Figure(
            mean=float(middle), low=low, high=high, count=clips, clips=clips, unit=unit,
            draws=tuple(drawn),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        kept = {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {**kept, "draws": [d if d is None else round(float(d), 4) for d in self.draws]}

    def __str__(self) -> str:
        return f"{self.mean:.3g}{self.unit} [{self.low:.3g}, {self.high:.3g}] n={self.count}"


def interval(draws: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The ends of what 95 % of them lie in."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def share(hits: Sequence[bool] | np.ndarray, *, seed: int = 0) -> Figure:
    """The figure of a yes-or-no question; who was not asked is not finite."""
    return Figure.of(np.asarray(hits, np.float64), seed=seed)
