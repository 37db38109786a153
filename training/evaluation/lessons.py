"""What judges are taught and examined with: true pictures, and which labels can be seen in them.

A label that leaves no trace is not asked: running while standing, jumping in the air, walking
against a rock or with the ground out of view, a look too slow to shift a pixel, a biome behind fog,
weather on its way. Actions are asked in fair weather alone: drops and flakes before the camera move
more than the ground does. Not here: the judges (judges) and what they look like inside (networks).

N clips, F frames, A channels, H W pixels.
"""

from dataclasses import dataclass

import numpy as np

from training.evaluation.oracle import HELD_OUT_SEEDS
from training.trainer.progress import Progress
from training.worlds.wilds import biomes, episodes, facts, weather
from training.worlds.wilds.physics import SPRINT, WALK
from training.worlds.wilds.spec import FORWARD, FPS, JUMP, PITCH, RUN, SPEC, STRAFE, YAW
from training.worlds.wilds.world import Wilds, WildsConfig

QUESTIONS: dict[str, tuple[str, ...]] = {
    "biome": tuple(biomes.NAMES),
    "time": ("night", "twilight", "day"),
    "weather": tuple(weather.NAMES),
}
"""What the classifier is asked. Dawn looks like dusk and morning like afternoon to a camera that
does not know where east is: they are one answer each."""
SEEN_AS = {"dawn": "twilight", "dusk": "twilight", "morning": "day", "noon": "day",
           "afternoon": "day"}  # fmt: skip
LOOK_THRESHOLD = 0.03
"""Share of a look axis's range from which on a look counts as one."""
PUSH_THRESHOLD = 0.5
"""The same for walking and buttons."""
AMBIGUOUS = 2.0
"""Looks between none and this many thresholds are not asked."""
FAIR = ("clear", "cloudy")
"""Weathers in which actions are read."""
GROUND_BELOW = 8.0
"""Degrees up; a camera that looks higher has too little ground in view to tell how it walks."""
LEAP = 0.1
"""Metres up or down in a frame that walking does not make."""
HOLD = 8
"""Frames for which a pushed channel is held."""
EDGE_HOURS = 0.5
"""Nearer than this to the end of a part of the day, its name is not asked."""


@dataclass(frozen=True, kw_only=True)
class Walks:
    """Pictures of walks and what was done."""

    pictures: np.ndarray
    """uint8 [N, F, H, W, 3]."""
    actions: np.ndarray
    """float32 [N, F, A]; action t led to picture t."""
    shown: np.ndarray
    """bool [N, F, A]: the channel's value leaves a trace in picture t."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Single pictures and what is true of them."""

    pictures: np.ndarray
    """uint8 [S, H, W, 3]."""
    labels: dict[str, np.ndarray]
    """Question to answers [S]; -1 where it is not asked."""


def answer_of(question: str, fact: str) -> int:
    """Index of the answer that a fact (such as the time "dawn") is seen as."""
    return QUESTIONS[question].index(SEEN_AS.get(fact, fact))


def biome_is_hidden(time: str, weather: str) -> bool:
    """Whether nobody could tell the biome: behind fog, or behind drops and flakes by night."""
    return weather == "fog" or (time == "night" and weather in ("rain", "storm", "snow"))


def fair(count: int) -> tuple[str, ...]:
    """A fair weather for each of `count` worlds; neighbours share one."""
    return tuple(FAIR[i // 4 % len(FAIR)] for i in range(count))


def pushes(rng: np.random.Generator, walkers: int, frames: int, hold: int = 16) -> np.ndarray:
    """Every channel pushed both ways for `hold` frames at a time, alone and together: [N, F, A]."""
    values = np.zeros((walkers, frames, SPEC.size), np.float32)
    for start in range(0, frames, hold):
        for i, channel in enumerate(SPEC.channels):
            if channel.unit:
                push = rng.choice([-0.4, -0.2, 0, 0.2, 0.4], walkers) * channel.scale
                push = push * (0.4 if channel.name == "look_pitch" else 1.0)
            elif channel.kind == "axis":
                push = rng.choice([-1.0, 0.0, 1.0], walkers)
            else:
                push = (rng.random(walkers) < 0.3).astype(np.float32)
            values[:, start : start + hold, i] = push[:, None]
    return values


def visible(actions: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Which channels' values can be seen, bool [..., F, A].

    From actions [..., F, A] and the true poses [..., F + 1, 6] before and after each.
    """
    step = np.diff(poses, axis=-2)
    turn = (step[..., 4] + 180) % 360 - 180
    heading = np.deg2rad(poses[..., :-1, 4] + turn / 2)
    east, north = step[..., 0] * FPS, step[..., 1] * FPS
    pace = {
        FORWARD: east * np.sin(heading) + north * np.cos(heading),
        STRAFE: east * np.cos(heading) - north * np.sin(heading),
    }
    shown = np.ones(actions.shape, bool)
    for channel, speed in pace.items():
        told = actions[..., channel]
        moves = np.sign(told) * speed > 0.35 * WALK
        rests = np.abs(speed) < 0.2 * WALK
        shown[..., channel] = np.where(told == 0, rests, moves & (np.abs(told) >= PUSH_THRESHOLD))
    for channel, moved in ((YAW, turn), (PITCH, step[..., 5])):
        told = actions[..., channel]
        faint = AMBIGUOUS * LOOK_THRESHOLD * SPEC.channels[channel].scale
        obeyed = np.abs(moved * FPS - told) < 0.3 * np.abs(told) + 0.5
        shown[..., channel] = obeyed & ((told == 0) | (np.abs(told) >= faint))
    # What walking does is seen on the ground, and a leap moves the ground more than a step does.
    hidden = (poses[..., 1:, 5] > GROUND_BELOW) | (np.abs(step[..., 2]) > LEAP)
    shown[..., [FORWARD, STRAFE]] &= ~hidden[..., None]
    speed = np.hypot(east, north)
    runs = actions[..., RUN] > PUSH_THRESHOLD
    between = (WALK + SPRINT) / 2
    shown[..., RUN] = np.where(runs, speed > between, (speed > 0.6 * WALK) & (speed < between))
    shown[..., RUN] &= ~hidden
    leaps = step[..., 2] > 0.15
    shown[..., JUMP] = (actions[..., JUMP] <= PUSH_THRESHOLD) | leaps
    return shown


def steady(actions: np.ndarray, frames: int = 4) -> np.ndarray:
    """Which channels could be seen in a world without rocks and slopes, bool [..., F, A].

    For generated worlds whose true poses nobody knows: clear pushes, held for some frames.
    """
    scale = np.array([c.scale for c in SPEC.channels], np.float32)
    least = np.array([AMBIGUOUS * LOOK_THRESHOLD if c.unit else PUSH_THRESHOLD
                      for c in SPEC.channels])  # fmt: skip
    way = np.sign(actions)
    shown = (actions == 0) | (np.abs(actions) >= least * scale)
    for back in range(1, frames):
        same = np.ones(actions.shape, bool)
        same[..., back:, :] = way[..., back:, :] == way[..., :-back, :]
        shown &= same
    moves = (np.abs(actions[..., [FORWARD, STRAFE]]) >= PUSH_THRESHOLD).any(-1)
    shown[..., RUN] &= moves
    return shown


def walks(
    count: int, frames: int, seed: int, *, height: int, width: int, sight: float = 4.0
) -> Walks:
    """A quarter of the clips is walked as people walk, the rest pushed channel by channel.

    Clips whose darkest or mistiest view has a luma spread under `sight` show nothing at all.
    """
    seeds = [_lesson_seed(seed, i) for i in range(count)]
    wilds = Wilds(seeds, height, width, config=WildsConfig(weathers=fair(count)))
    people, _ = episodes.walks(wilds, seeds, episodes.Plan(frames=3 * frames, seed=seed))
    actions = people[:, frames : 2 * frames].copy()
    pushed = np.arange(count) % 4 > 0
    actions[pushed] = pushes(np.random.default_rng([seed, 17]), int(pushed.sum()), frames, HOLD)
    pictures = np.empty((count, frames, height, width, 3), np.uint8)
    poses = np.empty((count, frames + 1, 6))
    poses[:, 0] = wilds.poses()
    progress = Progress(f"walking {count} worlds", frames)
    for t in range(frames):
        wilds.step(actions[:, t])
        pictures[:, t] = wilds.render().cpu().numpy()
        poses[:, t + 1] = wilds.poses()
        progress.update(t + 1)
    progress.close(f"{frames} frames each")
    shown = visible(actions, poses)
    spread = pictures[:, ::4].astype(np.float32).mean(-1).std((2, 3)).min(1)
    shown[spread < sight] = False
    return Walks(pictures=pictures, actions=actions, shown=shown)


def views(count: int, seed: int, *, height: int, width: int, every: int = 30) -> Views:
    """Three pictures of each of `count` worlds, `every` frames apart."""
    seeds = [_lesson_seed(seed, i) for i in range(count)]
    wilds = Wilds(seeds, height, width)
    actions, _ = episodes.walks(wilds, seeds, episodes.Plan(frames=2 * every + 1, seed=seed))
    pictures, labels = [], []
    progress = Progress(f"looking at {count} worlds", 2 * every + 1)
    for t in range(2 * every + 1):
        wilds.step(actions[:, t])
        if t % every == 0:
            pictures.append(wilds.render().cpu().numpy())
            labels += _asked(wilds)
        progress.update(t + 1)
    progress.close()
    return Views(
        pictures=np.concatenate(pictures),
        labels={q: np.array([row[q] for row in labels]) for q in QUESTIONS},
    )


def _asked(wilds: Wilds) -> list[dict[str, int]]:
    """The right answers for each world now, -1 where the picture cannot tell."""
    body, land = wilds.state.body, wilds.land
    here = body.feet * 0
    blend = land.ground(land.anchor(body.x, body.z), here, here).blend.cpu().numpy()
    out = []
    for known, mixed in zip(wilds.facts(), blend, strict=True):
        row = {q: answer_of(q, known[q]) for q in QUESTIONS}
        if abs(mixed - 0.5) < 0.3 or biome_is_hidden(known["time"], known["weather"]):
            row["biome"] = -1
        if known["weather"] != known["weather_target"]:
            row["weather"] = -1
        if any(abs(known["hour"] - end) < EDGE_HOURS for name, end in facts.TIMES[:-1]
               if name not in ("morning", "noon")):  # fmt: skip
            row["time"] = -1
        out.append(row)
    return out


def _lesson_seed(seed: int, i: int) -> int:
    """None of the oracle's, nor of a shipped recipe's."""
    return HELD_OUT_SEEDS // 2 + 10_000 * seed + i
