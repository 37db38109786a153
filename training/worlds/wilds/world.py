"""Wilds: N worlds, one walker in each. Step with actions, render pictures, ask what is true.

    wilds = Wilds([1, 2, 3], height=64, width=96)
    for t in range(actions.shape[1]):
        wilds.step(actions[:, t])           # [N, A] in the spec's units
        frame = wilds.render()              # uint8 [N, H, W, 3], the result of that action
    wilds.facts()                           # what a caption may say, one dict per world

A picture depends on the seed, the pose and the moment alone, never on the batch. The whole state is
one immutable value: `state` is read, kept and assigned back freely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.graphed import Capture, Graphed
from training.worlds.wilds import events, facts, physics, spawn, weather
from training.worlds.wilds.camera import Camera
from training.worlds.wilds.physics import DT, EYE, Body
from training.worlds.wilds.render import picture_of
from training.worlds.wilds.scene import Scene
from training.worlds.wilds.spec import SPEC

PIXELS_PER_PASS = {"cpu": 100_000, "cuda": 12_000_000}
"""Pixels rendered at once: what stays in a core's cache, and what fits a GPU's memory."""


@dataclass(frozen=True, kw_only=True)
class WildsConfig:
    """Choices that hold for all worlds of a batch."""

    hours_per_second: float = 0.012
    """Speed of the sun: a day takes half an hour of play."""
    biomes: tuple[str, ...] | None = None
    """First biome of each world by name; None draws it from the seed."""
    weathers: tuple[str, ...] | None = None
    """Weather at the start of each world; None draws it from the seed."""
    hours: tuple[float, ...] | None = None
    """Hour at the start of each world, 0 to 24; None draws it from the seed."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that changes; every field [N] unless said otherwise."""

    body: Body
    hour: Tensor
    """0..24."""
    hour_rate: Tensor
    """Hours per second now; events speed it up, and may turn it back."""
    hours_left: Tensor
    """Hours that still pass at that speed before the sun goes its own pace again."""
    clock: Tensor
    """float64 seconds since the start."""
    weather: Tensor
    """[N, columns] the present."""
    target: Tensor
    """int64: the weather it drifts to."""
    snowpack: Tensor
    fire: Tensor
    fire_target: Tensor


Tensors = dict[str, Any]
"""A state as a tree that graphs know."""


def flat(state: State) -> Tensors:
    return {**vars(state), "body": dict(vars(state.body))}


def whole(tensors: Tensors) -> State:
    return State(**{**tensors, "body": Body(**tensors["body"])})


class Wilds:
    """A batch of worlds on one device."""

    def __init__(
        self,
        seeds: Sequence[int],
        height: int = 128,
        width: int = 192,
        device: str = "cpu",
        config: WildsConfig | None = None,
        graphs: bool = False,
    ) -> None:
        """`graphs`: launch each step and each picture at once, as a CUDA graph: thousands of
        operations, whatever the number of worlds."""
        self.config = config or WildsConfig()
        self.height, self.width, self.device = height, width, torch.device(device)
        self.seeds = torch.tensor([int(s) & 0x7FFFFFFF for s in seeds], device=self.device)
        with torch.no_grad():
            self.land, self.state = spawn.start(self.seeds, self.config)
        if graphs and self.device.type != "cuda":
            raise ValueError("graphs of worlds are CUDA's: leave them off here")
        self.graphs = self.as_graphs() if graphs else None

    def as_graphs(self, capture: Capture | None = None) -> tuple[Graphed, Graphed]:
        """The step and the picture; `capture` as in training.graphed."""
        show = partial(self._show, steady=True)
        return Graphed(self._step, (), capture), Graphed(show, (), capture)

    @property
    def count(self) -> int:
        """Number of worlds, N."""
        return len(self.seeds)

    @torch.no_grad()
    def step(self, actions: np.ndarray | Tensor) -> None:
        """Advances every world by one frame under actions [N, A]."""
        action = torch.as_tensor(actions, dtype=torch.float32).to(self.device)
        if action.shape != (self.count, SPEC.size):
            raise ValueError(
                f"actions have shape {tuple(action.shape)}; {self.count} worlds want "
                f"[{self.count}, {SPEC.size}] ({', '.join(SPEC.names)})"
            )
        step = self.graphs[0].fresh if self.graphs else self._step
        self.state = whole(step(flat(self.state), action))

    def _step(self, before: Tensors, action: Tensor) -> Tensors:
        state = whole(before)
        body = physics.step(self.land, state.body, action)
        return flat(replace(advance(state, self.config), body=body))

    @torch.no_grad()
    def render(self) -> Tensor:
        """uint8 [N, H, W, 3] on the worlds' device."""
        show = self.graphs[1].fresh if self.graphs else self._show
        return show(flat(self.state))

    def _show(self, now: Tensors, steady: bool = False) -> Tensor:
        scene = self._scene(whole(now), steady)
        room = PIXELS_PER_PASS.get(self.device.type, 1_000_000)
        size = max(1, room // (self.height * self.width))
        parts = [
            picture_of(scene.rows(slice(i, i + size)), self.height, self.width)
            for i in range(0, self.count, size)
        ]
        return torch.cat(parts)

    def scene(self) -> Scene:
        """What the cameras see now, as a value."""
        return self._scene(self.state)

    def _scene(self, s: State, steady: bool = False) -> Scene:
        b = s.body
        camera = Camera(x=b.x, z=b.z, eye=b.feet + EYE, yaw=b.yaw, pitch=b.pitch)
        return Scene(
            land=self.land,
            camera=camera,
            hour=s.hour,
            clock=s.clock,
            weather=s.weather,
            snowpack=s.snowpack,
            fire=s.fire,
            steady=steady,
        )

    @torch.no_grad()
    def facts(self) -> list[dict[str, Any]]:
        """What is true of each world now (see facts)."""
        return facts.facts(self.scene(), self.state)

    def poses(self) -> np.ndarray:
        """float64 [N, 6]: x, z, feet, eye (metres), yaw, pitch (degrees)."""
        b = self.state.body
        turn = [torch.rad2deg(t.double()) for t in (b.yaw, b.pitch)]
        return (
            torch.stack([b.x, b.z, b.feet.double(), b.feet.double() + EYE, *turn], 1).cpu().numpy()
        )

    def event(self, names: Sequence[str | None]) -> None:
        """Lets something begin in each world, by name (events.EVENTS); None leaves it alone."""
        self.state = events.apply(self.state, names)

    def set_facts(
        self,
        *,
        hour: float | None = None,
        weather: str | None = None,
        fire: float | None = None,
        snowpack: float | None = None,
    ) -> None:
        """Sets facts of all worlds at once, without a transition."""
        self.state = events.assign(
            self.state, hour=hour, weather=weather, fire=fire, snowpack=snowpack
        )

    def place(self, x: float, z: float, yaw: float = 0.0, pitch: float = 0.0) -> None:
        """Puts every walker at a place (metres, degrees), standing on the ground."""
        b = self.state.body
        x64, z64 = torch.full_like(b.x, x), torch.full_like(b.z, z)
        zero = torch.zeros_like(b.feet)
        g = self.land.ground(self.land.anchor(x64, z64), zero, zero)
        feet = physics.standing(g.height, self.land.mix("lava", g.blend))
        self.state = replace(
            self.state,
            body=Body(
                x=x64, z=z64, feet=feet, vx=zero, vz=zero, rise=zero,
                airborne=torch.zeros_like(b.airborne),
                yaw=torch.full_like(b.yaw, np.deg2rad(yaw % 360)),
                pitch=torch.full_like(b.pitch, np.deg2rad(pitch)),
            ),
        )  # fmt: skip


def advance(s: State, config: WildsConfig) -> State:
    """One frame of sun, weather, snow and fire."""
    passed = s.hour_rate * DT
    there = (s.hours_left > 0) & (passed.abs() > s.hours_left)
    passed = torch.where(there, s.hours_left * passed.sign(), passed)
    left = (s.hours_left - passed.abs()).clamp(min=0)
    rate = torch.where(left > 0, s.hour_rate, config.hours_per_second)
    wanted = weather.table(str(s.hour.device))[s.target]
    drift = 1 - np.exp(-DT / weather.SETTLE)
    lying = (s.weather[:, weather.SNOW] > 0.3).float() * s.weather[:, weather.SNOW]
    cover = 1 - np.exp(-DT / weather.COVERING)
    return replace(
        s,
        hour=torch.remainder(s.hour + passed, 24.0),
        hour_rate=rate,
        hours_left=left,
        clock=s.clock + DT,
        weather=s.weather + (wanted - s.weather) * float(drift),
        snowpack=s.snowpack + (lying - s.snowpack) * float(cover),
        fire=s.fire + (s.fire_target - s.fire) * 0.05,
    )
