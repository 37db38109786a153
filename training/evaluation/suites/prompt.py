"""Prompt: does the world become what the text says, in words it knows and in words it does not?

A classifier that was taught on true frames reads biome, time and weather off generated frames.
Worlds are started from text alone, without the views that a pack may have, and again with them, as
a player starts them; and worlds under way are told that the weather or the hour changes: the time
until the judge agrees is the crossfade's.
"""

from dataclasses import dataclass

import numpy as np

from helios_core.world import WorldModel
from helios_core.world_api import World
from training.evaluation import judges, lessons
from training.evaluation.oracle import OracleConfig, oracle_episodes
from training.evaluation.playing import play, starts
from training.evaluation.report import Report
from training.evaluation.statistics import Figure, share
from training.worlds.wilds import captions
from training.worlds.wilds.phrases import HELD_OUT, TRAINING, Language

ASKED = (("biome", 24), ("time", 12), ("weather", 12))
"""Question and prompts per language."""
CHANGES = (
    ("weather", "rain"),
    ("weather", "snow"),
    ("weather", "fog"),
    ("weather", "clear"),
    ("time", "night"),
    ("time", "dusk"),
)


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How much is measured."""

    settle: int = 60
    """Frames after which a world started from text is read."""
    follow: int = 120
    """Frames for which a change is followed."""
    repeats: int = 4
    """Worlds per change."""
    seed: int = 3


def run(world: World, config: PromptConfig, report: Report) -> None:
    info = world.info
    judge, exam = judges.classifier(height=info.height, width=info.width)
    report.note("prompt.judge", exam)
    report.note("prompt.unjudged", [q for q, _ in ASKED if q not in exam["judges"]])
    alone = world.from_text_alone() if isinstance(world, WorldModel) else world
    for name, language in (("trained", TRAINING), ("unseen", HELD_OUT)):
        _from_text(alone, judge, exam["judges"], config, name, language, report)
        if isinstance(world, WorldModel) and world.parts.views is not None:
            _from_text(world, judge, exam["judges"], config, f"begun.{name}", language, report)
    _changes(world, judge, exam["judges"], config, report)


def sentences(question: str, count: int, language: Language, seed: int) -> list[tuple[str, int]]:
    """True facts drawn evenly over the answers, as a sentence and the answer's index."""
    rng = np.random.default_rng([seed, len(question)])
    options = FACTS[question]
    out = []
    for i in range(count):
        fact = options[i % len(options)]
        known = {
            "biome": str(rng.choice(FACTS["biome"])),
            "time": str(rng.choice(("morning", "noon", "afternoon"))),
            "weather": "clear",
        }
        if fact == "aurora":
            known["time"] = "night"
        known[question] = fact
        out.append((fact_sentence(known, rng, language), lessons.answer_of(question, fact)))
    return out


def fact_sentence(known: dict, rng: np.random.Generator, language: Language) -> str:
    """A caption that states biome, time and weather."""
    facts = {
        "landmark": None, "landmark_side": None, "campfire_burns": False, "snow_lies": False,
        "water_in_view": False, "lava_in_view": False, "moon_in_view": False,
        "sun_in_view": False, "swimming": False, "hurrying": False, **known,
        "weather_target": known["weather"],
    }  # fmt: skip
    parts = captions.phrases(facts, rng, language)
    wanted = [s for s in language.sentences if all("{" + k + "}" in s for k in KEYS)]
    for sentence in rng.permutation(wanted):
        text = captions.fill(str(sentence), parts)
        if text is not None:
            return text
    return captions.caption(facts, rng, language)


KEYS = ("biome", "time", "weather")
FACTS = {
    "biome": lessons.QUESTIONS["biome"],
    "time": ("night", "dawn", "noon", "dusk"),
    "weather": lessons.QUESTIONS["weather"],
}
"""What is asked for in words; the judge may see several as one answer (lessons.SEEN_AS)."""


def _from_text(
    world: World,
    judge: judges.Classifier,
    passed: list[str],
    config: PromptConfig,
    name: str,
    language: Language,
    report: Report,
) -> None:
    """Per question, and over those in which the judge passed its exam."""
    shown, hits_of = [], {}
    for question, count in ASKED:
        asked = sentences(question, count, language, config.seed)
        states = [world.start(seed=i, prompt=text) for i, (text, _) in enumerate(asked)]
        frames = config.settle + 4 * world.info.chunk_frames
        still = np.zeros((len(asked), frames, world.info.spec.size), np.float32)
        made, _ = play(world, states, still)
        read = [judge.read(clip[config.settle :])[question].mean(0).argmax() for clip in made]
        hits = np.array(read) == np.array([answer for _, answer in asked])
        kind = question if question in passed else f"unjudged.{question}"
        report.figure(f"prompt.{name}.{kind}", share(hits))
        hits_of[kind] = hits
        shown.append(made[:12, -1])
    judged = [hits for kind, hits in hits_of.items() if kind in passed]
    if judged:
        report.figure(f"prompt.{name}", share(np.concatenate(judged)))
    report.sheet(f"prompt-{name.replace('.', '-')}", np.concatenate(shown), columns=12)


def _changes(
    world: World,
    judge: judges.Classifier,
    passed: list[str],
    config: PromptConfig,
    report: Report,
) -> None:
    """Seconds until the judge has held the new fact for true for half a second; changes of what
    it failed its exam in are not asked."""
    info = world.info
    changes = [change for change in CHANGES if change[0] in passed]
    asked = [change for change in changes for _ in range(config.repeats)]
    if not asked:
        return
    count = len(asked)
    oracle = OracleConfig(
        count=count, future=4, seed=config.seed, weathers=("cloudy",) * count, hours=(15.0,) * count
    )
    episodes = oracle_episodes(oracle, height=info.height, width=info.width)
    rng = np.random.default_rng(config.seed)
    prompts = []
    for e, (question, answer) in zip(episodes, asked, strict=True):
        known = {**e.facts, question: answer}
        prompts.append(fact_sentence({k: known[k] for k in KEYS}, rng, TRAINING))
    still = np.zeros((count, config.follow, info.spec.size), np.float32)
    made, _ = play(world, starts(world, episodes), still, prompts=prompts)
    seconds = [
        _agrees_after(judge, clip, question, answer, info.fps)
        for clip, (question, answer) in zip(made, asked, strict=True)
    ]
    _arrivals(np.array(seconds), report)
    report.side_by_side("prompt-change", made[:: config.repeats], fps=info.fps, rows=6, scale=1)


def _arrivals(seconds: np.ndarray, report: Report) -> None:
    """Share and time of the changes that came; what was read from the start is no change."""
    asked = seconds != 0
    report.note("prompt.change_read_at_the_start", int((~asked).sum()))
    if not asked.any():
        return
    arrived = np.isfinite(seconds) & asked
    report.figure("prompt.change_arrives", share(np.where(asked, arrived, np.nan)))
    if arrived.any():
        came = np.where(arrived, seconds, np.nan)
        report.figure("prompt.change_seconds", Figure.of(came, unit=" s"))


def _agrees_after(
    judge: judges.Classifier, clip: np.ndarray, question: str, answer: str, fps: int
) -> float:
    """Seconds until the judge has agreed for half a second: 0 = it did from the first frames on,
    infinite = never."""
    index = lessons.answer_of(question, answer)
    return held_after(judge.read(clip)[question].argmax(1) == index, max(1, fps // 2)) / fps


def held_after(right: np.ndarray, span: int) -> float:
    """Frames until most of `span` in a row have been right; 0 = the first ones were."""
    held = np.convolve(right, np.ones(span), "valid") >= 0.8 * span
    if not held.any():
        return float("inf")
    begin = int(np.argmax(held))
    return float(begin + span if begin else 0)
