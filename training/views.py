"""Views of Wilds for a pack: every biome in every weather at every time, and every landmark.

True pictures from seeds that training never drew from, each called by plain sentences that are true
of it; where the sky is clear, also by sentences that leave it out, for that is what is meant then.
Not here: how a prompt finds its view (helios_core.views).

    views = wilds_views(ViewsConfig(), height=64, width=96)

N worlds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from training.starts import SEEDS
from training.trainer.progress import Progress
from training.worlds.wilds import biomes, weather
from training.worlds.wilds.sayings import plainly
from training.worlds.wilds.world import Wilds, WildsConfig

FIRST = 10_000
"""Seeds of views count from here, beyond those of start pictures."""
HOURS = {"night": (22.0,), "dawn": (6.2,), "day": (9.5, 12.0, 15.0), "dusk": (17.9,)}
"""Hours at which pictures are taken; a day has several names and looks much the same."""
TURNS = 12
"""Directions in which a landmark is looked for from each place."""
DAY = ("morning", "noon", "afternoon")
PLACES = 500
"""Most places; a biome has 1000 seeds for all its views."""
NEAR, FAR = 12.0, 80.0
"""Metres between which a landmark is what a picture is of."""


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """How many pictures."""

    of_biomes: int = 12
    """Biomes that are shown, from the first on."""
    places: int = 48
    """Places per biome at which landmarks are looked for; 0 = no views of landmarks."""

    def __post_init__(self) -> None:
        if not 1 <= self.of_biomes <= len(biomes.NAMES) or not 0 <= self.places <= PLACES:
            raise ValueError(
                f"views: give 1 to {len(biomes.NAMES)} biomes and 0 to {PLACES} places, "
                f"not {self.of_biomes} and {self.places}"
            )


class View(NamedTuple):
    """A picture [H, W, 3] and how it may be called."""

    picture: np.ndarray
    texts: tuple[str, ...]


def wilds_views(config: ViewsConfig, *, height: int, width: int) -> list[View]:
    """All of them, biome by biome."""
    views, progress = [], Progress("views", config.of_biomes)
    for number, biome in enumerate(biomes.NAMES[: config.of_biomes]):
        seeds = range(SEEDS + FIRST + 1000 * number, SEEDS + FIRST + 1000 * (number + 1))
        views += _moments(biome, seeds, height, width)
        if config.places:
            views += _landmarks(biome, seeds[-config.places :], height, width)
        progress.update(number + 1)
    progress.close(f"{len(views)} pictures")
    return views


def _moments(biome: str, seeds: Sequence[int], height: int, width: int) -> list[View]:
    """One picture of each weather at each time of day, without a landmark if one can turn away
    from them; an aurora by night alone."""
    moments = [
        (sky, hours[i % len(hours)])
        for i, sky in enumerate(weather.NAMES)
        for time, hours in HOURS.items()
        if sky != "aurora" or time == "night"
    ]
    wilds = _worlds(biome, seeds[: len(moments)], moments, height, width)
    found: dict[int, View] = {}
    for turn in range(TURNS):
        facts = wilds.facts()
        fit = [i for i, fact in enumerate(facts) if not fact["landmark"] or turn == TURNS - 1]
        if set(fit) - set(found):
            pictures = wilds.render().numpy()
            found = {i: View(pictures[i].copy(), names(facts[i])) for i in fit} | found
        _turn(wilds, 2 * torch.pi / TURNS)
    return [found[i] for i in range(len(moments))]


def _landmarks(biome: str, seeds: Sequence[int], height: int, width: int) -> list[View]:
    """The nearest view of each landmark that stands ahead somewhere, under a clear sky."""
    hours = (*HOURS["day"], *HOURS["dusk"])
    moments = [("clear", hours[i % len(hours)]) for i in range(len(seeds))]
    wilds, found = _worlds(biome, seeds, moments, height, width), {}
    for _ in range(TURNS):
        pictures = wilds.render().numpy()
        for picture, facts in zip(pictures, wilds.facts(), strict=True):
            name, distance = facts["landmark"], facts["landmark_distance"]
            if name is None or facts["landmark_side"] != "ahead" or not NEAR < distance < FAR:
                continue
            if name not in found or distance < found[name][0]:
                found[name] = (distance, View(picture.copy(), names(facts)))
        _turn(wilds, 2 * torch.pi / TURNS)
    return [view for _, view in found.values()]


def _worlds(
    biome: str, seeds: Sequence[int], moments: Sequence[tuple[str, float]], height: int, width: int
) -> Wilds:
    """One world for each weather and hour."""
    weathers, hours = zip(*moments, strict=True)
    config = WildsConfig(biomes=(biome,) * len(seeds), weathers=weathers, hours=hours)
    return Wilds(seeds, height, width, config=config)


def _turn(wilds: Wilds, angle: float) -> None:
    body = wilds.state.body
    turned = replace(body, yaw=torch.remainder(body.yaw + angle, 2 * torch.pi))
    wilds.state = replace(wilds.state, body=turned)


def names(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Plain sentences for what is seen, the fullest first. Nobody asks for a clear sky, or for day,
    who leaves the sky or the hour out; so a view that has them goes by less as well."""
    said = {"biome": facts["biome"], "time": facts["time"], "weather": facts["weather"]}
    mark = {"landmark": facts["landmark"], "side": facts["landmark_side"]}
    if facts["landmark"] is not None:
        said |= mark
    clear, day = said["weather"] == "clear", said["time"] in DAY
    left_out: list[tuple[str, ...]] = [()]
    if clear:
        left_out += [("weather",), ("weather", "biome")]
    if day:
        left_out += [("time",), ("time", "biome")]
    if clear and day:
        left_out += [("time", "weather"), ("time", "weather", "biome")]
    rest = [{k: v for k, v in said.items() if k not in parts} for parts in left_out]
    return tuple(dict.fromkeys(plainly(facts) for facts in rest if facts))
