"""When to latch the input of a chunk: as late as still lets the chunk arrive in time.

    latch = max(deadline - G2 - margin, previous chunk done)

G2 is the p95 of steps + decode over the last 64 chunks. The margin grows by half of what a chunk
came too late and shrinks slowly while chunks come in time. Policy `stretch` plays a chunk over
the time that the world needs for one. No clock and no thread here.

    timer = LatchTimer(LatchConfig(), chunk_seconds=0.2)
    timer.record(prepare=0.01, make=0.05)
    timer.latch_time(deadline=1.0)   # 0.946
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

Policy = Literal["stretch", "hold", "drop"]
POLICIES: tuple[Policy, ...] = ("stretch", "hold", "drop")


@dataclass(frozen=True, kw_only=True)
class LatchConfig:
    """How much is measured and how careful the latch is."""

    policy: Policy = "stretch"
    """What to do when the world is slower than real time: uniform slow motion; hold the last
    frame and play on at full speed; drop the frames that came too late."""
    window: int = 64
    """Chunks that the measurements look back on."""
    margin: float = 0.004
    """Safety margin to begin with, in seconds."""
    margin_low: float = 0.002
    """It never falls below this."""
    margin_high: float = 0.25
    """Nor rises above this."""
    shrink: float = 0.97
    """Factor on the margin for each chunk that came in time."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"policy {self.policy!r}: choose one of {', '.join(POLICIES)}")


class LatchTimer:
    """The measurements of the last chunks and what follows from them."""

    def __init__(self, config: LatchConfig, *, chunk_seconds: float) -> None:
        self.config = config
        self.chunk_seconds = chunk_seconds
        self.margin = config.margin
        self._makes: deque[float] = deque(maxlen=config.window)
        self._wholes: deque[float] = deque(maxlen=config.window)
        self.make_p95 = 0.0
        """G2, in seconds; 0 before the first chunk."""
        self.make_median = 0.0
        self._whole_median = self._whole_p75 = 0.0

    def record(self, *, prepare: float, make: float, apart: float = math.inf) -> None:
        """A chunk took so long before its latch and so long after it, and came so long after the
        one before: less than both together where their work overlaps."""
        self._makes.append(make)
        self._wholes.append(min(prepare + make, apart))
        self.make_p95 = quantile(self._makes, 0.95)
        self.make_median = quantile(self._makes, 0.5)
        self._whole_median = quantile(self._wholes, 0.5)
        self._whole_p75 = quantile(self._wholes, 0.75)

    def arrived(self, slack: float) -> None:
        """A chunk was done so long before its deadline (negative: after it)."""
        low, high = self.config.margin_low, self.config.margin_high
        grown = self.margin - slack / 2 if slack < 0 else self.margin * self.config.shrink
        self.margin = min(high, max(low, grown))

    @property
    def behind(self) -> bool:
        """From its latch on, a chunk takes longer than it plays."""
        return self.make_median > self.chunk_seconds

    @property
    def real_time_factor(self) -> float:
        """Median time per chunk, preparation included, over playing time."""
        return self._whole_median / self.chunk_seconds

    @property
    def period(self) -> float:
        """Seconds over which a chunk is to be played."""
        if self.config.policy != "stretch":
            return self.chunk_seconds
        return max(self.chunk_seconds, self._whole_p75)

    def latch_time(self, deadline: float) -> float:
        """The latest good moment; whether the chunk before is done by then, the caller minds."""
        return deadline - self.make_p95 - self.margin


def quantile(values: deque[float] | list[float], q: float) -> float:
    """The smallest value that at least a part q does not exceed; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
