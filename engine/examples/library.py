# engine/examples/library.py:
"""Make a world, walk through it, save a video."""

from pathlib import Path

import numpy as np

from engine.opening import default_pack
from engine.video import Film
from helios_core.packs import load_world

world = load_world(default_pack())
state = world.start(seed=7, prompt="a meadow at noon")
actions = world.info.spec.build(100, move_forward=1, look_yaw=30 * np.sin(np.arange(100) / 15))
film = Film(Path("walk.mp4"), fps=world.info.fps)
for chunk in actions.reshape(-1, world.info.chunk_frames, world.info.spec.size):
    state, frames = world.advance(state, chunk)
    for frame in frames:
        film.write(frame)
film.close()
