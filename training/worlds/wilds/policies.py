"""How people walk: action arrays for many walkers at once, in the proportions clips need.

Every policy is `policy(rng, walkers, frames, aims) -> float32 [N, T, A]`, deterministic in its
generator. Open loop: nothing looks at pictures; `aims` (bearing and distance of a landmark from the
first pose) is all that the goal-seeking one knows. `mix` draws a policy for each walker, by SHARES
unless told otherwise.

N walkers, T frames, A channels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.worlds.wilds.physics import SPRINT, WALK
from training.worlds.wilds.spec import FORWARD, FPS, JUMP, PITCH, RUN, SPEC, STRAFE, YAW

PITCH_BAND = 24.0
"""Degrees from level within which walkers keep their look; the body could go farther."""
Rng = np.random.Generator
Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Aims:
    """A landmark for each walker, seen from the first pose; NaN where there is none."""

    bearing: Array
    """Degrees to the right of the first view, -180..180."""
    distance: Array
    """Metres."""


def no_aims(walkers: int) -> Aims:
    """Nobody has anything to go to."""
    return Aims(bearing=np.full(walkers, np.nan), distance=np.full(walkers, np.nan))


def _empty(walkers: int, frames: int) -> Array:
    return np.zeros((walkers, frames, SPEC.size), np.float32)


def _held(
    rng: Rng, walkers: int, frames: int, change: float, draw: Callable[[int], Array]
) -> Array:
    """[N, T] values drawn anew with probability `change` per frame and held in between."""
    fresh = rng.random((walkers, frames)) < change
    fresh[:, 0] = True
    values = draw(walkers * frames).reshape(walkers, frames)
    last = np.maximum.accumulate(np.where(fresh, np.arange(frames), 0), axis=1)
    return np.take_along_axis(values, last, 1)


def _smooth(signal: Array, frames: int) -> Array:
    """A causal moving average along time."""
    padded = np.concatenate([np.repeat(signal[:, :1], frames - 1, 1), signal], 1)
    total = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), 1)
    return (total[:, frames:] - total[:, :-frames]) / frames


def _glances(rng: Rng, walkers: int, frames: int, size: float, lag: int) -> Array:
    """Degrees per second that follow glances up and down of about `size` degrees, mostly level."""
    angle = _held(
        rng, walkers, frames, 0.03, lambda n: rng.normal(0, size, n) * (rng.random(n) < 0.5)
    )
    angle[:, 0] = 0
    followed = _smooth(_smooth(angle, lag), lag)
    return np.diff(followed, axis=1, prepend=0.0) * FPS


def _levelled(actions: Array, home: Array) -> Array:
    """The same, but no look strays beyond PITCH_BAND, and homing walkers end level."""
    pitch, angle = actions[..., PITCH], np.zeros(len(actions), np.float32)
    tail = min(12, actions.shape[1])
    for t in range(actions.shape[1]):
        left = actions.shape[1] - t
        if left <= tail:
            pitch[:, t] = np.where(home, -angle / left * FPS, pitch[:, t])
        after = angle + pitch[:, t] / FPS
        pitch[:, t] = np.where(np.abs(after) > PITCH_BAND, 0, pitch[:, t])
        angle += pitch[:, t] / FPS
    return actions


def stand(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """No input at all."""
    return _empty(walkers, frames)


def wander(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Smooth random walks: mostly forward, soft turns, pauses, now and then a run or a jump."""
    a = _empty(walkers, frames)
    steps = np.array([1, 1, 1, 1, 0.6, 0.3, 0, 0, -1], np.float32)
    a[..., FORWARD] = _held(rng, walkers, frames, 0.03, lambda n: rng.choice(steps, n))
    sides = np.array([0, 0, 0, 0, 0, 0.5, -0.5, 1, -1], np.float32)
    a[..., STRAFE] = _held(rng, walkers, frames, 0.04, lambda n: rng.choice(sides, n))
    turn = _held(rng, walkers, frames, 0.07, lambda n: rng.normal(0, 42, n) * (rng.random(n) < 0.6))
    a[..., YAW] = _smooth(turn, 6)
    a[..., PITCH] = _glances(rng, walkers, frames, 9.0, 12)
    a[..., RUN] = _held(rng, walkers, frames, 0.02, lambda n: rng.random(n) < 0.2)
    a[..., JUMP] = rng.random((walkers, frames)) < 0.008
    return a


def look_around(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Standing and turning: steady pans, sweeps to and fro, glances up and down."""
    a = _empty(walkers, frames)
    speed = rng.choice([25, 45, 70, 110, 170], walkers) * rng.choice([-1, 1], walkers)
    t = np.arange(frames) / FPS
    period = rng.uniform(2.5, 7.0, walkers)[:, None]
    swing = np.where(
        rng.random(walkers)[:, None] < 0.5, 1.0, np.sign(np.cos(2 * np.pi * t / period))
    )
    rest = _held(rng, walkers, frames, 0.03, lambda n: rng.random(n) < 0.75)
    a[..., YAW] = _smooth((speed[:, None] * swing * rest).astype(np.float32), 3)
    nod = rng.uniform(0, 30, walkers)[:, None] * np.cos(
        2 * np.pi * t / rng.uniform(2, 5, walkers)[:, None]
    )
    a[..., PITCH] = nod * (rng.random(walkers) < 0.6)[:, None]
    return a


def mash(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Random buttons held for moments, mouse flicks at full speed."""
    a = _empty(walkers, frames)
    for channel in (FORWARD, STRAFE):
        a[..., channel] = _held(rng, walkers, frames, 0.2, lambda n: rng.integers(-1, 2, n))
    a[..., YAW] = _held(
        rng,
        walkers,
        frames,
        0.25,
        lambda n: rng.choice([0, 0, 0, 60, -60, 150, -150, 240, -240], n),
    )
    a[..., PITCH] = _held(
        rng, walkers, frames, 0.25, lambda n: rng.choice([0, 0, 40, -40, 110, -110], n)
    )
    a[..., JUMP] = _held(rng, walkers, frames, 0.25, lambda n: rng.random(n) < 0.15)
    a[..., RUN] = _held(rng, walkers, frames, 0.1, lambda n: rng.random(n) < 0.3)
    return a


def axes(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """One control at a time, held for a second or so: clean evidence of what each does."""
    a = _empty(walkers, frames)
    choice = _held(rng, walkers, frames, 0.045, lambda n: rng.integers(0, 11, n)).astype(int)
    values = [
        (FORWARD, 1), (FORWARD, 1), (FORWARD, -1), (STRAFE, 1), (STRAFE, -1), (YAW, 60),
        (YAW, -60), (YAW, 120), (YAW, -120), (PITCH, 25), (PITCH, -25),
    ]  # fmt: skip
    for k, (channel, value) in enumerate(values):
        a[..., channel] += np.where(choice == k, np.float32(value), 0)
    running = _held(rng, walkers, frames, 0.03, lambda n: rng.random(n) < 0.25)
    a[..., RUN] = running * (a[..., FORWARD] > 0)
    return a


def palindrome(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Goes out and comes back the way it went, again and again: evidence for a memory of places."""
    times = rng.integers(1, 4, walkers)
    leg = np.maximum(1, frames // (2 * times))
    out = wander(rng, walkers, frames, aims)
    turn_only = rng.random(walkers) < 0.4
    out[turn_only, :, FORWARD] = out[turn_only, :, STRAFE] = 0
    still = turn_only[:, None] & (np.abs(out[..., YAW]) < 4)
    out[..., YAW] = np.where(still, 40.0 * rng.choice([-1, 1], walkers)[:, None], out[..., YAW])
    out[..., JUMP] = 0
    phase = np.arange(frames)[None] % (2 * leg[:, None])
    back = phase >= leg[:, None]
    source = np.where(back, 2 * leg[:, None] - 1 - phase, phase)
    a = np.take_along_axis(out, source[..., None], 1)
    undo = np.ones(SPEC.size, np.float32)
    undo[[FORWARD, STRAFE, YAW, PITCH]] = -1
    over = np.arange(frames)[None] >= 2 * (leg * times)[:, None]
    return np.where(over[..., None], 0, np.where(back[..., None], a * undo, a))


def circle(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Walks a loop that ends where it began, facing the way it began."""
    a = _empty(walkers, frames)
    sides = rng.choice([1, 1, 2], walkers)
    rate = 360.0 * sides / (frames / FPS) * rng.choice([-1, 1], walkers)
    a[..., YAW] = np.clip(rate, -180, 180)[:, None]
    a[..., FORWARD] = rng.choice([0.5, 1.0], walkers)[:, None]
    return a


def visit(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Turns to the landmark, walks to it, looks, turns about, walks back and turns to it again."""
    bearing = np.nan_to_num(aims.bearing, nan=0.0)
    distance = np.nan_to_num(aims.distance, nan=30.0)
    runs = rng.random(walkers) < 0.4
    speed = np.where(runs, SPRINT, WALK) / FPS
    turn = np.ceil(np.abs(bearing) / (90 / FPS)).astype(int) + 1
    about = rng.integers(24, 48, walkers)
    pause = rng.integers(4, 24, walkers)
    room = (frames - turn - about - 2 * pause).clip(min=8) // 2
    walk = np.minimum(((distance - 7).clip(min=3) / speed).astype(int), room)
    marks = np.cumsum(np.stack([turn, walk, pause, about, walk, pause, about]), 0)
    t = np.arange(frames)[None]
    part = (t[..., None] >= marks.T[:, None, :]).sum(-1)
    a = _empty(walkers, frames)
    a[..., YAW] = np.where(part == 0, (bearing / turn * FPS)[:, None], 0)
    spin = (180 / about * FPS * np.where(rng.random(walkers) < 0.5, 1, -1))[:, None]
    a[..., YAW] = np.where((part == 3) | (part == 6), spin, a[..., YAW])
    a[..., FORWARD] = (part == 1) | (part == 4)
    a[..., RUN] = runs[:, None] * a[..., FORWARD]
    return a


def play(rng: Rng, walkers: int, frames: int, aims: Aims) -> Array:
    """Keys held for moments, several at a time, as people hold them: steps aside, jumps, looks."""
    a = _empty(walkers, frames)
    a[..., FORWARD] = _held(
        rng, walkers, frames, 0.05, lambda n: rng.choice([1, 1, 1, 0, 0, -1], n)
    )
    a[..., STRAFE] = _held(rng, walkers, frames, 0.06, lambda n: rng.choice([0, 0, 0, 1, -1], n))
    key = _held(rng, walkers, frames, 0.08, lambda n: rng.choice([0, 0, 0, 40, -40, 72, -72], n))
    mouse = _held(rng, walkers, frames, 0.1, lambda n: rng.normal(0, 60, n))
    hand = rng.random(walkers)[:, None] < 0.5
    a[..., YAW] = np.where(hand, _smooth(mouse.astype(np.float32), 5), key)
    a[..., PITCH] = _glances(rng, walkers, frames, 7.0, 8)
    a[..., JUMP] = _held(rng, walkers, frames, 0.1, lambda n: rng.random(n) < 0.2)
    a[..., RUN] = _held(rng, walkers, frames, 0.03, lambda n: rng.random(n) < 0.3)
    return a


POLICIES: dict[str, Callable[[Rng, int, int, Aims], Array]] = {
    "stand": stand,
    "wander": wander,
    "look_around": look_around,
    "axes": axes,
    "palindrome": palindrome,
    "circle": circle,
    "visit": visit,
    "mash": mash,
    "play": play,
}
SHARES: dict[str, float] = {
    "stand": 0.12,
    "wander": 0.26,
    "look_around": 0.12,
    "axes": 0.16,
    "palindrome": 0.14,
    "circle": 0.05,
    "visit": 0.08,
    "mash": 0.07,
}
"""Share of each policy among clips."""
LIVELY: dict[str, float] = {"play": 0.6, "axes": 0.25, "mash": 0.1, "stand": 0.05}
"""Shares where hardly anybody stands still: evidence for keys that SHARES rarely presses."""


def mix(
    rng: Rng,
    walkers: int,
    frames: int,
    aims: Aims | None = None,
    shares: Mapping[str, float] = SHARES,
) -> tuple[Array, list[str]]:
    """Actions [N, T, A] of walkers who each follow a policy drawn by its share, and its name."""
    aims = aims or no_aims(walkers)
    names = list(shares)
    drawn = rng.choice(len(names), walkers, p=np.array(list(shares.values())))
    out = _empty(walkers, frames)
    for k, name in enumerate(names):
        who = np.flatnonzero(drawn == k)
        if len(who):
            part = Aims(bearing=aims.bearing[who], distance=aims.distance[who])
            out[who] = POLICIES[name](rng, len(who), frames, part)
    home = np.array([names[k] not in ("stand", "palindrome") for k in drawn])
    out = _levelled(out, home)
    flat = SPEC.clip(out.reshape(-1, SPEC.size)).reshape(out.shape)
    return flat, [names[k] for k in drawn]
