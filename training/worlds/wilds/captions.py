"""Sentences from facts: a grammar that says true things in many ways, and often only some of them.

    caption(facts, rng)                    "Sand dunes at dusk, with a pyramid on the left."
    event_caption("snow starts", rng)      "snow begins to fall"
    change_caption("snow starts", facts, rng)    what the world is, and what begins
    goal_caption("snow starts", facts, rng)      what the world will be

`facts` is one dict of Wilds.facts(). Phrasings live in phrases.TRAINING; pass phrases.HELD_OUT to
evaluate on words that no clip was captioned with.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from training.worlds.wilds.events import EVENTS
from training.worlds.wilds.facts import time_name
from training.worlds.wilds.phrases import SLOT, TRAINING, Language


def one(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """Any of them, evenly."""
    return options[int(rng.integers(len(options)))]


def phrases(
    facts: Mapping[str, Any], rng: np.random.Generator, language: Language = TRAINING
) -> dict[str, str]:
    """One phrase for every fact that is known, by slot."""
    out = {"biome": one(language.biome[facts["biome"]], rng)}
    # What is on its way from one thing to another has no name yet.
    if not facts["hurrying"]:
        out["time"] = one(language.time[facts["time"]], rng)
    if facts["weather"] == facts["weather_target"]:
        out["weather"] = one(language.weather[facts["weather"]], rng)
    if facts["landmark"]:
        out["landmark"] = one(language.landmark[facts["landmark"]], rng)
        out["side"] = one(language.side[facts["landmark_side"]], rng)
    extras = [name for name, known in _extras(facts).items() if known]
    if extras:
        out["extra"] = one(language.extra[extras[int(rng.integers(len(extras)))]], rng)
    return out


def _extras(facts: Mapping[str, Any]) -> dict[str, bool]:
    return {
        "water": facts["water_in_view"],
        "lava": facts["lava_in_view"],
        "moon": facts["moon_in_view"],
        "sun": facts["sun_in_view"],
        "fire": facts["campfire_burns"] and facts["landmark"] == "campfire",
        "snow_lies": facts["snow_lies"],
    }


def fill(sentence: str, known: Mapping[str, str]) -> str | None:
    """The sentence with its slots filled, or None if it names something unknown."""
    names = SLOT.findall(sentence)
    if any(name.lower() not in known for name in names):
        return None

    def phrase(match: re.Match[str]) -> str:
        name = match.group(1)
        text = known[name.lower()]
        return text[0].upper() + text[1:] if name[0].isupper() else text

    return SLOT.sub(phrase, sentence)


def caption(
    facts: Mapping[str, Any], rng: np.random.Generator, language: Language = TRAINING
) -> str:
    """A true sentence about a world."""
    known = phrases(facts, rng, language)
    usable = [s for s in language.sentences if fill(s, known)]
    # Sentences about what stands in view are rarer than views that have it: favour them.
    rich = [s for s in usable if "andmark}" in s or "xtra}" in s]
    pool = rich if rich and rng.random() < 0.45 else usable
    text = fill(one(tuple(pool), rng), known)
    assert text is not None
    return text


def event_caption(name: str, rng: np.random.Generator, language: Language = TRAINING) -> str:
    """What begins, in words."""
    return one(language.events[name], rng)


def change_caption(
    name: str, facts: Mapping[str, Any], rng: np.random.Generator, language: Language = TRAINING
) -> str:
    """An event alone, or told together with the place where it happens."""
    event = event_caption(name, rng, language)
    place = one(language.biome[facts["biome"]], rng)
    ways = (
        event,
        event,
        f"{event[0].upper()}{event[1:]}.",
        f"{place}; {event}",
        f"{event} over {place}",
    )
    return one(ways, rng)


def goal_caption(
    name: str, facts: Mapping[str, Any], rng: np.random.Generator, language: Language = TRAINING
) -> str:
    """A sentence that is true once the event has played out."""
    goal = {**facts, "hurrying": False, **aims(name)}
    if EVENTS[name].weather is not None:
        goal["weather_target"] = goal["weather"]
    fire = EVENTS[name].fire
    if fire is not None:
        goal["campfire_burns"] = fire > 0.5
    return caption(goal, rng, language)


def aims(name: str) -> dict[str, str]:
    """Weather and time of day, as far as an event leads to them."""
    event, facts = EVENTS[name], {}
    if event.weather is not None:
        facts["weather"] = event.weather
    if event.hour is not None and event.hour >= 0:
        facts["time"] = time_name(event.hour)
    return facts
