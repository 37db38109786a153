"""Small recordings for the tests of this folder: exact frames of the null world."""

from pathlib import Path

import numpy as np

from engine.rollouts.record import PlanRecord
from engine.rollouts.spec import Column, RolloutSpec
from engine.rollouts.writer import RolloutWriter, WriterConfig
from helios_core.null_world import NullWorld

HEIGHT, WIDTH, CHUNK = 32, 48, 4
POSE = Column(name="pose", size=2, names=("x", "y"))


def small_world(**changes) -> NullWorld:
    return NullWorld(**{"height": HEIGHT, "width": WIDTH, "chunk_frames": CHUNK} | changes)


def small_spec(world: NullWorld | None = None, **changes) -> RolloutSpec:
    info = (world or small_world()).info
    facts = {
        "fps": info.fps,
        "height": info.height,
        "width": info.width,
        "actions": info.spec,
        "source": {"pack": info.name, "pack_hash": info.pack_hash, **info.fingerprint},
    }
    return RolloutSpec(**facts | changes)


def walk(world: NullWorld, chunks: int, *, seed: int) -> np.ndarray:
    """Random valid actions [chunks, F, A]."""
    rng = np.random.default_rng(seed)
    spec = world.info.spec
    scale = np.array([c.scale for c in spec.channels], np.float32)
    values = rng.uniform(-1, 1, (chunks, world.info.chunk_frames, spec.size)) * scale
    return spec.clip(values)


def record_episode(
    writer: RolloutWriter,
    world: NullWorld,
    *,
    chunks: int,
    seed: int = 0,
    prompt: str = "a meadow",
    switches: dict[int, str] | None = None,
    parent: tuple[int, int] | None = None,
) -> np.ndarray:
    """Play and record; returns the exact frames."""
    state = world.start(seed=seed, prompt=prompt)
    blob = world.save_state(state)
    writer.begin_episode(prompt=prompt, seed=seed, state=blob, parent=parent)
    frames = []
    for k, actions in enumerate(walk(world, chunks, seed=seed)):
        switch = (switches or {}).get(k)
        state, pictures = world.advance(state, actions, switch, crossfade=3 if switch else None)
        plan = PlanRecord(crossfade=3 if switch else None)
        writer.write(
            pictures, actions, actions, prompt=state.prompt.text, chunk=k, plan=plan,
            prompt_weight=state.prompt.weight, latch_time=k * 0.2, age_ms=np.full(CHUNK, 50.0),
            events=["bell"] if k == 1 else (),
            extra={"pose": np.full((CHUNK, 2), k)} if writer.spec.extras else {},
        )  # fmt: skip
        frames.append(pictures)
    writer.end_episode()
    return np.concatenate(frames)


def record_dataset(root: Path, lengths: list[int], *, config: WriterConfig | None = None) -> list:
    """A dataset of null-world episodes with these many chunks; returns their exact frames."""
    world = small_world()
    with RolloutWriter.open(root, small_spec(world, extras=(POSE,)), config=config) as writer:
        frames = [
            record_episode(writer, world, chunks=n, seed=i, switches={2: "snow ☃ falls"})
            for i, n in enumerate(lengths)
        ]
    writer.raise_if_failed()
    return frames
