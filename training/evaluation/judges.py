"""Learned judges: one reads actions off pictures, one reads biome, time and weather.

Both learn from true frames alone and are examined on true frames of worlds they have not seen, and
on shuffled labels: a judge that is not right on the truth, or right on nonsense, is no judge. They
are taught once per resolution and kept in the user's cache. Not here: their lessons (lessons),
their insides (networks), what is asked of them (suites).

    judge, exam = inverse_dynamics(height=64, width=96)
    values = judge.read(pictures)              # [F - WINDOW + 1, A] from [F, H, W, 3]

F frames, A channels, S samples, H W pixels; h w rows and columns of luma.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from training.evaluation import lessons
from training.evaluation.lessons import LOOK_THRESHOLD, PUSH_THRESHOLD, QUESTIONS
from training.evaluation.networks import (
    ACTED,
    REACH,
    Classifier,
    InverseDynamics,
    Seen,
    as_input,
    mirror_of,
    seen,
    small_luma,
)
from training.worlds.wilds.spec import SPEC

EDITION = 4
"""Raised when lessons or networks change, so that cached judges are taught anew."""
PASS = 0.9
"""Balanced accuracy on the truth from which on a channel's or question's judge is one."""
LUCK = 0.1
"""How far above chance a judge may score on another clip's answers."""
Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How much a judge sees before it judges; the defaults are the inverse dynamics'."""

    worlds: int = 1800
    """Worlds of its lessons."""
    frames: int = 24
    """Frames of each walk."""
    held_worlds: int = 120
    """Worlds of its exam."""
    steps: int = 1500
    """Optimiser steps."""
    batch: int = 24
    """Walks, or pictures, of one step."""
    width: int = 32
    """Channels of the first layer."""
    seed: int = 5


FACTS = JudgeConfig(worlds=3200, held_worlds=200, steps=2600, batch=48, width=24)
"""The classifier's: three pictures of each world."""


def inverse_dynamics(
    *, height: int, width: int, config: JudgeConfig | None = None, report: Report = print
) -> tuple[InverseDynamics, dict[str, Any]]:
    """The judge of actions and its own exam, from the cache or taught now."""
    config = config or JudgeConfig()
    torch.manual_seed(config.seed)
    model = InverseDynamics(config.width, height, width)
    return _cached("idm", model, height, width, config, _teach_actions, report)


def classifier(
    *, height: int, width: int, config: JudgeConfig | None = None, report: Report = print
) -> tuple[Classifier, dict[str, Any]]:
    """The judge of facts and its own exam, from the cache or taught now."""
    config = config or FACTS
    torch.manual_seed(config.seed)
    model = Classifier(config.width)
    return _cached("facts", model, height, width, config, _teach_facts, report)


def _cached(
    name: str,
    model: Any,
    height: int,
    width: int,
    config: JudgeConfig,
    teach: Callable[..., dict[str, Any]],
    report: Report,
) -> tuple[Any, dict[str, Any]]:
    identity = [EDITION, name, height, width, asdict(config), SPEC.to_dict(), QUESTIONS]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "helios" / "judges"
    folder = home / f"{name}-{height}x{width}-{key}"
    if not folder.exists():
        report(f"teaching the {name} judge at {height}x{width} (once; kept in {home})")
        exam = teach(model, height, width, config, report)
        home.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=home))
        save_file(model.state_dict(), fresh / "weights.safetensors")
        (fresh / "exam.json").write_text(json.dumps(exam, indent=1))
        if folder.exists():
            shutil.rmtree(fresh)
        else:
            fresh.rename(folder)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    model.eval()
    exam = json.loads((folder / "exam.json").read_text())
    for line in exam_lines(exam):
        report(line)
    return model, exam


def _fit(
    model: nn.Module,
    loss: Callable[[np.random.Generator], Tensor],
    config: JudgeConfig,
    report: Report,
) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, config.steps)
    rng = np.random.default_rng(config.seed)
    model.train()
    for step in range(config.steps):
        value = loss(rng)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 249:
            report(f"  step {step + 1}/{config.steps}, loss {value.item():.4f}")
    model.eval()


def _teach_actions(
    model: InverseDynamics, height: int, width: int, config: JudgeConfig, report: Report
) -> dict[str, Any]:
    walks = lessons.walks(config.worlds, config.frames, 1, height=height, width=width)
    report(f"  walked {config.worlds} worlds")
    rng = np.random.default_rng(config.seed)
    parts = [seen(_worsened(small_luma(torch.from_numpy(c)), rng)) for c in walks.pictures]
    everything = parts[0].beside(*parts[1:])
    # Pair p leads to frame p + 1; the first and last REACH of them are not read.
    span = slice(ACTED, config.frames - REACH)
    told = walks.actions[:, span]
    wanted = torch.from_numpy(told) / torch.tensor([c.scale for c in SPEC.channels])
    shown = torch.from_numpy(walks.shown[:, span])
    pushed = torch.from_numpy(levels(told)) + 1
    weights = [_balance(pushed[..., i][shown[..., i]]) for i in range(SPEC.size)]

    def loss(rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(0, len(told), config.batch))
        plain, turned = rows.tensor_split(2)
        clips, other = (Seen(everything.maps[r], everything.hints[r]) for r in (plain, turned))
        way, value = pushed[rows], wanted[rows]
        way[len(plain) :] = (mirror_of(pushed[turned] - 1) + 1).long()
        value[len(plain) :] = mirror_of(wanted[turned])
        logits, size = (x.flatten(0, 1) for x in model(clips.beside(other.mirrored())))
        asked = [x.flatten(0, 1) for x in (way, value, shown[rows])]
        return _masked_loss(logits, size, asked[0], asked[1], asked[2], weights)

    _fit(model, loss, config, report)
    return _examine_actions(model, height, width, config)


def _examine_actions(
    model: InverseDynamics, height: int, width: int, config: JudgeConfig
) -> dict[str, Any]:
    """On walks through worlds it has not seen; a channel's judge must pass, and be at chance when
    each walk is asked for another's actions."""
    held = lessons.walks(config.held_worlds, config.frames, 2, height=height, width=width)
    read = np.stack([model.read(clip) for clip in held.pictures])
    span = slice(ACTED, ACTED + read.shape[1])
    true, shown = held.actions[:, span], held.shown[:, span]
    order = np.random.default_rng(config.seed).permutation(len(true))
    channels = agreement(read, true, shown)
    shuffled = agreement(read, true[order], shown[order])
    fit = [n for n in SPEC.names if passes(channels[n], shuffled[n]["accuracy"])]
    return {"channels": channels, "shuffled": shuffled, "judges": fit, "worlds": len(true)}


def passes(channel: dict[str, Any], shuffled: float | None) -> bool:
    """Right on the truth, and no better than chance on another clip's answers."""
    right, chance = channel["accuracy"], channel["chance"]
    if right is None or shuffled is None:
        return False
    return right >= PASS and shuffled - chance <= LUCK


def exam_lines(exam: dict[str, Any]) -> list[str]:
    """What to print of an exam."""
    rows = exam["channels"]
    lines = []
    for name, row in rows.items():
        if row["accuracy"] is None:
            lines.append(f"  exam {name:<14} nothing to ask")
            continue
        other = exam["shuffled"][name]["accuracy"]
        verdict = "a judge" if name in exam["judges"] else "no judge"
        lines.append(f"  exam {name:<14} {row['accuracy']:.3f} on the truth, {other or 0:.3f} on "
                     f"shuffled answers (chance {row['chance']:.3f}): {verdict}")  # fmt: skip
    return lines


def _balance(classes: Tensor, count: int = 3) -> Tensor:
    """Weights that make the classes count alike, none more than five times the mean."""
    counts = torch.bincount(classes, minlength=count).float()
    weights = torch.where(counts > 0, counts.sum() / (count * counts.clamp(min=1)), 0.0)
    return weights.clamp(max=5.0)


def _worsened(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Luma [F, h, w] with noise and blur such as generated pictures have, or as it is."""
    if rng.random() < 0.35:
        x = functional.avg_pool2d(x[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    if rng.random() < 0.5:
        x = x + float(rng.uniform(0, 0.012)) * torch.randn_like(x)
    return x


def _masked_loss(
    logits: Tensor, size: Tensor, way: Tensor, value: Tensor, shown: Tensor, weights: list[Tensor]
) -> Tensor:
    """Which way each channel was pushed, and how much, where it can be seen."""
    total = torch.zeros(())
    for i in range(SPEC.size):
        rows = shown[:, i]
        if rows.any():
            total = total + functional.cross_entropy(logits[rows, i], way[rows, i], weights[i])
            if SPEC.channels[i].unit:
                far = functional.smooth_l1_loss(size[rows, i], value[rows, i], beta=0.05)
                total = total + 5 * far
    return total


def agreement(
    read: np.ndarray, true: np.ndarray, shown: np.ndarray | None = None
) -> dict[str, dict[str, Any]]:
    """Per channel, over the frames that show it: balanced accuracy of low, none and high, the
    correlation, and how many of each there were. Arrays [..., A]; None where nothing was asked."""
    shown = np.ones(true.shape, bool) if shown is None else shown
    found, told = levels(read), levels(true)
    out = {}
    for i, channel in enumerate(SPEC.channels):
        rows = shown[..., i]
        counts = {int(c): int((told[..., i][rows] == c).sum()) for c in np.unique(told[..., i])}
        counts = {c: n for c, n in counts.items() if n}
        asked = len(counts) > 1
        r, t = read[..., i][rows], true[..., i][rows]
        out[channel.name] = {
            "accuracy": balanced_accuracy(found[..., i][rows], told[..., i][rows])
            if asked
            else None,
            "chance": 1 / len(counts) if asked else None,
            "correlation": correlation(r, t) if asked else None,
            "asked": {str(c): n for c, n in counts.items()},
        }
    return out


def levels(values: np.ndarray) -> np.ndarray:
    """-1, 0 or 1 for [..., A]: which way each channel is pushed."""
    scale = np.array([c.scale for c in SPEC.channels], np.float32)
    least = np.array([LOOK_THRESHOLD if c.unit else PUSH_THRESHOLD for c in SPEC.channels])
    part = values / scale
    return (part >= least).astype(int) - (part <= -least).astype(int)


def balanced_accuracy(read: np.ndarray, true: np.ndarray) -> float:
    """Mean over the true classes of the share that is read right; chance is one over them."""
    classes = np.unique(true)
    return float(np.mean([(read[true == c] == c).mean() for c in classes]))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; 0 where one of them is constant."""
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _teach_facts(
    model: Classifier, height: int, width: int, config: JudgeConfig, report: Report
) -> dict[str, Any]:
    views = lessons.views(config.worlds, 3, height=height, width=width)
    report(f"  saw {config.worlds} worlds")
    pictures = torch.from_numpy(views.pictures)
    labels = {name: torch.from_numpy(v) for name, v in views.labels.items()}
    weights = {n: _balance(v[v >= 0], len(QUESTIONS[n])) for n, v in labels.items()}

    def loss(rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(0, len(pictures), config.batch))
        x = as_input(pictures[rows])
        x = x.flip(3) if rng.random() < 0.5 else x
        if rng.random() < 0.3:
            x = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        answers = model(x + 0.04 * torch.randn_like(x))
        return sum(
            (functional.cross_entropy(answers[n], labels[n][rows], weights[n], ignore_index=-1)
             for n in QUESTIONS),
            torch.zeros(()),
        )  # fmt: skip

    _fit(model, loss, config, report)
    return _examine_facts(model, height, width, config)


def _examine_facts(
    model: Classifier, height: int, width: int, config: JudgeConfig
) -> dict[str, Any]:
    """On views of worlds it has not seen, and on views asked for another's facts."""
    held = lessons.views(config.held_worlds, 4, height=height, width=width)
    read = {name: p.argmax(1) for name, p in model.read(held.pictures).items()}
    order = np.random.default_rng(config.seed).permutation(len(held.pictures))
    exams, shuffled = {}, {}
    for name in QUESTIONS:
        true, other = held.labels[name], held.labels[name][order]
        asked, mixed = true >= 0, other >= 0
        exams[name] = {
            "accuracy": balanced_accuracy(read[name][asked], true[asked]),
            "chance": 1 / len(np.unique(true[asked])),
        }
        shuffled[name] = {"accuracy": balanced_accuracy(read[name][mixed], other[mixed])}
    fit = [n for n in QUESTIONS if passes(exams[n], shuffled[n]["accuracy"])]
    return {
        "channels": exams,
        "shuffled": shuffled,
        "judges": fit,
        "worlds": config.held_worlds,
        "by_answer": {n: _by_answer(n, read[n], held.labels[n]) for n in QUESTIONS},
    }


def _by_answer(question: str, read: np.ndarray, true: np.ndarray) -> dict[str, float]:
    options = QUESTIONS[question]
    return {
        option: float((read == i)[true == i].mean())
        for i, option in enumerate(options)
        if (true == i).any()
    }
