"""Which device, dtype and threads suit this machine: measured once, briefly, and remembered.

On a CPU the answer differs by machine: some compute bfloat16 twice as fast as float32, some far
slower; more threads than cores that are free make everything slower. So the first start times a
small transformer and codec for about a second and keeps the answer in the user's cache; an answer
from a busy machine holds until it is calm. What is asked for explicitly is never overridden. Not
here: loading packs (helios_core.packs).

    choice = choose()
    kind = {"device": choice.device, "dtype": choice.dtype, "threads": choice.threads}
    world = load_world("wilds-nano", **kind)
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

CLEARLY = 0.92
"""bfloat16, or another thread, has to take less than this share of the time to be chosen."""
HOPELESS = 3.0
"""A number of threads that takes so many times longer is given up."""
TIMED = "packed weights"
"""What `time_small_world` times; answers about something else are measured again."""
MOST_THREADS = 8
"""More do not help models of this size."""
Timing = Callable[[str, int], float]
"""(dtype, threads) to seconds."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to compute with, and why."""

    device: str
    dtype: str
    threads: int | None
    """None leaves torch's own number (on a GPU)."""
    reason: str


def choose(
    *,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    cache: Path | None = None,
    timing: Timing | None = None,
) -> Choice:
    """What was asked for, completed by what suits this machine.

    `cache` is the file that remembers measurements, `timing` replaces the measurement; both
    default to the real ones.
    """
    from helios_core.packs.modules import dtype_of

    place = device or _best_device()
    if not place.startswith("cpu"):
        return Choice(
            device=place,
            dtype=dtype or "bfloat16",
            threads=threads,
            reason="asked for" if device else "a CUDA device is here; bfloat16 has float32's range",
        )
    if dtype is not None:
        import torch

        dtype_of(dtype, torch.device("cpu"))
    if dtype is not None and threads is not None:
        return Choice(device=place, dtype=dtype, threads=threads, reason="asked for")
    return _complete(place, dtype, threads, measured(cache, timing))


def measured(cache: Path | None = None, timing: Timing | None = None) -> dict[str, float]:
    """Seconds by "dtype threads": from the cache, or measured now and put there."""
    path = cache or cache_file()
    known = _remembered(path)
    if known is None:
        busy = _busy()
        known = measure(timing or time_small_world)
        _remember(path, {"machine": _machine(), "busy": busy, "seconds": known})
    return known


def _remembered(path: Path) -> dict[str, float] | None:
    """Earlier measurements of this machine; None if there are none that can be read, or if they
    were taken beside other work that is over."""
    try:
        known = json.loads(path.read_text())
        if known["machine"] != _machine() or (known["busy"] and not _busy()):
            return None
        return {str(name): float(took) for name, took in known["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none yet, or another version's: the remedy is to measure again


def measure(timing: Timing) -> dict[str, float]:
    """Seconds of every candidate, by "dtype threads".

    A number of threads that float32 shows to be hopeless is not tried again.
    """
    seconds: dict[str, float] = {}
    for count in sorted({min(n, MOST_THREADS) for n in (1, max(1, _cores() // 2), _cores())}):
        plain = seconds[f"float32 {count}"] = timing("float32", count)
        if plain <= HOPELESS * min(seconds.values()):
            seconds[f"bfloat16 {count}"] = timing("bfloat16", count)
    return seconds


def pick(seconds: dict[str, float]) -> tuple[str, int]:
    """The candidate to take: float32 and few threads unless others are clearly faster."""
    rows = [(name.split(), took) for name, took in seconds.items()]
    ordered = sorted(rows, key=lambda row: (row[0][0] != "float32", int(row[0][1])))
    best, least = ordered[0]
    for candidate, took in ordered[1:]:
        if took < CLEARLY * least:
            best, least = candidate, took
    return best[0], int(best[1])


def cache_file() -> Path:
    """Where measurements are remembered."""
    home = os.environ.get("HELIOS_HOME")
    if home:
        return Path(home) / "cache" / "device.json"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "helios" / "device.json"


def time_small_world(dtype: str, threads: int, budget: float = 0.25) -> float:
    """Seconds of one denoising step and one decoded chunk of a small world, at best.

    On a busy machine a step can take seconds with too many threads: one is then enough to know.
    """
    import torch

    from helios_core.packs.builtin import random_manifest, random_modules

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        step = _small_world(random_manifest, random_modules, getattr(torch, dtype))
        times: list[float] = []
        while sum(times) < budget:
            started = time.perf_counter()
            step()
            times.append(time.perf_counter() - started)
        return min(times)
    finally:
        torch.set_num_threads(before)


def _small_world(manifest_of: Any, modules_of: Any, dtype: Any) -> Callable[[], None]:
    """A step of about the shipped packs' shape."""
    import torch

    from helios_core.codecs.tiny import TinyCodecConfig
    from helios_core.packed import pack
    from helios_core.plain import to_plain

    manifest = manifest_of()
    codec = replace(manifest.codec, config=to_plain(TinyCodecConfig(channels=8)))
    wide = {**manifest.transformer.config, "heads": 10, "ffn_dim": 1280}
    transformer = replace(manifest.transformer, config=wide)
    modules = modules_of(replace(manifest, codec=codec, transformer=transformer), dtype=dtype)
    pack(modules["transformer"])
    model, latents = modules["transformer"], torch.zeros(1, 8, 4, 8, 12)
    text = torch.zeros(1, 16, 32, dtype=dtype)

    @torch.inference_mode()
    def step() -> None:
        model(latents.to(dtype), torch.full((1,), 500.0), text)
        modules["codec"].decode(latents[:, :, :2], new=1)

    return step


def _complete(
    place: str, dtype: str | None, threads: int | None, seconds: dict[str, float]
) -> Choice:
    """The fastest candidate among those that were not ruled out."""
    fitting = {
        name: took
        for name, took in seconds.items()
        if (dtype is None or name.split()[0] == dtype)
        and (threads is None or int(name.split()[1]) == threads)
    }
    if not fitting:
        best = pick(seconds)
        count = best[1] if threads is None else threads
        return Choice(device=place, dtype=dtype or best[0], threads=count, reason="asked for")
    best = pick(fitting)
    times = ", ".join(f"{name}: {1000 * took:.0f} ms" for name, took in fitting.items())
    return Choice(device=place, dtype=best[0], threads=best[1], reason=f"measured: {times}")


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _busy() -> bool:
    """Whether others use half of the machine; what is timed then holds for then."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) / 2


def _machine() -> dict[str, Any]:
    """What a measurement holds for."""
    import torch

    return {
        "timed": TIMED,
        "torch": str(torch.__version__),
        "cpu": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": _cores(),
    }


def _remember(path: Path, values: dict[str, Any]) -> None:
    """Write the cache; a folder that cannot be written only costs the next start a second."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(values))
        draft.replace(path)
    except OSError:
        return
