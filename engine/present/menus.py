"""The pause menu and the settings, while one of them is open.

`Menus` takes steps, clicks and the inputs that a settings row waits for, and says what was chosen.
Not here: what choosing does to the session (engine.present.window), drawing (menu, layers).
"""

from collections.abc import Callable, Iterable
from typing import Literal, cast

import pygame

from engine.input.bindings import Bindings
from engine.input.events import DeviceEvent
from engine.present.menu import Menu, Row
from engine.present.navigation import Navigator, Step
from engine.present.settings import Settings

Position = tuple[int, int]
Choice = Literal["resume", "help", "reset", "quit"]
MENU = Menu(
    "Paused",
    (
        Row(name="resume", text="Go on"),
        Row(name="settings", text="Settings"),
        Row(name="help", text="Key help"),
        Row(name="reset", text="Start again"),
        Row(name="quit", text="Leave"),
    ),
    hints=(("↑ ↓", "choose"), ("Enter", "do it"), ("Esc", "go on")),
)
RESTING = 4
"""Window units that a pointer moves before it points at a row: closing a grab puts it somewhere."""


def is_click(event: pygame.event.Event) -> bool:
    """The left button. No other one points: pygame sends the wheel as buttons 4 and 5 too."""
    return event.type == pygame.MOUSEBUTTONDOWN and event.button == 1


def wheel_step(event: pygame.event.Event) -> Step | None:
    """Where the wheel goes in a list; a notch to the side goes nowhere."""
    if event.type != pygame.MOUSEWHEEL or not event.y:
        return None
    return "up" if event.y > 0 else "down"


class Menus:
    """Which menu is open, and where the player is in it."""

    def __init__(self, bindings: Bindings, defaults: Bindings, *, settings: bool) -> None:
        self.bindings = bindings
        """Changes with the settings."""
        self._defaults = defaults
        self._menu = MENU
        self._settings = Settings(bindings, defaults) if settings else None
        self._navigator = Navigator()
        self._pointer: Position | None = None

    @property
    def menu(self) -> Menu:
        """What to draw."""
        return self._settings.menu if self._settings else self._menu

    @property
    def waiting(self) -> bool:
        """A settings row waits for an input, whatever it is."""
        return self._settings is not None and self._settings.waiting

    def capture(self, changes: Iterable[DeviceEvent]) -> None:
        """The next press or push becomes the waiting row's input."""
        for change in changes:
            if self._settings is not None and self.waiting:
                self._set(self._settings.capture(change))

    def take(
        self,
        event: pygame.event.Event,
        changes: Iterable[DeviceEvent],
        row_at: Callable[[Position], int | None],
    ) -> Choice | None:
        """An event; what was chosen ends the menu. `row_at` finds the row under the mouse."""
        for step in (self._mouse(event, row_at), *map(self._navigator.step, changes)):
            if step == "back":
                return "resume"
            choice = self._step(step) if step else None
            if choice is not None:
                return choice
        return None

    def _step(self, step: Step) -> Choice | None:
        if self._settings is not None:
            self._set(self._settings.step(step))
            return None
        if step != "accept":
            self._menu = self._menu.move(step)
            return None
        if self._menu.row.name == "settings":
            self._settings, self._pointer = Settings(self.bindings, self._defaults), None
            return None
        return cast(Choice, self._menu.row.name)

    def _set(self, settings: Settings) -> None:
        self._settings, self.bindings = settings, settings.bindings

    def _mouse(
        self, event: pygame.event.Event, row_at: Callable[[Position], int | None]
    ) -> Step | None:
        """Moving chooses the row under the mouse, a click takes it, the wheel moves on."""
        clicked = is_click(event)
        if not clicked and (event.type != pygame.MOUSEMOTION or self._is_resting(event.pos)):
            return wheel_step(event)
        row = row_at(event.pos)
        if row is None or not self.menu.rows[row].name:
            return None
        if self._settings is not None:
            self._set(self._settings.point(row))
        else:
            self._menu = self._menu.point(row)
        return "accept" if clicked else None

    def _is_resting(self, pos: Position) -> bool:
        """A pointer that the system put back when the menu opened is not a hand that points."""
        first = self._pointer = self._pointer or pos
        return max(abs(pos[0] - first[0]), abs(pos[1] - first[1])) < RESTING
