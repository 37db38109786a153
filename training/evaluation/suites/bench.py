"""Bench: 240 prompts of our own, 60 each at 81, 240, 720 and 1440 frames, walked from text alone.

In the manner of HeliosBench: image quality, motion, smoothness, text agreement, and how far each
goes from the first 15 % of a clip to the last. Quality is what can be measured here without other
people's weights: sharpness, and the classifier's feature distance to real frames. Start against
end cannot see a collapse that recovers: that is the drift suite's.

F frames, H W pixels.
"""

from dataclasses import dataclass

import numpy as np

from helios_core.world import WorldModel
from helios_core.world_api import World
from training.evaluation import judges, lessons, metrics
from training.evaluation.oracle import OracleConfig, oracle_episodes
from training.evaluation.playing import BATCH, play
from training.evaluation.report import Report
from training.evaluation.statistics import Figure
from training.evaluation.suites.drift import walk
from training.evaluation.suites.prompt import FACTS, fact_sentence
from training.worlds.wilds.phrases import HELD_OUT, TRAINING

ENDS = 0.15
"""Share of a clip at each end that drift compares."""
LOOKED_AT = 24
"""Most pictures of an end, or of a clip, that are judged one by one."""


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """How much is measured."""

    each: int = 60
    """Prompts per length."""
    lengths: tuple[int, ...] = (81, 240, 720, 1440)
    """Frames; rounded up to whole chunks."""
    real: int = 32
    """Held-out worlds whose frames say what real features are like."""
    seed: int = 6


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A sentence and what of it can be seen."""

    text: str
    facts: dict[str, str]


def prompts(count: int, seed: int) -> list[Prompt]:
    """Sentences over all biomes, times and weathers; every second in phrasings never trained on."""
    rng = np.random.default_rng([seed, 19])
    out = []
    for i in range(count):
        known = {q: str(rng.choice(options)) for q, options in FACTS.items()}
        if known["weather"] == "aurora":
            known["time"] = "night"
        language = HELD_OUT if i % 2 else TRAINING
        text = fact_sentence(known, rng, language)
        if lessons.biome_is_hidden(known["time"], known["weather"]):
            del known["biome"]
        out.append(Prompt(text=text, facts=known))
    return out


def run(world: World, config: BenchConfig, report: Report) -> None:
    info = world.info
    judge, exam = judges.classifier(height=info.height, width=info.width)
    report.note("bench.judge", exam)
    oracle = OracleConfig(count=config.real, past=4, future=4, seed=config.seed)
    real = oracle_episodes(oracle, height=info.height, width=info.width)
    features = judge.features(np.stack([e.future[-1] for e in real]))
    asked = prompts(config.each * len(config.lengths), config.seed)
    world = world.from_text_alone() if isinstance(world, WorldModel) else world
    report.note("bench.prompts", [p.text for p in asked])
    for k, length in enumerate(config.lengths):
        part = asked[k * config.each : (k + 1) * config.each]
        rows = _clips(world, part, length, judge, features, config.seed, report)
        for name in rows[0]:
            report.figure(f"bench.{length}.{name}", Figure.of([row[name] for row in rows]))


def _clips(
    world: World,
    asked: list[Prompt],
    length: int,
    judge: judges.Classifier,
    real: np.ndarray,
    seed: int,
    report: Report,
) -> list[dict[str, float]]:
    """Every prompt's figures; only one batch of clips is held at a time."""
    frames = -(-length // world.info.chunk_frames) * world.info.chunk_frames
    rows = []
    for first in range(0, len(asked), BATCH):
        part = asked[first : first + BATCH]
        states = [world.start(seed=seed + first + i, prompt=p.text) for i, p in enumerate(part)]
        made, _ = play(world, states, walk(seed + first, len(part), frames))
        rows += [measure(clip[:length], p, judge, real) for clip, p in zip(made, part, strict=True)]
        if first == 0:
            report.sheet(f"bench-{length}", made[:, length - 1], columns=min(8, len(part)))
        print(f"  bench: {length} frames, {len(rows)}/{len(asked)} prompts", flush=True)
    return rows


def measure(
    clip: np.ndarray, prompt: Prompt, judge: judges.Classifier, real: np.ndarray
) -> dict[str, float]:
    """All figures of one clip [F, H, W, 3], and how far each goes from its first to last 15 %."""
    end = max(4, round(ENDS * len(clip)))
    whole, start, last = (
        _values(part, prompt, judge, real) for part in (clip, clip[:end], clip[-end:])
    )
    return whole | {f"{name}.drift": abs(last[name] - start[name]) for name in whole}


def _values(
    clip: np.ndarray, prompt: Prompt, judge: judges.Classifier, real: np.ndarray
) -> dict[str, float]:
    some = clip[:: -(-len(clip) // LOOKED_AT)]
    gap = (judge.features(some).mean(0) - real.mean(0)) / (real.std(0) + 1e-6)
    read = judge.read(some)
    agrees = [
        (read[q].argmax(1) == lessons.answer_of(q, fact)).mean() for q, fact in prompt.facts.items()
    ]
    return {
        "sharpness": float(metrics.sharpness(some).mean()),
        "feature_distance": float(np.sqrt((gap**2).mean())),
        "motion": float(metrics.motion(clip).mean()),
        "smoothness": metrics.smoothness(clip),
        "text": float(np.mean(agrees)),
    }
