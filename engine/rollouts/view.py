"""Look at recordings: played, scrubbed, actions drawn below, one or two side by side.

`Viewer` is the picture and what the keys do to it; `view` runs it in any `Window`. Not here:
the window itself (engine.present), which the command line opens.

    viewer = Viewer([(RolloutDataset.open("runs/first"), 0)]); picture = viewer.picture()

H W pixels, A action channels.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from engine.input.events import Command, InputEvent, KeyEvent
from engine.present.api import HudData, Overlay
from engine.rollouts.reader import RolloutDataset

BLOCK = 32
"""Frames decoded at a time while playing."""
DARK, TRACK, APPLIED, REQUESTED = (18, 18, 22), (60, 60, 70), (255, 200, 80), (90, 160, 255)


class _Reel:
    """One episode with the block of frames around the one that is shown."""

    def __init__(self, data: RolloutDataset, episode: int) -> None:
        self.data, self.episode = data, episode
        self.columns = data.columns(episode)
        self.length = data.episodes[episode].length
        self._block: tuple[int, np.ndarray] = (-BLOCK, np.zeros(0))

    def frame(self, number: int) -> np.ndarray:
        first = number // BLOCK * BLOCK
        if self._block[0] != first:
            count = min(BLOCK, self.length - first)
            self._block = (first, self.data.read(self.episode, first, count).frames)
        return self._block[1][number - first]

    def values(self, name: str, number: int) -> np.ndarray:
        """Actions of a frame, [A], each over its channel's largest magnitude."""
        scale = np.array([c.scale for c in self.data.spec.actions.channels])
        return self.columns[name][number] / scale if name in self.columns else np.zeros(0)


class Viewer:
    """Where in which episodes one looks."""

    def __init__(self, shown: Sequence[tuple[RolloutDataset, int]]) -> None:
        self._reels = [_Reel(data, episode) for data, episode in shown]
        self.number, self.paused, self.ended = 0, False, False

    @property
    def fps(self) -> int:
        return self._reels[0].data.spec.fps

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the bars below the first recording."""
        return self._reels[0].data.spec.actions.names

    @property
    def length(self) -> int:
        """Frames of the longest episode."""
        return max(reel.length for reel in self._reels)

    def tick(self) -> None:
        """A frame's time has passed."""
        if not self.paused:
            self.number = (self.number + 1) % self.length

    def take(self, event: InputEvent) -> None:
        """What a key does."""
        if isinstance(event, Command) and event.name == "quit":
            self.ended = True
        elif isinstance(event, Command) and event.name == "pause":
            self.paused = not self.paused
        elif isinstance(event, KeyEvent) and event.down:
            self._key(event.name)

    def _key(self, name: str) -> None:
        steps = {"left": -1, "right": 1, "page up": -self.fps, "page down": self.fps}
        places = {"home": 0, "end": self.length - 1}
        if name in steps or name in places:
            self.paused = True
            wanted = places.get(name, self.number + steps.get(name, 0))
            self.number = min(self.length - 1, max(0, wanted))
        elif name == "space":
            self.paused = not self.paused
        elif name in ("up", "down"):
            self._turn(1 if name == "down" else -1)

    def _turn(self, step: int) -> None:
        """The next or previous episode of every recording."""
        self._reels = [
            _Reel(reel.data, (reel.episode + step) % len(reel.data.episodes))
            for reel in self._reels
        ]
        self.number = 0

    def picture(self) -> np.ndarray:
        """uint8 [H, W, 3]: the frames, below each its actions, at the foot where in time one is."""
        columns = [self._column(reel) for reel in self._reels]
        height = max(column.shape[0] for column in columns)
        gap = np.full((height, 4, 3), DARK, np.uint8)
        row = []
        for column in columns:
            foot = np.full((height - len(column), column.shape[1], 3), DARK, np.uint8)
            row += [gap, np.concatenate([column, foot])]
        picture = np.concatenate(row[1:], 1)
        bar = np.full((4, picture.shape[1], 3), TRACK, np.uint8)
        bar[:, : max(1, round((self.number + 1) / self.length * bar.shape[1]))] = APPLIED
        return np.concatenate([picture, bar])

    def _column(self, reel: _Reel) -> np.ndarray:
        number = min(self.number, reel.length - 1)
        frame = reel.frame(number)
        strips = [frame]
        pairs = zip(
            reel.values("action", number), reel.values("action.requested", number), strict=True
        )
        for applied, requested in pairs:
            strips.append(_bar(frame.shape[1], float(applied), float(requested)))
        return np.concatenate(strips)

    @property
    def hud(self) -> HudData:
        """Numbers for the window's HUD."""
        reel = self._reels[0]
        number = min(self.number, reel.length - 1)
        rows = reel.columns
        return HudData(
            pack=str(reel.data.episodes[reel.episode].header.source.get("pack", "")),
            fps=float(self.fps),
            age_ms=float(rows["frame.age_ms"][number]),
            prompt=str(rows["prompt"][number]),
            prompt_weight=float(rows["prompt.weight"][number]),
            chunk=int(rows["chunk"][number]),
            frame=number,
            seed=int(rows["seed"][number]),
            paused=self.paused,
        )


def _bar(width: int, applied: float, requested: float) -> np.ndarray:
    """A strip per channel: the applied value to the right or left of the middle, the requested
    one as a thin line above it."""
    strip = np.full((5, width, 3), DARK, np.uint8)
    strip[1:, width // 2] = TRACK
    drawn = ((slice(2, 5), applied, APPLIED), (slice(1, 2), requested, REQUESTED))
    for rows, value, colour in drawn:
        left, right = sorted((width // 2, width // 2 + round(value * (width // 2 - 1))))
        strip[rows, left:right] = colour
    return strip


class Window(Protocol):
    """The part of `engine.present.api.Presenter` that a viewer needs."""

    def poll(self, now: float) -> list[InputEvent]: ...

    def show(self, frame: np.ndarray, hud: HudData, overlays: Sequence[Overlay]) -> None: ...


def view(
    viewer: Viewer,
    presenter: Window,
    *,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show until the window is closed."""
    due = now()
    while True:
        for event in presenter.poll(now()):
            viewer.take(event)
        if viewer.ended:
            return
        presenter.show(viewer.picture(), viewer.hud, ())
        due = max(due + 1 / viewer.fps, now())
        sleep(max(0.0, due - now()))
        viewer.tick()
