"""What a world does on a GPU before its first frame, so that no later chunk has to.

The first chunks compile kernels, choose algorithms and capture graphs, each of which takes longer
than a chunk plays. So some are made and thrown away behind a progress bar. Of every shape of
attention the backends are timed, and the table is kept in the user's cache, by what it depends on:
hardware and versions. Compiled kernels stay in the caches of Triton and of torch's compiler between
starts; graphs cannot be kept. A CPU needs none of this: its first chunk takes twice as long as the
others, once.

    warm_up(world, on_progress=lambda what, share: print(f"{what} {share:.0%}"))
"""

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.device import cache_file
from helios_core.world_api import World

if TYPE_CHECKING:
    from helios_core.world import WorldModel

REPEATS = 5
"""Calls of each backend that are timed, after one that is not."""
Progress = Callable[[str, float], None]
"""(what is being done, share done)."""


def warm_up(world: World, *, on_progress: Progress) -> None:
    """Get a world on a GPU ready; does nothing for any other."""
    parts = getattr(world, "parts", None)
    if parts is not None and parts.device.type == "cuda":
        get_ready(cast("WorldModel", world), on_progress=on_progress)


def get_ready(
    world: "WorldModel",
    *,
    on_progress: Progress,
    folder: Path | None = None,
    timed: Callable[[Callable[[], Any]], float] | None = None,
) -> None:
    """Make chunks until nothing is new. `folder` keeps tables, `timed` times an attention; both
    default to the real ones."""
    from helios_core.world import WorldModel
    from kernels.attention import measuring

    share = 0.5 if world.parts.graphs else 1.0
    table, fresh = table_file(folder or cache_file().parent, world.parts.device), []

    def time_it(call: Callable[[], Any]) -> float:
        fresh.append(call)
        return (timed or seconds)(call)

    _take_over(table)
    compiled = world.info.fingerprint["compile"] != "none"
    first = "compiling, choosing kernels" if compiled else "choosing kernels"
    plain = WorldModel(replace(world.parts, graphs=False), world.info)
    with measuring(time_it) as taken:
        _make_chunks(plain, lambda what, done: on_progress(f"{first}, {what}", share * done))
    if fresh:
        _keep(table)
    world.info.fingerprint["attention"] = _digest(sorted(map(str, taken.items())))
    if world.parts.graphs:
        _make_chunks(
            world, lambda what, done: on_progress(f"capturing, {what}", share + share * done)
        )
    on_progress("warm", 1.0)


def _make_chunks(world: "WorldModel", on_progress: Progress) -> None:
    """Up to the first chunk that is computed as all later ones are: a first one may take more
    steps, and the codec reads what lies behind."""
    spec, frames = world.info.spec, world.info.chunk_frames
    still = spec.zeros(frames) if spec.size else None
    count = 2 + -(-world.parts.codec.context // world.parts.chunk_latents)
    state = world.start(seed=0, prompt=world.info.first_preset.prompt)
    for i in range(count):
        on_progress(f"chunk {i + 1} of {count}", i / count)
        state, _ = world.advance(state, still)


def table_file(folder: Path, device: Any) -> Path:
    """Where the table of this hardware and these versions is kept."""
    return folder / f"attention-{_digest(machine(device))}.json"


def machine(device: Any) -> dict[str, Any]:
    """What a choice of backends holds for."""
    import torch

    facts: dict[str, Any] = {"torch": str(torch.__version__)}
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        facts |= {"device": found.name, "processors": found.multi_processor_count}
        facts |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    else:
        facts["device"] = torch.backends.cpu.get_cpu_capability()
    return facts


def _take_over(table: Path) -> None:
    """What an earlier start measured."""
    from kernels.attention import load_table

    try:
        load_table(table)
    except (OSError, ValueError, TypeError):
        return  # the first start, or a file that was cut short: it is measured and written anew


def _keep(table: Path) -> None:
    """Write the table; a folder that cannot be written only costs the next start some time."""
    from kernels.attention import save_table

    draft = table.with_suffix(f".{os.getpid()}")
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        save_table(draft)
        draft.replace(table)
    except OSError:
        return


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def seconds(call: Callable[[], Any]) -> float:
    """Median time of a call on the GPU."""
    import torch

    times = []
    for _ in range(REPEATS + 1):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])
