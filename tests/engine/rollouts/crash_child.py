"""A recording to be killed: `python -m tests.engine.rollouts.crash_child DIR`.

Writes short episodes for ever, into small parts, so that a kill hits every phase: encoding, ends
of episodes, publication, repair. Prints the running count of chunks that were stored.
"""

import sys
import time

import numpy as np

from engine.rollouts.writer import RolloutWriter, WriterConfig
from tests.engine.rollouts.scenes import CHUNK, HEIGHT, WIDTH, small_spec, small_world

LATENTS = (2, 1, 3, 4)


def shade(episode: int, frame: int) -> int:
    """The grey of a frame: tells which one it is."""
    return (episode * 37 + frame * 8) % 200 + 20


def main(root: str) -> None:
    world = small_world()
    none = world.info.spec.zeros(CHUNK)
    config = WriterConfig(part_bytes=20_000)
    with RolloutWriter.open(root, small_spec(world, latents=LATENTS), config=config) as writer:
        stored = 0
        while True:
            episode = writer.begin_episode(prompt="é" * 50, seed=stored, state=b"s" * 100)
            for chunk in range(2 + episode % 4):
                greys = [shade(episode, chunk * CHUNK + i) for i in range(CHUNK)]
                frames = np.empty((CHUNK, HEIGHT, WIDTH, 3), np.uint8)
                frames[:] = np.array(greys, np.uint8)[:, None, None, None]
                latents = np.full(LATENTS, greys[0], np.float32)
                writer.write(frames, none, none, prompt="é", chunk=chunk, latents=latents)
                stored += 1
                while writer.status.chunks_stored < stored:
                    time.sleep(0.0002)
                print(stored, flush=True)
            writer.end_episode()


if __name__ == "__main__":
    main(sys.argv[1])
