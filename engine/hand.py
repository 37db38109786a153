"""A hand at a game that is not ours: a window shows it, keys, mouse and pads steer it.

`Hand` is asked once per frame, as any policy: it shows the picture that it is given, waits until
the frame's time is over and answers what the devices asked for meanwhile, or None when the player
leaves, with Escape or by closing the window. A game slower than its frame rate runs slower; no
frame is skipped. Not here: the game (training.worlds.games), recording (training.clips), pygame.

    hand = Hand(window, hand_bindings(spec), HandConfig(spec=spec, fps=20), clock=RealClock())
    values = hand(picture, 0)

H W pixels, A action channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.clock import Clock
from engine.input.bindings import DEFAULT_COMMANDS, Bindings, bindings_from
from engine.input.events import Command, FocusLost, InputEvent, KeyEvent, PromptEntered
from engine.input.mapper import InputMapper
from engine.present.api import HudData, Presenter
from helios_core.actions import ActionSpec

COMMANDS = ("help", "settings", "hud", "pause", "fullscreen")
"""What a window can do for a game that has no prompt and cannot be saved or rewound."""
POLL_SECONDS = 1 / 120
"""Between two looks at the devices, so that each event's time is known well."""
NOTICE_SECONDS = 4


@dataclass(frozen=True, kw_only=True)
class HandConfig:
    """What is played, and how it is told."""

    spec: ActionSpec
    """Channels of the game."""
    fps: int
    """Frames per second of play."""
    name: str = ""
    """The game's, for the HUD."""
    notice: str = "recording: Escape ends it and keeps what there is"
    """Shown while an episode begins."""


def hand_bindings(
    spec: ActionSpec,
    *,
    game: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
) -> Bindings:
    """Defaults under the game's under the player's, without commands of a world; a channel that
    no input drives is a ValueError."""
    bindings = layered_bindings(spec, game=game, user=user)
    if bindings.unbound():
        raise ValueError(
            f"no key plays {', '.join(bindings.unbound())}; name some in the mapping file, as in "
            f"`bindings: {{channels: {{{bindings.unbound()[0]}: [right, -left]}}}}`"
        )
    return bindings


def layered_bindings(
    spec: ActionSpec,
    *,
    game: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
) -> Bindings:
    """The same, whatever no input drives."""
    no_commands = {name: [] for name in DEFAULT_COMMANDS if name not in COMMANDS}
    return bindings_from(spec, pack=game, user=user, scene={"commands": no_commands})


class Hand:
    """A policy whose answers are a player's."""

    def __init__(
        self, window: Presenter, bindings: Bindings, config: HandConfig, *, clock: Clock
    ) -> None:
        self.config = config
        self.mapper = InputMapper(config.spec, bindings, fps=config.fps)
        self._window, self._clock = window, clock
        self._episode = -1
        self._due = clock.now()
        self._paused = self._left = False

    def __call__(self, picture: np.ndarray, frame: int) -> np.ndarray | None:
        """Channel values [A] for the step after a picture uint8 [H, W, 3]; None: she left."""
        if frame == 0:
            self._begin()
        hud = self._hud(frame)
        self._window.show(picture, hud, ())
        self._due = max(self._due + 1 / self.config.fps, self._clock.now())
        self._listen(self._due)
        while self._paused and not self._left:
            self._rest(frame)
        if self._left:
            return None
        return self.mapper.window(self._clock.now(), 1, first_frame=frame).requested[0]

    def _begin(self) -> None:
        """Keys of the episode before do not steer this one."""
        self._episode += 1
        self._due = self._clock.now()
        self._let_go()

    def _let_go(self) -> None:
        """Drop all input, what is held too."""
        self.mapper.feed([FocusLost(self._due)])
        self.mapper.forget(self._due)

    def _listen(self, until: float) -> None:
        """Take events up to a time; at least once, and not after a pause or the end."""
        while True:
            self._take(self._window.poll(self._clock.now()))
            now = self._clock.now()
            if self._left or self._paused or now >= until:
                return
            self._clock.sleep_until(min(until, now + POLL_SECONDS))

    def _rest(self, frame: int) -> None:
        """A frame's time of a pause; what is pressed in it steers nothing."""
        self._window.refresh(self._hud(frame))
        now = self._clock.now()
        self._clock.sleep_until(now + 1 / self.config.fps)
        self._take(self._window.poll(self._clock.now()))
        self._due = self._clock.now()
        self._let_go()

    def _take(self, events: list[InputEvent]) -> None:
        for event in events:
            match event:
                case Command("quit") | KeyEvent("escape", True):
                    self._left = True
                case Command("pause"):
                    self._paused = not self._paused
                case Command() | PromptEntered():
                    pass  # commands of a world; no key gives them here
                case _:
                    self.mapper.feed([event])

    def _hud(self, frame: int) -> HudData:
        seconds = frame / self.config.fps
        notice = f"episode {self._episode + 1}, {self.config.notice}"
        return HudData(
            pack=self.config.name,
            fps=float(self.config.fps),
            frame=frame,
            paused=self._paused,
            recording=True,
            messages=(notice,) if seconds < NOTICE_SECONDS else (),
        )
