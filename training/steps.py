"""The table of steps that a recipe may name, and running a recipe step by step.

Data steps are functions (config, context) that return a summary; trained stages are classes that
the loop runs. Both are imported when a recipe needs them, not before.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, get_type_hints, runtime_checkable

import torch

from helios_core.plain import build, to_plain
from training.precision import prepare, suited
from training.recipe import Recipe, StepConfig
from training.stages.context import StepContext, StepName
from training.trainer import checkpoints
from training.trainer.loop import Trainer
from training.trainer.parallel import start
from training.trainer.rundir import RunDir, machine

DATA = {
    "render": ("training.data.render", "RenderConfig", "render"),
    "clips": ("training.data.clips", "ClipsConfig", "clips"),
    "encode": ("training.data.encode", "EncodeConfig", "encode"),
    "export": ("training.export", "ExportConfig", "export"),
}
"""Step to module, config class and function."""

CONTINUED = ("render", "encode")
"""Data steps that keep the shards of an interrupted start."""

STAGES = {
    "words": ("training.stages.words", "WordsConfig", "WordsStage"),
    "codec": ("training.stages.codec", "CodecConfig", "CodecStage"),
    "forecast": ("training.stages.forecast", "ForecastConfig", "ForecastStage"),
    "base": ("training.stages.base", "BaseConfig", "BaseStage"),
    "mid": ("training.stages.mid", "MidConfig", "MidStage"),
    "finetune": ("training.stages.finetune", "FinetuneConfig", "FinetuneStage"),
    "reader": ("training.stages.reader", "ReaderConfig", "ReaderStage"),
    "sharpen": ("training.stages.sharpen", "SharpenConfig", "SharpenStage"),
    "distill": ("training.stages.distill", "DistillConfig", "DistillStage"),
}
"""Step to module, config class and stage class."""

LENGTH = ("samples", "seed", "budget_minutes", "land")
"""What of a loop decides the result."""


@runtime_checkable
class Checked(Protocol):
    """A config that can tell before the training what would fail after it."""

    def check(self, root: Path, name: str) -> None: ...


def run(recipe: Recipe, *, only: Sequence[str] = (), resume: bool = False) -> str:
    """Run the steps of a recipe in order, or those named; finished ones are skipped.

    Settings, and the steps that they name, are checked before the first runs: a mistake in the last
    step must not cost the hours of those before it.
    """
    unknown = [name for name in only if name not in recipe.steps]
    if unknown:
        raise ValueError(f"no step {unknown[0]!r} in {recipe.name}: {', '.join(recipe.steps)}")
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here; set device=cpu or device=auto")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    wanted = {name: step for name, step in recipe.steps.items() if not only or name in only}
    root, before = Path(recipe.root).expanduser(), []
    configs: dict[str, Any] = {}
    for name, step in wanted.items():
        rundir = RunDir(root / name)
        config, _ = configure(step, name)
        _unchanged(step, rundir, name)
        if not rundir.done:
            _check_named(config, name, before, root)
            configs[name] = config
        before.append(name)
    for name, step in wanted.items():
        context = make_context(recipe, name)
        if context.rundir.done:
            print(f"{name}: done before, skipped ({context.rundir.path})", flush=True)
            continue
        _check_later(configs, root)
        with _alone(context):
            if _run_step(step, context, resume) == "stopped":
                return "stopped"
    return "done"


def _check_later(configs: dict[str, Any], root: Path) -> None:
    """Ask the steps to come whether what has been made so far will do."""
    for name, config in configs.items():
        if isinstance(config, Checked):
            with _blaming(name):
                config.check(root, name)


def make_context(recipe: Recipe, name: str) -> StepContext:
    device = recipe.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    on, asked = torch.device(device), recipe.precision
    precision = suited(on) if asked == "auto" else asked
    prepare(precision, on)
    return StepContext(
        root=Path(recipe.root).expanduser(),
        name=name,
        device=on,
        precision=precision,
        ranks=start(on),
    )


def configure(step: StepConfig, name: str) -> tuple[Any, Any]:
    """The config of a step, checked, and what runs it."""
    entry = {**DATA, **STAGES}.get(step.stage)
    if entry is None:
        known = ", ".join([*DATA, *STAGES])
        raise ValueError(f"{name}: no stage {step.stage!r}; known: {known}")
    try:
        module = import_module(entry[0])
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name}: {step.stage} needs {error.name}, which is not installed here; install it, or "
            "name the other steps with --only"
        ) from error
    try:
        config = build(getattr(module, entry[1]), step.settings, name)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(f"{name}:") else f"{name}: {text}") from error
    return config, getattr(module, entry[2])


def _check_named(config: Any, name: str, before: Sequence[str], root: Path) -> None:
    """Refuse a config that names a step which neither runs before nor left a folder, or a pack
    that there is not."""
    for key, step in named_steps(config):
        if step.startswith("pack:"):
            from helios_core.packs.find import find  # needs more than bare machines have

            with _blaming(f"{name}: {key}"):
                find(step.removeprefix("pack:"))
            continue
        there = RunDir(root / step)
        if step in before or there.done or (there.path.is_dir() and not there.begun):
            continue
        if there.begun:
            raise ValueError(
                f"{name}: {key} = {step!r}, which is not done: {there.path} holds a part of it; "
                "let that step run to its end first"
            )
        near = get_close_matches(step, before, 1)
        hint = f"did you mean {near[0]!r}?" if near else "run that step first"
        raise ValueError(
            f"{name}: {key} = {step!r}, but no step before has this name, and {root / step} is no "
            f"folder; {hint}"
        )


@contextmanager
def _alone(context: StepContext) -> Iterator[None]:
    """No other process works in the step's folder: two would mix their shards and checkpoints."""
    if not context.ranks.primary:
        yield
        return
    from engine.rollouts.lock import FolderLock  # loads Gymnasium where it is installed

    context.rundir.path.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(context.rundir.path / "lock")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _blaming(where: str) -> Iterator[None]:
    """A ValueError says where it is from."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def named_steps(config: Any, above: str = "settings") -> Iterator[tuple[str, str]]:
    """Dotted key and value of every field that names a step."""
    hints = get_type_hints(type(config), include_extras=True)
    for entry in fields(config):
        value, key = getattr(config, entry.name), f"{above}.{entry.name}"
        if hints[entry.name] == StepName and value:
            yield key, value
        elif is_dataclass(value):
            yield from named_steps(value, key)


def _unchanged(step: StepConfig, rundir: RunDir, name: str) -> None:
    """Refuse other settings for what is kept: to skip a finished step would hide that they do
    nothing, to go on with an interrupted one would mix two kinds of data.

    A folder without a config was filled by hand; nothing is known of it.
    """
    begun = step.stage in CONTINUED and any(rundir.path.glob("*.safetensors"))
    path = rundir.path / "config.json"
    kept = (rundir.done or begun) and path.exists()
    before = json.loads(path.read_text())["config"] if kept else None
    if not before:
        return
    now, then = _decisive(step, name), _decisive_before(before, step, name)
    found = _first_difference(then, now)
    if found is not None:
        key, was, wanted = found
        raise ValueError(
            f"{name}: {'finished' if rundir.done else 'begun'} with {key} = {was}, now it is "
            f"{wanted}; delete {rundir.path} and the folders of the steps after it to run them "
            "anew, or set root=... to keep both"
        )


def _decisive(step: StepConfig, name: str) -> dict[str, Any]:
    """What decides a step's result, defaults filled in: not how often it is saved or looked at,
    nor how many workers share a data step's work."""
    config = to_plain(configure(step, name)[0])
    if step.stage in DATA:
        config.pop("workers", None)
        return {"stage": step.stage, "settings": config}
    loop = {key: getattr(step.loop, key) for key in LENGTH}
    return {"stage": step.stage, "settings": config, "loop": loop}


def _decisive_before(before: Mapping[str, Any], step: StepConfig, name: str) -> dict[str, Any]:
    """The same of the config that a run wrote; as it stands where this version cannot build it.
    What it does not say of the loop is as it is now."""
    said = {k: v for k, v in before.get("loop", {}).items() if k in LENGTH}
    loop = replace(step.loop, **said)
    settings = before.get("settings", {})
    try:
        return _decisive(StepConfig(stage=before["stage"], settings=settings, loop=loop), name)
    except ValueError:
        lengths = {key: getattr(loop, key) for key in LENGTH}
        return {"stage": before["stage"], "settings": settings, "loop": lengths}


def _first_difference(then: Any, now: Any, key: str = "") -> tuple[str, str, str] | None:
    """Dotted key of the first value that differs, with both values; None = none does."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return None if then == now else (key, _shown(then), _shown(now))
    for name in [*now, *(k for k in then if k not in now)]:
        found = _first_difference(then.get(name), now.get(name), f"{key}.{name}" if key else name)
        if found is not None:
            return found
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _run_step(step: StepConfig, context: StepContext, resume: bool) -> str:
    rundir = context.rundir
    config, runner = configure(step, context.name)
    if step.stage in DATA:
        rundir.open(to_plain(step))
        rundir.finish(runner(config, context))
        return "done"
    if checkpoints.existing(rundir.checkpoints) and not resume:
        raise ValueError(
            f"{context.name}: {rundir.path} holds an unfinished run; add --resume to continue it, "
            "or delete the folder to begin anew"
        )
    if context.ranks.primary:
        rundir.open(to_plain(step), machine(context.device, context.precision))
    torch.manual_seed(step.loop.seed)
    stage = runner(config, context, step.loop)
    trainer = Trainer(
        stage, step.loop, rundir, context.device, context.name, context.ranks, context.precision
    )
    return trainer.run()
