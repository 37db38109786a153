"""A recording that meets a full disk: `python -m tests.engine.rollouts.disk_full_child DIR BYTES`.

The system refuses to let any file grow beyond BYTES. Plays 100 chunks all the same and prints the
writer's status as JSON.
"""

import dataclasses
import json
import resource
import signal
import sys

import numpy as np

from engine.rollouts.writer import RolloutWriter
from tests.engine.rollouts.scenes import CHUNK, HEIGHT, WIDTH, small_spec, small_world


def main(root: str, size: int) -> None:
    world = small_world()
    none = world.info.spec.zeros(CHUNK)
    writer = RolloutWriter.open(root, small_spec(world))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    rng = np.random.default_rng(0)
    writer.begin_episode(prompt="", seed=0)
    for chunk in range(100):
        frames = rng.integers(0, 256, (CHUNK, HEIGHT, WIDTH, 3), np.uint8)
        writer.write(frames, none, none, prompt="", chunk=chunk)
    writer.end_episode()
    writer.close()
    print(json.dumps(dataclasses.asdict(writer.status)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
