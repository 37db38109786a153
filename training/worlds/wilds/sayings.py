"""Sentences in many words, each with the plainest one that says the same: lessons in wording.

    saying(rng)     Saying(said="Put me on a prairie, at dawn", plain="a green meadow at dawn")

Nothing is rendered: facts are drawn at random, whatever their odds in a world. The plain sentence
takes the first phrase of every list; an event is said plainly as what is true once it has played
out, or, if it leaves nothing to say, as the first phrase of its own.
"""

from typing import NamedTuple

import numpy as np

from training.worlds.wilds.captions import aims, fill, one
from training.worlds.wilds.phrases import SLOT, TRAINING, Language

OF_EVENTS = 0.3
"""Share of sentences that tell what begins."""
OF_ONE_FACT = 0.2
"""Share that is one phrase and no more, as people type in a hurry."""
PADDED = 0.35
"""Share with words that say nothing, before or after or in between."""
THINNED = 0.2
"""Share without articles and the like, as people type tags."""
SMALL = frozenset(
    ("a", "an", "the", "of", "in", "with", "is", "are", "to", "some", "that", "at", "on", "under")
)
"""Words that are left out of those."""


class Saying(NamedTuple):
    """The same twice."""

    said: str
    plain: str


def saying(rng: np.random.Generator, language: Language = TRAINING) -> Saying:
    """One sentence about a place, or about what begins there, or a few words."""
    kind = rng.random()
    if kind < OF_ONE_FACT:
        said, plain = _fact(rng, language)
    else:
        said, plain = (_event if kind < OF_ONE_FACT + OF_EVENTS else _place)(rng, language)
    if rng.random() < THINNED:
        said = _thin(said)
    if language.fillers and rng.random() < PADDED:
        said = _padded(said, rng, language)
    return Saying(said, plain)


def _place(rng: np.random.Generator, language: Language) -> Saying:
    sentence = one(language.sentences, rng)
    names = [name.lower() for name in SLOT.findall(sentence)]
    tables = {name: getattr(language, name) for name in names}
    facts = {name: one(tuple(table), rng) for name, table in tables.items()}
    said = fill(sentence, {n: one(tables[n][fact], rng) for n, fact in facts.items()})
    assert said is not None
    return Saying(said, plainly(facts, language))


def _fact(rng: np.random.Generator, language: Language) -> Saying:
    slot = one(("biome", "time", "weather", "landmark", "extra"), rng)
    table = getattr(language, slot)
    fact = one(tuple(table), rng)
    said = one(table[fact], rng)
    if rng.random() < 0.5:
        said = _thin(said)
    return Saying(said, plainly({slot: fact}, language))


def plainly(facts: dict[str, str], language: Language = TRAINING) -> str:
    """Facts by slot in their first phrases, in one order."""

    def words(*slots: str) -> str:
        return " ".join(getattr(language, s)[facts[s]][0] for s in slots if s in facts)

    parts = (words("biome", "time", "weather"), words("landmark", "side"), words("extra"))
    return ", ".join(part for part in parts if part)


def _event(rng: np.random.Generator, language: Language) -> Saying:
    name = one(tuple(language.events), rng)
    place = one(tuple(language.biome), rng)
    said = one(language.events[name], rng)
    there = one(language.biome[place], rng)
    with_place = (f"{there}; {said}", f"{said} over {there}", f"{said}, {there}")
    if rng.random() < 0.4:
        return Saying(one(with_place, rng), outcome(name, {"biome": place}, language))
    return Saying(said, outcome(name, {}, language))


def outcome(name: str, facts: dict[str, str], language: Language = TRAINING) -> str:
    """What is plainly true once an event has played out."""
    led_to = aims(name)
    known = plainly(facts | led_to, language)
    return known if led_to else "; ".join(p for p in (known, language.events[name][0]) if p)


def _thin(text: str) -> str:
    return " ".join(w for w in text.split() if w.lower() not in SMALL) or text


def _padded(text: str, rng: np.random.Generator, language: Language) -> str:
    filler = one(language.fillers, rng)
    words = text.split()
    at = int(rng.integers(1, len(words))) if len(words) > 1 else 0
    ways = (
        f"{filler} {text}", f"{filler}, {text}", f"{text} {filler}", f"{text}, {filler}",
        " ".join([*words[:at], filler, *words[at:]]),
    )  # fmt: skip
    return one(ways, rng)
