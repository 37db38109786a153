"""Things that a text can cause: they begin at once and play out over seconds.

An event changes targets and speeds; the world's own drift (world.advance) does the rest, so that
every picture in between is a moment of the same world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from training.worlds.wilds import weather

if TYPE_CHECKING:
    from training.worlds.wilds.world import State


@dataclass(frozen=True, kw_only=True)
class Event:
    """What an event aims at; None leaves a thing alone."""

    weather: str | None = None
    hour: float | None = None
    """The sun hurries on to this hour."""
    fire: float | None = None


EVENTS: dict[str, Event] = {
    "rain starts": Event(weather="rain"),
    "snow starts": Event(weather="snow"),
    "fog rises": Event(weather="fog"),
    "storm breaks": Event(weather="storm"),
    "clouds gather": Event(weather="cloudy"),
    "sky clears": Event(weather="clear"),
    "aurora appears": Event(weather="aurora", hour=23.0),
    "day breaks": Event(hour=7.3),
    "noon comes": Event(hour=12.0),
    "sun sets": Event(hour=18.2),
    "night falls": Event(hour=21.5),
    "moon rises": Event(weather="clear", hour=20.6),
    "day passes": Event(hour=-1.0),
    "campfire is lit": Event(fire=1.0),
    "campfire goes out": Event(fire=0.0),
}
WHOLE_DAY = 24.0
DAY_LASTS = 17.0
"""Seconds of a day that passes."""
HURRY = 2.0
"""Seconds that the sun takes to another hour, whichever: somebody typed it and waits."""
BACK = 15.0
"""From so many hours ahead on, the sun turns back instead of running through a night."""


def apply(state: State, names: Sequence[str | None]) -> State:
    """The state in which the named event (or none) has begun in each world."""
    if len(names) != len(state.hour):
        raise ValueError(f"{len(names)} events for {len(state.hour)} worlds; give one for each")
    for name in names:
        if name is not None and name not in EVENTS:
            raise ValueError(f"no event {name!r}; there are {', '.join(EVENTS)}")
    chosen = [EVENTS[name] if name else Event() for name in names]
    device = state.hour.device

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    target = [-1 if e.weather is None else weather.NAMES.index(e.weather) for e in chosen]
    aim = torch.tensor(target, device=device)
    hour = column([-2.0 if e.hour is None else e.hour for e in chosen])
    fire = column([-1.0 if e.fire is None else e.fire for e in chosen])
    ahead = torch.remainder(hour - state.hour, 24.0)
    ahead = torch.where(ahead < BACK, ahead, ahead - 24.0)
    rate = torch.where(hour < 0, WHOLE_DAY / DAY_LASTS, ahead / HURRY)
    hurries = hour > -1.5
    return replace(
        state,
        target=torch.where(aim >= 0, aim, state.target),
        hours_left=torch.where(
            hurries, torch.where(hour < 0, WHOLE_DAY, ahead.abs()), state.hours_left
        ),
        hour_rate=torch.where(hurries, rate, state.hour_rate),
        fire_target=torch.where(fire >= 0, fire, state.fire_target),
    )


def assign(
    state: State,
    *,
    hour: float | None,
    weather: str | None,
    fire: float | None,
    snowpack: float | None,
) -> State:
    """The state with facts set at once."""
    from training.worlds.wilds.weather import NAMES, SNOW, table

    changes: dict[str, Tensor] = {}
    if hour is not None:
        changes["hour"] = torch.full_like(state.hour, hour % 24.0)
        changes["hours_left"] = torch.zeros_like(state.hour)
    if weather is not None:
        if weather not in NAMES:
            raise ValueError(f"no weather {weather!r}; there are {', '.join(NAMES)}")
        changes["target"] = torch.full_like(state.target, NAMES.index(weather))
        changes["weather"] = table(str(state.hour.device))[changes["target"]]
        changes["snowpack"] = changes["weather"][:, SNOW] * 0.8
    if fire is not None:
        changes["fire"] = changes["fire_target"] = torch.full_like(state.fire, fire)
    if snowpack is not None:
        changes["snowpack"] = torch.full_like(state.snowpack, snowpack)
    return replace(state, **changes)
