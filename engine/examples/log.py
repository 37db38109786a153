# engine/examples/log.py:
"""Record a walk as a LeRobot dataset and read it back."""

from pathlib import Path

from engine.opening import default_pack
from engine.rollouts.lines import Line, advance
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.recorder import Recorder
from helios_core.packs import load_world

world = load_world(default_pack())
line = Line(world, world.start(seed=7, prompt="a meadow at noon"))
recorder = Recorder(Path("runs/first"), world)
recorder.begin(line.state)
for _ in range(12):
    actions = world.info.spec.build(world.info.chunk_frames, move_forward=1)
    [chunk] = advance(world, [line], [actions])
    recorder.add(chunk, rewards=[0.0] * len(chunk.frames))
recorder.end()
recorder.close()

window = next(RolloutDataset.open("runs/first").windows(24, seed=0))
print(window.frames.shape, window.applied.shape, window.prompts[0])
