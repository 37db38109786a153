"""A player as a policy: what her keys give, when the game waits, how she leaves."""

import numpy as np
import pytest

from engine.clock import FakeClock
from engine.hand import COMMANDS, Hand, HandConfig, hand_bindings
from engine.input.bindings import DEFAULT_COMMANDS
from engine.input.events import Command, InputEvent, KeyEvent
from engine.present.api import HudData
from helios_core.actions import WALK_SPEC, ActionSpec, Channel

FPS = 20
PICTURE = np.zeros((4, 6, 3), np.uint8)


class Desk:
    """A window in which events happen at given times."""

    def __init__(self, *events: InputEvent) -> None:
        self.waiting = list(events)
        self.shown: list[HudData] = []
        self.refreshed: list[HudData] = []

    def poll(self, now: float) -> list[InputEvent]:
        due = [event for event in self.waiting if getattr(event, "t", 0.0) <= now]
        self.waiting = [event for event in self.waiting if event not in due]
        return due

    def show(self, frame, hud, overlays) -> None:
        self.shown.append(hud)

    def refresh(self, hud) -> None:
        self.refreshed.append(hud)


def seated(*events: InputEvent) -> tuple[Hand, Desk, FakeClock]:
    clock, desk = FakeClock(), Desk(*events)
    config = HandConfig(spec=WALK_SPEC, fps=FPS)
    return Hand(desk, hand_bindings(WALK_SPEC), config, clock=clock), desk, clock


def test_a_frame_lasts_its_time_and_has_the_keys_of_it() -> None:
    hand, desk, clock = seated(KeyEvent("w", True, 0.06), KeyEvent("w", False, 0.16))
    forward = WALK_SPEC.index("move_forward")
    answers = [hand(PICTURE, frame) for frame in range(5)]
    assert clock.now() == pytest.approx(5 / FPS)
    assert [float(a[forward]) for a in answers] == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert len(desk.shown) == 5 and desk.shown[3].frame == 3


def test_a_slow_game_is_not_hurried_afterwards() -> None:
    hand, _, clock = seated()
    hand(PICTURE, 0)
    clock.sleep_until(10.0)
    hand(PICTURE, 1)
    began = clock.now()
    hand(PICTURE, 2)
    assert clock.now() - began == pytest.approx(1 / FPS)


@pytest.mark.parametrize("leave", [KeyEvent("escape", True, 0.12), Command("quit", 0.12)])
def test_escape_or_the_window_ends_it(leave) -> None:
    hand, _, clock = seated(leave)
    answers = [hand(PICTURE, frame) is None for frame in range(3)]
    assert answers == [False, False, True]
    assert clock.now() < 3 / FPS, "at once, not when the frame is over"


def test_the_game_waits_in_a_pause_and_forgets_its_keys() -> None:
    pause, resume = Command("pause", 0.01), Command("pause", 5.0)
    hand, desk, clock = seated(pause, KeyEvent("w", True, 2.0), resume)
    answer = hand(PICTURE, 0)
    assert clock.now() >= 5.0 and answer is not None and not answer.any()
    assert desk.refreshed and all(hud.paused for hud in desk.refreshed)


def test_keys_held_over_an_episode_do_not_steer_the_next() -> None:
    hand, desk, _ = seated(KeyEvent("w", True, 0.0))
    assert hand(PICTURE, 0).any()
    assert not hand(PICTURE, 0).any()
    assert "episode 2" in desk.shown[-1].messages[0]


def test_only_what_a_game_can_do_is_bound() -> None:
    bindings = hand_bindings(WALK_SPEC, user={"commands": {"rewind": ["r"]}})
    bound = {name for name, inputs in bindings.commands.items() if inputs}
    assert bound == set(COMMANDS) and bound < set(DEFAULT_COMMANDS)


def test_a_channel_without_a_key_is_refused_and_a_mapping_may_name_one() -> None:
    spec = ActionSpec(channels=(Channel(name="steer", kind="axis", low=-1.0, high=1.0),))
    with pytest.raises(ValueError, match="no key plays steer"):
        hand_bindings(spec)
    assert not hand_bindings(spec, game={"channels": {"steer": ["right", "-left"]}}).unbound()
