"""Ablation: what each part of the recipe is worth, at equal training budget.

Every variant is the recipe with one part taken out, trained from the same seed on the same latents
for the same budget, then asked the same held-out windows: the error of the next chunk, a run on its
own pictures, and how far that run's looks drift. A variant is compared with the one it differs from
by one part (`beside`), since some parts need others: without guidance attention, history cannot be
restricted. Trained variants are kept in the recipe's folder and not trained again. Not here: packs
(training.evaluation.run) and how training goes (training.trainer).

    ablate(recipe.load("wilds-flow"), AblationConfig(samples=20000), Report("runs/ablation"))

N windows, F frames, H W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.pyramid import check_pyramid
from training import steps
from training.data import shards
from training.evaluation import metrics
from training.evaluation.report import Report
from training.evaluation.statistics import Figure
from training.recipe import Recipe, StepConfig
from training.rollout import euler_chunk
from training.stages import world as worlds
from training.stages.base import BaseConfig
from training.stages.distill import DistillConfig
from training.stages.judge import Judge
from training.stages.mid import MidConfig
from training.stages.way import student_plan

LOOKS = ("brightness", "saturation", "sharpness")
SEGMENTS = 4
"""Parts of a run whose looks are compared with the first's."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A recipe's step with something changed."""

    stage: str
    """base, mid or distill: the step of the recipe that is trained."""
    about: str
    """What the table says."""
    beside: str = "full"
    """The variant that differs from it by one part."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Dotted settings of the step."""


VELOCITY = {"model.prediction": "velocity"}
LOOSE = {"model.restrict_history": False}
BLIND = {"model.guidance_cross_attn": False, "actions.cross_attention": False}
VARIANTS: dict[str, Variant] = {
    "full": Variant(stage="base", about="the recipe's base"),
    "no-anchor": Variant(stage="base", about="without anchor",
                         changes={"model.anchor": False, "windows.anchor_dropped": 1.0}),
    "no-corruption": Variant(stage="base", about="without corruption",
                             changes={"corruption.clean": 1.0}),
    "no-compression": Variant(stage="base", about="without memory compression",
                              changes={"model.history_sizes": "sharp"}),
    "open-history": Variant(stage="base", about="history attends to everything",
                            changes={**LOOSE, "actions.cross_attention": False}),
    "no-guidance": Variant(stage="base", about="without guidance attention",
                           beside="open-history", changes={**LOOSE, **BLIND}),
    "pyramid": Variant(stage="mid", about="with pyramid", changes=VELOCITY),
    "no-pyramid": Variant(stage="base", about="without pyramid", beside="pyramid",
                          changes=VELOCITY),
    "distilled": Variant(stage="distill", about="the recipe's student"),
    "no-adversarial": Variant(stage="distill", about="without the adversarial term",
                              beside="distilled", changes={"weights.adversarial": 0.0}),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """What each variant may use."""

    samples: int = 20_000
    """Windows that each variant is trained on."""
    minutes: float = 0.0
    """Wall-clock limit of each variant beside that; 0 = none."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    chunks: int = 24
    """Chunks of the free run."""
    windows: int = 24
    """Held-out windows that every variant is asked."""
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.variants if name not in VARIANTS]
        if unknown:
            raise ValueError(f"no variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
        # Every other latent of a run is looked at.
        if self.samples < 1 or self.chunks < 2 * SEGMENTS:
            raise ValueError(f"give at least 1 sample and {2 * SEGMENTS} chunks")


def ablate(recipe: Recipe, config: AblationConfig, report: Report) -> Path:
    """Train what is not trained yet, ask every variant, and write the table."""
    wanted = _with_what_they_need(config.variants)
    plan = replace(recipe, steps=_steps(recipe, config, wanted))
    rows: dict[str, dict[str, Figure]] = {}
    for name in wanted:
        print(f"{name}: {VARIANTS[name].about}", flush=True)
        step = step_name(name, config)
        if steps.run(plan, only=[step], resume=True) == "stopped":
            raise KeyboardInterrupt
        rows[name], picture = _ask(plan, step, config)
        report.sheet(f"ablation-{name}", picture, columns=8)
        for figure, value in rows[name].items():
            report.figure(f"ablation.{name}.{figure}", value)
    report.note("ablation.config", {f.name: getattr(config, f.name) for f in fields(config)})
    (report.folder / "ablation.md").write_text(table(rows))
    print(table(rows))
    return report.save(recipe=recipe.name)


def _with_what_they_need(names: Sequence[str]) -> list[str]:
    """Students need the full base, and every variant the one that it is compared with."""
    needed = set(names)
    for name in names:
        needed.add(VARIANTS[name].beside)
    if any(VARIANTS[name].stage == "distill" for name in needed):
        needed.add("full")
    return [name for name in VARIANTS if name in needed]


def step_name(variant: str, config: AblationConfig) -> str:
    """Also the folder: another budget or seed is another run."""
    return f"ablation/{config.samples}-{config.minutes:g}-{config.seed}/{variant}"


def _steps(recipe: Recipe, config: AblationConfig, names: Sequence[str]) -> dict[str, StepConfig]:
    """The recipe's own steps and one for each variant."""
    out = dict(recipe.steps)
    for name in names:
        variant = VARIANTS[name]
        source = _source(recipe, variant.stage)
        settings = _settings(recipe, source, variant)
        if variant.stage == "distill":
            settings["teacher"] = step_name("full", config)
        loop = replace(
            source.loop,
            samples=config.samples,
            budget_minutes=config.minutes,
            land=config.minutes > 0,
            seed=config.seed,
            evaluate_minutes=0.0,
        )
        out[step_name(name, config)] = StepConfig(stage=variant.stage, settings=settings, loop=loop)
    return out


def _source(recipe: Recipe, stage: str) -> StepConfig:
    """The recipe's step of a stage; a pyramid is learned with the base's settings."""
    wanted = "base" if stage == "mid" else stage
    for step in recipe.steps.values():
        if step.stage == wanted:
            return step
    raise ValueError(f"{recipe.name} has no {wanted} step to take parts out of; leave out the "
                     f"variants of stage {stage}")  # fmt: skip


def _settings(recipe: Recipe, source: StepConfig, variant: Variant) -> dict[str, Any]:
    settings = dict(source.settings)
    for key, value in variant.changes.items():
        *parents, last = key.split(".")
        node = settings
        for parent in parents:
            node[parent] = dict(node.get(parent) or {})
            node = node[parent]
        node[last] = _sharp(node) if value == "sharp" else value
    if variant.stage == "mid":
        known = {f.name for f in fields(MidConfig)}
        settings = {key: value for key, value in settings.items() if key in known}
        settings["stages"], settings["ratios"] = _pyramid(recipe, settings)
    return settings


def _sharp(model: Mapping[str, Any]) -> list[int]:
    """As many latents of history, all but two of them at full size."""
    return [1, 1, sum(model.get("history_sizes", (16, 2, 1))) - 2]


def _pyramid(recipe: Recipe, settings: Mapping[str, Any]) -> tuple[int, list[int]]:
    """The most stages, up to three, that the recipe's latents can be halved for."""
    clips = next(shards.iterate(Path(recipe.root).expanduser() / settings["latents"]))
    assert clips.latents is not None
    rows, columns = clips.latents.shape[-2:]
    for stages, ratios in ((3, [1, 2, 1]), (2, [1, 1])):
        try:
            check_pyramid(rows, columns, stages=stages, patch=(1, 2, 2))
        except ValueError:
            continue
        return stages, ratios
    raise ValueError(f"latents of {rows}x{columns} cannot be halved: leave out the variants "
                     "pyramid and no-pyramid")  # fmt: skip


def _ask(recipe: Recipe, step: str, config: AblationConfig) -> tuple[dict[str, Figure], np.ndarray]:
    """Figures over held-out windows, and truth above run for some of them."""
    context = steps.make_context(recipe, step)
    settings, _ = steps.configure(recipe.steps[step], step)
    judge = Judge(
        context,
        worlds.load(context.final(step), context.device).eval(),
        settings.held,
        settings.codec,
        settings.windows,
        **_sampling(settings),
        chunks=config.chunks,
        count=config.windows,
    )
    truth, made, still = judge.rollout()
    figures = _latent_figures(truth, made, still, settings.windows.targets)
    pictures = [np.stack([judge.frames(x[i : i + 1]) for i in range(len(x))])
                for x in (truth, made)]  # fmt: skip
    figures |= picture_figures(*pictures)
    some = np.linspace(0, pictures[0].shape[1] - 1, 8).astype(int)
    rows = np.concatenate(
        [np.stack([p[i, some] for p in pictures]) for i in range(min(3, len(made)))]
    )
    return figures, rows.reshape(-1, *rows.shape[2:])


def _sampling(settings: Any) -> dict[str, Any]:
    """As what was trained is sampled: what flows along its velocity, a student by its own steps."""
    if isinstance(settings, MidConfig):
        plan = SamplerPlan(solver="euler", steps=(3,) * settings.stages, shift="none")
        return {"plan": plan}
    if isinstance(settings, DistillConfig):
        plan = student_plan(settings.sigmas, settings.steps) if settings.steps else None
        return {"sigmas": settings.sigmas, "plan": plan}
    assert isinstance(settings, BaseConfig)
    return {"sigmas": settings.own.sigmas, "sample": euler_chunk}


def _latent_figures(truth: Tensor, made: Tensor, still: Tensor, step: int) -> dict[str, Figure]:
    """The next chunk's squared error per window, and over that of repeating the last latent."""
    error, idle = (
        (x - truth)[:, :, :step].float().square().mean((1, 2, 3, 4)).cpu().numpy()
        for x in (made, still)
    )
    # A window in which nothing moves has no error to compare with.
    return {
        "next_error": Figure.of(error),
        "next_over_repeat": Figure.of(error / np.maximum(idle, 1e-3)),
    }


def picture_figures(truth: np.ndarray, made: np.ndarray) -> dict[str, Figure]:
    """PSNR of free runs [N, F, H, W, 3], and drift: how far their looks, over the truth's, go from
    the first quarter to the worst one."""
    decibels = metrics.to_psnr(metrics.squared_error(truth, made).mean(1))
    parts = [np.array_split(clips, SEGMENTS, axis=1) for clips in (truth, made)]
    away = []
    for look in LOOKS:
        measure = getattr(metrics, look)
        true, own = (np.array([[measure(clip).mean() for clip in part] for part in p]).T
                     for p in parts)  # fmt: skip
        beside = own / np.maximum(true, 1e-3)
        away.append(np.abs(beside - beside[:, :1]).max(1))
    return {"free_psnr": Figure.of(decibels, unit=" dB"), "drift": Figure.of(np.max(away, axis=0))}


def table(rows: Mapping[str, Mapping[str, Figure]]) -> str:
    """Markdown, each variant with its figures and the one it is to be read beside."""
    names = list(next(iter(rows.values())))
    lines = [f"| variant | {' | '.join(names)} | read beside |", "|---" * (len(names) + 2) + "|"]
    for name, figures in rows.items():
        beside = VARIANTS[name].beside
        cells = [f"{f.mean:.3g} [{f.low:.3g}, {f.high:.3g}]" for f in figures.values()]
        other = "" if beside == name else VARIANTS[beside].about
        lines.append(f"| {VARIANTS[name].about} | {' | '.join(cells)} | {other} |")
    return "\n".join(lines) + "\n"
