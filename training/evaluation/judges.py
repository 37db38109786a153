"""Learned judges: one reads actions off pictures, one reads biome, time and weather.

Both learn from true frames alone and are tested on true frames that they have not seen and on
shuffled labels: a judge that is not right on the truth, or right on nonsense, is no judge. They
are trained once per resolution and action spec and kept in the user's cache. Not here: what is
asked of them (suites).

    judge = inverse_dynamics(height=64, width=96)
    values = judge.read(pictures)              # [F - WINDOW + 1, A] from [F, H, W, 3]

N clips, F frames, A channels, S samples, H W pixels.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from training.evaluation.oracle import OracleConfig, labelled_frames
from training.worlds.wilds import biomes, facts, weather
from training.worlds.wilds.spec import SPEC

WINDOW = 5
"""Pictures from which one action is read; it is the one between the middle two."""
TIMES = tuple(dict.fromkeys(name for name, _ in facts.TIMES))
QUESTIONS: dict[str, tuple[str, ...]] = {
    "biome": tuple(biomes.NAMES),
    "time": TIMES,
    "weather": tuple(weather.NAMES),
}
Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How much a judge sees before it judges."""

    clips: int = 96
    """Worlds walked for training."""
    frames: int = 160
    """Frames of each."""
    held_clips: int = 24
    """Worlds for its own exam."""
    steps: int = 2500
    """Optimiser steps."""
    batch: int = 64
    width: int = 32
    """Channels of the first layer."""
    seed: int = 5


def _trunk(inputs: int, width: int) -> nn.Sequential:
    """Pictures to a vector of 4 * width features at a quarter, then a sixteenth of the size."""
    layers: list[nn.Module] = []
    before = inputs
    for after in (width, 2 * width, 4 * width, 4 * width):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        before = after
    return nn.Sequential(*layers)


class InverseDynamics(nn.Module):
    """Reads every channel's value, over its scale, off WINDOW pictures."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = _trunk(3 * WINDOW, width)
        self.head = nn.Sequential(
            nn.Linear(4 * width, 4 * width), nn.SiLU(), nn.Linear(4 * width, SPEC.size)
        )
        self.squeeze = nn.Sequential(nn.Conv2d(4 * width, 4 * width, 1), nn.SiLU())
        self.where = nn.LazyLinear(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """[S, 3 * WINDOW, H, W] to [S, A]."""
        features = self.squeeze(self.trunk(x))
        return self.head(functional.silu(self.where(features.flatten(1))))

    @torch.no_grad()
    def read(self, pictures: np.ndarray) -> np.ndarray:
        """Values [F - WINDOW + 1, A] in the spec's units; row i is the action of frame i + 3."""
        scale = torch.tensor([c.scale for c in SPEC.channels])
        x = windows(torch.from_numpy(pictures))
        parts = [self(part) for part in x.split(256)]
        return (torch.cat(parts) * scale).numpy()


ACTED = WINDOW // 2 + 1
"""The frame of a window whose action is read: what led from the middle picture to the next."""


def windows(pictures: Tensor) -> Tensor:
    """[F, H, W, 3] to every run of WINDOW pictures, [F - WINDOW + 1, 3 * WINDOW, H, W]."""
    x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.cat([x[i : len(x) - WINDOW + 1 + i] for i in range(WINDOW)], 1)


class Classifier(nn.Module):
    """Reads the facts of QUESTIONS off one picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = _trunk(3, width)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(8 * width, len(options)) for name, options in QUESTIONS.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[S, 3, H, W] to logits [S, options] per question."""
        features = self.trunk(x)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return {name: head(pooled) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities [F, options] per question."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        answers = [self(part) for part in x.split(256)]
        return {
            name: torch.cat([a[name] for a in answers]).softmax(1).numpy() for name in QUESTIONS
        }

    @torch.no_grad()
    def features(self, pictures: np.ndarray) -> np.ndarray:
        """Pooled features [F, 4 * width], the space of the feature distance."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        return torch.cat([self.trunk(part).mean((2, 3)) for part in x.split(256)]).numpy()


def inverse_dynamics(
    *, height: int, width: int, config: JudgeConfig | None = None, report: Report = print
) -> tuple[InverseDynamics, dict[str, Any]]:
    """The judge of actions and its own exam, from the cache or trained now."""
    config = config or JudgeConfig()
    return _cached("idm", InverseDynamics(config.width), height, width, config, _teach_idm, report)


def classifier(
    *, height: int, width: int, config: JudgeConfig | None = None, report: Report = print
) -> tuple[Classifier, dict[str, Any]]:
    """The judge of facts and its own exam, from the cache or trained now."""
    config = config or JudgeConfig()
    return _cached("facts", Classifier(config.width), height, width, config, _teach_facts, report)


def _cached(
    name: str,
    model: Any,
    height: int,
    width: int,
    config: JudgeConfig,
    teach: Callable[..., dict[str, Any]],
    report: Report,
) -> tuple[Any, dict[str, Any]]:
    torch.manual_seed(config.seed)
    model.eval()
    if isinstance(model, InverseDynamics):
        model(torch.zeros(1, 3 * WINDOW, height, width))
    identity = json.dumps([name, height, width, asdict(config), SPEC.to_dict(), QUESTIONS])
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = Path.home() / ".cache" / "helios" / "judges" / f"{name}-{key}"
    exam_file = folder / "exam.json"
    if exam_file.exists():
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        return model, json.loads(exam_file.read_text())
    report(f"teaching the {name} judge at {height}x{width} (once; kept in the cache)")
    exam = teach(model, height, width, config, report)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "weights.safetensors")
    exam_file.write_text(json.dumps(exam))
    return model, exam


def _clips(
    config: JudgeConfig, count: int, seed: int, height: int, width: int, every: int = 1
) -> tuple[np.ndarray, np.ndarray, list[list[dict]]]:
    oracle = OracleConfig(count=count, past=0, future=config.frames, seed=seed)
    return labelled_frames(oracle, height=height, width=width, every=every)


def _fit(
    model: nn.Module, loss: Callable[[np.random.Generator], Tensor], config: JudgeConfig,
    report: Report,
) -> None:  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, config.steps)
    rng = np.random.default_rng(config.seed)
    model.train()
    for step in range(config.steps):
        value = loss(rng)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if step % 250 == 249:
            report(f"  step {step + 1}/{config.steps}, loss {value.item():.4f}")
    model.eval()


def _teach_idm(
    model: InverseDynamics, height: int, width: int, config: JudgeConfig, report: Report
) -> dict[str, Any]:
    frames, actions, _ = _clips(config, config.clips, 1, height, width)
    pictures = torch.from_numpy(frames)
    scale = torch.tensor([c.scale for c in SPEC.channels])
    wanted = torch.from_numpy(actions) / scale

    def loss(rng: np.random.Generator) -> Tensor:
        clip = torch.from_numpy(rng.integers(0, len(pictures), config.batch))
        at = torch.from_numpy(rng.integers(0, config.frames - WINDOW + 1, config.batch))
        parts = [pictures[clip, at + i] for i in range(WINDOW)]
        x = torch.cat([p.permute(0, 3, 1, 2).float() / 127.5 - 1 for p in parts], 1)
        return functional.smooth_l1_loss(model(x), wanted[clip, at + ACTED], beta=0.1)

    _fit(model, loss, config, report)
    held, acted, _ = _clips(config, config.held_clips, 2, height, width)
    read = np.stack([model.read(clip) for clip in held])
    true = acted[:, ACTED : ACTED + read.shape[1]]
    rng = np.random.default_rng(config.seed)
    shuffled = true[rng.permutation(len(true))]
    return {"channels": agreement(read, true), "shuffled": agreement(read, shuffled)}


def agreement(read: np.ndarray, true: np.ndarray) -> dict[str, dict[str, float]]:
    """Per channel: balanced accuracy of low, none, high, and correlation. Arrays [..., A]."""
    out = {}
    for i, channel in enumerate(SPEC.channels):
        r, t = read[..., i].ravel() / channel.scale, true[..., i].ravel() / channel.scale
        out[channel.name] = {
            "accuracy": balanced_accuracy(level(r, channel.unit), level(t, channel.unit)),
            "correlation": correlation(r, t),
        }
    return out


def level(values: np.ndarray, unit: str) -> np.ndarray:
    """-1, 0 or 1: which way a channel is pushed. Looking counts from 3 % of its range on."""
    threshold = 0.03 if unit else 0.5
    return (values > threshold).astype(int) - (values < -threshold).astype(int)


def balanced_accuracy(read: np.ndarray, true: np.ndarray) -> float:
    """Mean over the true classes of the share that is read right; chance is one over them."""
    classes = np.unique(true)
    return float(np.mean([(read[true == c] == c).mean() for c in classes]))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; 0 where one of them is constant."""
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _labels(known: list[list[dict]]) -> dict[str, np.ndarray]:
    rows = [row for clip in known for row in clip]
    return {
        name: np.array([options.index(row[name]) for row in rows])
        for name, options in QUESTIONS.items()
    }


def _teach_facts(
    model: Classifier, height: int, width: int, config: JudgeConfig, report: Report
) -> dict[str, Any]:
    many = 3 * config.clips
    frames, _, known = _clips(config, many, 3, height, width, every=20)
    pictures = torch.from_numpy(frames.reshape(-1, height, width, 3))
    labels = {name: torch.from_numpy(v) for name, v in _labels(known).items()}

    def loss(rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(0, len(pictures), config.batch))
        x = pictures[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
        if rng.random() < 0.5:
            x = x.flip(3)
        answers = model(x + 0.05 * torch.randn_like(x))
        return sum(
            (functional.cross_entropy(answers[n], labels[n][rows]) for n in QUESTIONS),
            torch.zeros(()),
        )

    _fit(model, loss, config, report)
    held, _, known = _clips(config, config.held_clips * 2, 4, height, width, every=20)
    read = model.read(held.reshape(-1, height, width, 3))
    true = _labels(known)
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(next(iter(true.values()))))
    return {
        "accuracy": {n: float((read[n].argmax(1) == true[n]).mean()) for n in QUESTIONS},
        "shuffled": {n: float((read[n].argmax(1) == true[n][order]).mean()) for n in QUESTIONS},
    }
