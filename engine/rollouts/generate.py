"""Rollouts by the thousand: a policy walks through a world in many processes, or on many machines.

The work is cut into shards, each a batch of episodes in one forward pass. A worker writes a shard
into a folder of its own and renames it when it is whole, so a killed worker leaves nothing behind
but work that is done again; whole shards are merged into one dataset in their order. Episode i has
seed `seed + i`, whoever makes it. A killed run goes on when it is started again. On several
machines the folder must be on a disk that they share.

    generate(Path("runs/walks"), GenerateConfig(pack="wilds-nano", episodes=1000), workers=2)
"""

import json
import multiprocessing
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.rollouts.layout import Layout, read_record, write_json
from engine.rollouts.lines import Line, advance
from engine.rollouts.merge import merge
from engine.rollouts.policies import make_policy
from engine.rollouts.recorder import Recorder, spec_of
from engine.worker import end_with_parent
from helios_core.world_api import Preset

PATIENCE = 3
"""Times that workers may die in a row without one shard getting done."""


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What is generated."""

    pack: str
    """Name or folder of a pack."""
    policy: str = "random"
    """A name of `policies.POLICIES`, or FILE.py."""
    episodes: int = 1
    chunks: int = 50
    """Length of an episode."""
    prompt: str = ""
    """The pack's own prompts in turn, if empty."""
    seed: int = 0
    """Seed of episode 0."""
    batch: int = 4
    """Episodes of a shard, made in one forward pass."""
    device: str = "cpu"
    threads: int = 1
    """Threads of torch in each worker."""
    latents: bool = False
    """Keep the latents of every chunk too."""

    def __post_init__(self) -> None:
        if min(self.episodes, self.chunks, self.batch, self.threads) < 1:
            raise ValueError("episodes, chunks, batch and threads are at least 1")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}: the first episode's seed is 0 or more")

    @property
    def shards(self) -> int:
        return -(-self.episodes // self.batch)


def generate(
    root: Path,
    config: GenerateConfig,
    *,
    workers: int = 1,
    ray: bool = False,
    on_shard: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Generate, then merge into the dataset `root`, which is made or appended to."""
    shards = root / "shards"
    job = _join(root, shards, config)
    run = _with_ray if ray else _with_processes
    total = config.shards
    try:
        for done in run(shards, config, workers):
            on_shard(done, total)
    except ValueError:  # no such pack or policy, another dataset: the corrected run is another one
        if len(missing_shards(shards, config)) == total:
            shutil.rmtree(shards)
        raise
    sources = [
        (f"{job}/{row.parent.name}/{row.name}", row)
        for shard in range(total)
        for row in sorted(_shard(shards, shard).iterdir())
    ]
    merge(root, sources)
    shutil.rmtree(shards)


def _join(root: Path, shards: Path, config: GenerateConfig) -> str:
    """The identity of this run; the one of a killed run if it had the same config."""
    plan = shards / "plan.json"
    body = asdict(config)
    if plan.exists():
        found = json.loads(plan.read_text("utf-8"))
        if found["config"] != body:
            raise ValueError(
                f"{shards} holds an unfinished run with other settings; finish that one with its "
                "own settings, or remove the folder"
            )
        return found["job"]
    parts = read_record(Layout(root))[1] if Layout(root).record.exists() else []
    job = f"run-{len(parts):04d}-{uuid.uuid4().hex[:8]}"
    write_json(plan, {"job": job, "config": body})
    return job


def _shard(shards: Path, number: int) -> Path:
    return shards / f"shard-{number:06d}"


def missing_shards(shards: Path, config: GenerateConfig) -> list[int]:
    return [n for n in range(config.shards) if not _shard(shards, n).exists()]


def _with_processes(shards: Path, config: GenerateConfig, workers: int) -> Iterator[int]:
    """Shards done so far, after each; workers that die are replaced."""
    context, failures = multiprocessing.get_context("spawn"), 0
    while left := missing_shards(shards, config):
        before = len(left)
        pool = ProcessPoolExecutor(
            min(workers, before), mp_context=context, initializer=end_with_parent
        )
        try:
            jobs = [pool.submit(make_shard, shards, config, n) for n in left]
            for future in as_completed(jobs):
                future.result()
                yield config.shards - len(missing_shards(shards, config))
        except BrokenProcessPool:
            progress = len(missing_shards(shards, config)) < before
            failures = 0 if progress else failures + 1
            if failures == PATIENCE:
                raise OSError("the workers keep dying; is there enough memory?") from None
        finally:
            pool.shutdown(cancel_futures=True)  # a run that ends early begins no more shards
    yield config.shards


def _with_ray(shards: Path, config: GenerateConfig, workers: int) -> Iterator[int]:
    """The same through Ray actors, which Ray restarts and whose shards it tries again."""
    import ray
    from ray.util import ActorPool

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    actor = ray.remote(max_restarts=PATIENCE, max_task_retries=PATIENCE)(_Maker)
    pool = ActorPool([actor.remote() for _ in range(workers)])  # type: ignore[attr-defined]
    left = missing_shards(shards, config)

    def submit(maker: Any, number: int) -> Any:
        return maker.make.remote(str(shards.resolve()), config, number)

    for _ in pool.map_unordered(submit, left):
        yield config.shards - len(missing_shards(shards, config))
    yield config.shards


class _Maker:
    """A Ray actor: a process that keeps its world."""

    def make(self, shards: str, config: GenerateConfig, number: int) -> None:
        make_shard(Path(shards), config, number)


def make_shard(shards: Path, config: GenerateConfig, number: int) -> None:
    """Make one shard and rename it into place; nothing if another worker was first."""
    target = _shard(shards, number)
    if target.exists():
        return
    world = _world(config.pack, config.device, config.threads)
    _refuse_other_dataset(shards.parent, world, config)
    own = shards / f".{target.name}-{uuid.uuid4().hex}"
    first = number * config.batch
    seeds = [config.seed + i for i in range(first, min(first + config.batch, config.episodes))]
    _walk(own, world, config, seeds)
    try:
        own.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(own)


@lru_cache(maxsize=1)
def _world(pack: str, device: str, threads: int) -> Any:
    from helios_core.packs import load_world

    return load_world(pack, device=device, threads=threads)


def _start(world: Any, preset: Preset, seed: int) -> Any:
    from engine.video import read_image

    image = None if preset.image is None else read_image(preset.image)
    return world.start(seed=seed, prompt=preset.prompt, image=image)


def _refuse_other_dataset(root: Path, world: Any, config: GenerateConfig) -> None:
    """A ValueError where the merge would not take what is about to be made. Asked by the workers,
    who have the world: a manifest does not tell the shape of its latents."""
    layout = Layout(root)
    if not layout.record.exists():
        return
    there, made = read_record(layout)[0], spec_of(world, latents=config.latents)
    if differences := there.differences(made):
        raise ValueError(
            f"{root} holds other rollouts than pack {config.pack} would give: "
            f"{'; '.join(differences)}; name another folder"
        )


def _walk(folder: Path, world: Any, config: GenerateConfig, seeds: Sequence[int]) -> None:
    """One episode per seed, all in one batch, each into a dataset of its own."""
    info = world.info
    own = [Preset(prompt=config.prompt)] if config.prompt else info.presets or [Preset(prompt="")]
    policies = [make_policy(config.policy, info.spec, seed=seed) for seed in seeds]
    lines = [Line(world, _start(world, own[seed % len(own)], seed)) for seed in seeds]
    source = {"policy": config.policy}
    recorders = [
        Recorder(folder / f"row-{i:03d}", world, latents=config.latents, source=source)
        for i in range(len(seeds))
    ]
    for line, recorder in zip(lines, recorders, strict=True):
        recorder.begin(line.state)
    frames = [np.zeros((1, info.height, info.width, 3), np.uint8)] * len(seeds)
    for _ in range(config.chunks):
        actions = [
            policy(last, info.chunk_frames) for policy, last in zip(policies, frames, strict=True)
        ]
        chunks = advance(world, lines, actions)
        frames = [chunk.frames for chunk in chunks]
        for recorder, chunk in zip(recorders, chunks, strict=True):
            recorder.add(chunk, np.zeros(info.chunk_frames))
    for recorder in recorders:
        recorder.end()
        recorder.close()
