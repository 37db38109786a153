# engine/examples/replay.py:
"""Replay the walk bit for bit, then with another action."""

from pathlib import Path

from engine.rollouts.counterfactual import Change, branch, open_writer, side_by_side
from engine.rollouts.edits import Edit
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.replay import verify
from helios_core.packs import load_world

data = RolloutDataset.open("runs/first")
world = load_world(data.episodes[0].header.source["pack"])
assert verify(world, data, episode=0).identical

turn = Change(frame=20, edits=[Edit(first=20, actions={"look_yaw": 90.0})])
with open_writer(Path("runs/turned"), data, world) as writer:
    other = branch(world, data, 0, change=turn, writer=writer)
side_by_side(Path("both.mp4"), [other.parent_frames, other.frames], fps=data.spec.fps)
