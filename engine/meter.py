"""What the loop measures of itself, over a bounded past: pacing, its own cost, memory.

meter = Meter(); meter.shown(now, cost=0.0004); meter.fps(now)
"""

import os
from collections import deque

KEPT = 4096
"""Frames that the measurements look back on."""


class Meter:
    """Times of shown frames and what each cost the engine."""

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=KEPT)
        """When each frame was on the screen."""
        self.costs: deque[float] = deque(maxlen=KEPT)
        """Seconds of the loop's thread per shown frame, without the driver's present call."""
        self.lateness: deque[float] = deque(maxlen=KEPT)
        """Seconds by which each frame moved after its deadline."""
        self._memory = (-1.0, 0.0)

    def shown(self, now: float, *, cost: float, late: float) -> None:
        self.times.append(now)
        self.costs.append(cost)
        self.lateness.append(late)

    def fps(self, now: float) -> float:
        """Frames shown during the last second."""
        count = 0
        for t in reversed(self.times):
            if t <= now - 1.0:
                break
            count += 1
        return float(count)

    def memory_mb(self, now: float) -> float:
        """Resident memory of the process, looked up once a second."""
        at, value = self._memory
        if at < 0 or now - at >= 1.0:
            self._memory = (now, value := resident_bytes() / 2**20)
        return value


def resident_bytes() -> int:
    """Memory of this process in RAM; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0
