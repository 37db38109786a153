"""Run suites on a world and write the report: the table of suites and their short and full sizes.

evaluate(load_world("wilds"), ["fidelity", "action"], "runs/eval")
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from helios_core.world_api import World
from training.evaluation.report import Report
from training.worlds.wilds.spec import FPS, SPEC

SUITES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "fidelity": ("training.evaluation.suites.fidelity", "FidelityConfig", {"clips": 8}),
    "action": ("training.evaluation.suites.action", "ActionConfig", {"clips": 8}),
    "drift": (
        "training.evaluation.suites.drift",
        "DriftConfig",
        {"clips": 2, "minutes": 1.0, "sample": 100},
    ),
    "prompt": ("training.evaluation.suites.prompt", "PromptConfig", {"repeats": 1}),
    "revisit": ("training.evaluation.suites.revisit", "RevisitConfig", {"clips": 4}),
    "bench": ("training.evaluation.suites.bench", "BenchConfig", {"each": 2, "lengths": (81, 240)}),
}
"""Suite to module, config class and what `--quick` changes."""
WALKED = ("fidelity", "action", "drift", "revisit", "bench")
"""Suites that play the actions of a walker in Wilds, frame by frame of the simulator's."""
RECONSTRUCTED = ("fidelity", "action")
"""Suites that show the codec a past and a future in one piece: a windowed codec takes none."""


def evaluate(
    world: World,
    suites: Sequence[str],
    folder: str | Path,
    *,
    quick: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Run the suites in order; the report is saved after each. Returns its JSON file.

    `settings`: suite to fields of its config.
    """
    unknown = [name for name in suites if name not in SUITES]
    if unknown:
        raise ValueError(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    check(world, suites)
    report = Report(folder)
    path = report.folder
    for name in suites:
        module_name, config_name, smaller = SUITES[name]
        module = import_module(module_name)
        config = getattr(module, config_name)()
        if quick:
            config = replace(config, **smaller)
        config = replace(config, **(settings or {}).get(name, {}))
        say(f"{name}:")
        begun = time.perf_counter()
        module.run(world, config, report)
        report.note(f"{name}.config", {k: getattr(config, k) for k in config.__dataclass_fields__})
        report.note(f"{name}.seconds", round(time.perf_counter() - begun, 1))
        report.note(f"{name}.fingerprint", world.info.fingerprint)
        path = report.save(pack=world.info.name, pack_hash=world.info.pack_hash)
    return path


def check(world: World, suites: Sequence[str]) -> None:
    """Refuse what cannot be asked of this world, before minutes of truth are rendered."""
    info = world.info
    unfit, why = set(), []
    if info.spec != SPEC:
        unfit |= set(WALKED)
        why.append(f"its channels are not Wilds' but {', '.join(info.spec.names) or 'none'}")
    if info.fps != FPS:
        unfit |= set(WALKED)
        why.append(f"it has {info.fps} frames/s, Wilds {FPS}")
    if info.layout == "windowed":
        unfit |= set(RECONSTRUCTED)
        why.append("its codec is windowed")
    asked = [name for name in suites if name in unfit]
    if asked:
        fit = ",".join([*(name for name in SUITES if name not in unfit), "latency"])
        raise ValueError(
            f"{', '.join(asked)} cannot measure {info.name}: {' and '.join(why)}; "
            f"give --suite {fit}, or some of these"
        )
