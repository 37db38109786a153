"""Views of many worlds after a short walk: `python -m tests.training.worlds.views_child FILE.npz`.

A process of its own, since torch chooses its instruction set when it starts.
"""

import sys

import numpy as np
import torch

from training.worlds.wilds import biomes
from training.worlds.wilds.spec import SPEC
from training.worlds.wilds.world import Wilds, WildsConfig

WEATHERS = ("clear", "fog", "rain", "snow", "storm", "aurora")
HOURS = (6.5, 12.0, 18.5, 23.0)


def views() -> np.ndarray:
    """uint8 [24, 64, 96, 3]: every biome twice, all weathers and hours, walked for 8 frames."""
    count = 2 * len(biomes.NAMES)
    config = WildsConfig(
        biomes=biomes.NAMES * 2,
        weathers=tuple(WEATHERS[i * 5 % len(WEATHERS)] for i in range(count)),
        hours=tuple(HOURS[i % len(HOURS)] for i in range(count)),
    )
    wilds = Wilds(list(range(count)), 64, 96, config=config)
    rng = np.random.default_rng(0)
    low = np.array([c.low for c in SPEC.channels])
    high = np.array([c.high for c in SPEC.channels])
    for _ in range(8):
        wilds.step(SPEC.clip(rng.uniform(low, high, (count, SPEC.size))))
    return wilds.render().numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.savez(sys.argv[1], views=views(), capability=torch.backends.cpu.get_cpu_capability())
