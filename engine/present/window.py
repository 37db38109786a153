"""The window of a session: a `Presenter` with pygame.

It owns the screen, the devices and everything that the player sees over the picture, and turns
pygame's events into what the session understands: device events, prompts and commands. Keys of the
window itself (HUD, help, menus, full screen, the prompt line) stay here. Not here: pixels (screen),
panels (hud, menu, prompt_panel), what a command does (engine.session).

    window = Window(WindowConfig()); window.enter_world(world.info, bindings)
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import pygame

from engine.director import PlaySound
from engine.input.bindings import Bindings, bindings_from, write_user_bindings
from engine.input.devices import Devices, key_name
from engine.input.events import (
    Command,
    CommandName,
    DeviceEvent,
    FocusLost,
    InputEvent,
    KeyEvent,
    PadButton,
    PadChanged,
    PromptEntered,
)
from engine.input.names import MOUSE_COUNTS
from engine.input.presses import Presses, input_of
from engine.present import hud as panels
from engine.present.api import HudData, Overlay
from engine.present.held_keys import HeldKeys
from engine.present.layers import Item, Mode, View, drawn_menu, layers, menu_corner
from engine.present.menus import Menus, is_click, wheel_step
from engine.present.navigation import Navigator, Step
from engine.present.overlay import patches
from engine.present.prompt_line import PromptLine
from engine.present.screen import Screen, ScreenConfig
from engine.present.sound import Mixer
from engine.present.start_screen import (
    DemoCard,
    DrawnStart,
    StartScreen,
    columns_for,
    start_picture,
)
from helios_core.actions import ActionSpec
from helios_core.world_api import WorldInfo

HUD_SECONDS = 0.25
"""The HUD's numbers change this often: a number that flickers cannot be read."""
BLINK_SECONDS = 0.5
NOTICE_SECONDS = 4.0
_TO_SESSION: frozenset[str] = frozenset({"pause", "save", "load", "screenshot", "video", "record"})
"""Commands that the session obeys under their own name."""
_DECIDING: frozenset[Step | None] = frozenset({"accept", "back"})
_FOCUS = (pygame.WINDOWFOCUSGAINED, pygame.WINDOWFOCUSLOST)


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How a session is shown."""

    screen: ScreenConfig = field(default_factory=ScreenConfig)
    mouse_look: bool = True
    """The mouse belongs to the world while playing."""
    sound: bool = True
    hud: bool = False
    """Show the HUD from the start."""
    bindings_file: Path | None = None
    """Where the settings keep what the player changes; None keeps nothing."""
    history_file: Path | None = None
    """Where typed prompts are remembered; None forgets them at the end."""


class Window:
    """A `Presenter`."""

    def __init__(
        self, config: WindowConfig, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.config = config
        self.screen = Screen(config.screen)
        self.devices = Devices()
        self.mixer = Mixer(enabled=config.sound)
        pygame.key.stop_text_input()
        self._clock = clock
        self._navigator = Navigator()
        self._held, self._presses = HeldKeys(), Presses()
        self._hud_on, self._help_on = config.hud, False
        self._scene_hud: bool | None = None
        """What the scene wants in place of the player's own choice, until she makes another."""
        self._panel = panels.HudPanel()
        self._notices: list[tuple[str, float]] = []
        self._focused = bool(self.screen.window.focused)
        spec = ActionSpec()
        self._presets: tuple[str, ...] = ()
        self._fps = 1
        self._use_bindings(bindings_from(spec), bindings_from(spec), None)
        self._line = PromptLine(history_file=config.history_file)
        self._begin()

    def _begin(self) -> None:
        """Nothing is open and nothing was shown yet; what the player switched on stays on."""
        self._hud, self._numbers, self._numbers_at = HudData(), HudData(), -1.0
        self._told, self._stirred = self._hud, True
        self._overlays: Sequence[Overlay] = ()
        self._menus: Menus | None = None
        self._paused_here = self._rewinding = False
        self._astray = True
        """The world does not know where the sticks are: all were let go of, or it is a new one."""
        self.mixer.stop()
        self._close_prompt()
        self._redraw()

    def enter_world(
        self,
        info: WorldInfo,
        bindings: Bindings,
        *,
        defaults: Bindings | None = None,
        on_bindings: Callable[[Bindings], None] | None = None,
        presets: Sequence[str] = (),
        hud: bool | None = None,
        title: str = "",
    ) -> None:
        """The world that is played from now on.

        `defaults` are the bindings without the player's own, against which changes are kept;
        `on_bindings` hears of a change (the mapper's `rebind`); `presets` are on the number keys;
        `hud` shows or hides the HUD in this world, None leaves it as the player has it; `title` is
        the window's, the program's own if empty.
        """
        self._scene_hud = hud
        self._offer(presets, title)
        self._fps = info.fps
        self._use_bindings(bindings, defaults or bindings, on_bindings)
        self._line.known = info.known_words
        self._begin()

    def follow_scene(
        self, bindings: Bindings, *, defaults: Bindings, presets: Sequence[str], title: str
    ) -> None:
        """The scene was edited while it is played. Not for while a menu is open (`in_menu`),
        which works on bindings of its own."""
        self._offer(presets, title)
        self._use_bindings(bindings, defaults, self._on_bindings)

    def _offer(self, presets: Sequence[str], title: str) -> None:
        """The prompts on the number keys, and what is played, on the window's frame."""
        self._presets = tuple(dict.fromkeys(presets))[:9]
        self.screen.window.title = title or self.config.screen.title

    @property
    def _shows_hud(self) -> bool:
        return self._hud_on if self._scene_hud is None else self._scene_hud

    @property
    def in_menu(self) -> bool:
        return self._menus is not None

    # ---- Presenter

    @property
    def _mode(self) -> Mode:
        return "menu" if self._menus else "prompt" if self._typing else "play"

    @property
    def driver_seconds(self) -> float:
        return self.screen.driver_seconds

    def poll(self, now: float) -> list[InputEvent]:
        events: list[InputEvent] = []
        for event in pygame.event.get():
            self._stirred = True
            events += self._take(event, now)
        if self._astray and self._focused and self._mode == "play":
            # A stick that is held still says nothing by itself.
            events += self.devices.read_axes(now)
            self._astray = False
        for event in events:
            if isinstance(event, PadChanged):
                self._say(f"{event.name} {'connected' if event.present else 'disconnected'}")
        self._hold_mouse()
        return events

    def show(self, frame: np.ndarray, hud: HudData, overlays: Sequence[Overlay]) -> None:
        self.screen.set_frame(frame)
        self._overlays = overlays
        self._learn(hud)
        self._draw(layers(self._view()))

    def refresh(self, hud: HudData) -> None:
        # Most ticks bring neither news nor events, and looking for what changed has its price.
        changing = self._stirred or self._typing or self._notices or self._shown_keys is None
        if hud is self._told and not changing:
            return
        self._stirred = False
        self._learn(hud)
        plan = layers(self._view())
        if [(item.name, item.key) for item in plan] != self._shown_keys:
            self._draw(plan)

    def play_sound(self, sound: PlaySound) -> None:
        try:
            self.mixer.play(sound)
        except ValueError as error:
            self._say(str(error))  # a cue that is missing must not end the play

    def hush(self) -> None:
        self.mixer.stop()

    def loading(self, what: str, fraction: float) -> None:
        """Draw the loading screen; events wait for the next poll."""
        pygame.event.pump()
        self.screen.measure()
        self.screen.forget_frame()
        size = self.screen.size
        self.screen.put(
            "loading",
            (what, round(fraction, 3)),
            lambda: panels.loading_screen(self.screen.theme, size, what, fraction),
            lambda _: (0, 0),
        )
        self.screen.present()
        self._redraw()

    def close(self) -> None:
        _hold_pointer(False)
        self.mixer.close()
        self.devices.close()
        self.screen.close()

    # ---- start screen

    def choose(self, cards: Sequence[DemoCard]) -> str | None:
        """Let the player pick a demo; its `value`, or None when she leaves."""
        state = StartScreen(tuple(cards))
        self.screen.window.title = self.config.screen.title
        self.mixer.stop()
        self._give_mouse(to_world=False)
        pygame.key.set_repeat(350, 90)
        while not state.over:
            look, size = self.screen.theme, self.screen.size
            state = replace(state, columns=columns_for(look, size[0]))
            drawn = start_picture(look, size, state)
            self.screen.forget_frame()
            self.screen.put("start", state, lambda d=drawn: d.picture, lambda _: (0, 0))
            self.screen.present()
            for event in [pygame.event.wait(250), *pygame.event.get()]:
                state = self._start_event(event, state, drawn)
        pygame.key.set_repeat()
        self._redraw()
        return state.chosen

    def _start_event(
        self, event: pygame.event.Event, state: StartScreen, drawn: DrawnStart
    ) -> StartScreen:
        again = self._held.repeats(event)
        if _is_close(event):
            return state.leave()
        if event.type in _FOCUS:
            self._focus(event, self._clock())
            return state
        if self._window_event(event) or (again and _decides(event)):
            return state
        if event.type == pygame.MOUSEMOTION or is_click(event):
            card = drawn.card_at(self.screen.to_pixels(event.pos))
            state = state.point(card)
            return state.take() if is_click(event) and card is not None else state
        wheel = wheel_step(event)
        if wheel is not None:
            return state.step(wheel)
        for device_event in self.devices.translate(event, self._clock()):
            step = self._navigator.step(device_event)
            state = state.step(step) if step else state
        return state

    # ---- events

    def _take(self, event: pygame.event.Event, now: float) -> list[InputEvent]:
        again = self._held.repeats(event)
        if _is_close(event):
            return [Command("quit", now)]
        if event.type in _FOCUS:
            return self._focus(event, now)
        if self._window_event(event) or (again and not self._may_repeat(event)):
            return []
        if self._hud.failure:
            return self._failure_event(event, now)
        if self._menus is not None:
            return self._menu_event(self._menus, event, now)
        return self._prompt_event(event, now) if self._typing else self._play_event(event, now)

    def _focus(self, event: pygame.event.Event, now: float) -> list[InputEvent]:
        """The focus came or went, whatever is on the screen."""
        self._focused = event.type == pygame.WINDOWFOCUSGAINED
        return [] if self._focused else self._let_go(now)

    def _may_repeat(self, event: pygame.event.Event) -> bool:
        """Whether a key that is held does it again: editing and moving about, but nothing that
        opens or ends a screen, answers a settings row, or is the world's."""
        waits = self._menus is not None and self._menus.waiting
        return self._mode != "play" and not waits and not _decides(event)

    def _window_event(self, event: pygame.event.Event) -> bool:
        """Events of the window's surface, in every mode."""
        if event.type in (pygame.WINDOWSIZECHANGED, pygame.WINDOWRESIZED):
            self.screen.measure()
        elif event.type in (pygame.RENDER_TARGETS_RESET, pygame.RENDER_DEVICE_RESET):
            self.screen.lose_textures()
        elif event.type not in (pygame.WINDOWEXPOSED, pygame.VIDEOEXPOSE, pygame.WINDOWSHOWN):
            return False
        self._redraw()
        return True

    def _play_event(self, event: pygame.event.Event, now: float) -> list[InputEvent]:
        """To the world, unless the input gives a command; a mouse that is not the world's may."""
        out: list[InputEvent] = []
        for_world = self.devices.translate(event, now)
        for change in for_world or self.devices.mouse_press(event, now):
            name = input_of(change)
            command = self.bindings.command(name) if name else None
            if command is not None:
                threshold = self.bindings.tuning.trigger_threshold
                for down in self._presses.states(change, threshold=threshold):
                    out += self._obey(command, down, now)
            elif for_world:
                out.append(change)
        return out

    def _obey(self, command: str, down: bool, now: float) -> list[InputEvent]:
        """A key of the window or of the session."""
        if command == "rewind":
            self._rewinding = down
            return [Command("rewind_start" if down else "rewind_stop", now)]
        if not down:
            return []
        if command in _TO_SESSION:
            return [Command(cast(CommandName, command), now)]
        if command.startswith("preset_"):
            number = int(command.removeprefix("preset_"))
            known = number <= len(self._presets)
            return [PromptEntered(self._presets[number - 1], now)] if known else []
        return self._own_command(command, now)

    def _own_command(self, command: str, now: float) -> list[InputEvent]:
        if command == "hud":
            self._hud_on, self._scene_hud = not self._shows_hud, None
        elif command == "help":
            self._help_on = not self._help_on
        elif command == "fullscreen":
            self.screen.toggle_fullscreen()
        elif command == "prompt":
            return self._open_prompt(now)
        elif command == "menu":
            return self._open_menu(now, settings=False)
        elif command == "settings":
            return self._open_menu(now, settings=True)
        return []

    def _let_go(self, now: float) -> list[InputEvent]:
        """Release every key, and end a rewind."""
        self._presses.forget()
        self._astray = True
        out: list[InputEvent] = [FocusLost(now)]
        if self._rewinding:
            self._rewinding = False
            out.append(Command("rewind_stop", now))
        return out

    def _failure_event(self, event: pygame.event.Event, now: float) -> list[InputEvent]:
        steps = [self._navigator.step(e) for e in self.devices.translate(event, now)]
        return [Command("quit", now)] if {"back", "accept"} & set(steps) else []

    # ---- the prompt line

    def _open_prompt(self, now: float) -> list[InputEvent]:
        self._typing = True
        self._line.open()
        pygame.key.set_repeat(350, 35)
        pygame.key.start_text_input()
        return self._let_go(now)

    def _close_prompt(self) -> None:
        self._typing = False
        pygame.key.stop_text_input()
        pygame.key.set_repeat()

    def _prompt_event(self, event: pygame.event.Event, now: float) -> list[InputEvent]:
        if event.type == pygame.TEXTINPUT:
            return self._typed(event.text, now)
        if event.type == pygame.TEXTEDITING:
            self._line.compose(event.text)
        elif event.type == pygame.KEYDOWN:
            return self._prompt_key(event, now)
        else:
            changes = self.devices.translate(event, now)
            if any(self._navigator.step(e) == "back" for e in changes if _is_pad(e)):
                self._close_prompt()
            return [e for e in changes if isinstance(e, PadChanged)]
        return []

    def _typed(self, text: str, now: float) -> list[InputEvent]:
        """A number on an empty line is a preset; anything else is text."""
        if not self._line.text and text.isdecimal() and 1 <= int(text) <= len(self._presets):
            self._close_prompt()
            return [PromptEntered(self._presets[int(text) - 1], now)]
        self._line.insert(text)
        return []

    def _prompt_key(self, event: pygame.event.Event, now: float) -> list[InputEvent]:
        ctrl = bool(event.mod & (pygame.KMOD_CTRL | pygame.KMOD_GUI))
        # Windows says Ctrl for AltGr too, with which many layouts write letters.
        ctrl = ctrl and not event.mod & (pygame.KMOD_RALT | pygame.KMOD_MODE)
        name = key_name(event.key, event.scancode)
        if ctrl and name == "v":
            self._line.insert(_clipboard())
            return []
        told = self._line.problem
        done = self._line.key(name, ctrl=ctrl)
        if self._line.problem not in ("", told):
            self._say(self._line.problem)
        if done is None:
            return []
        self._close_prompt()
        return [PromptEntered(done.text, now)] if done.text else []

    # ---- menus

    def _open_menu(self, now: float, *, settings: bool) -> list[InputEvent]:
        out = self._let_go(now)
        if not self._hud.paused:
            self._paused_here = True
            out.append(Command("pause", now))
        self._menus = Menus(self.bindings, self._defaults, settings=settings)
        pygame.key.set_repeat(350, 90)
        return out

    def _close_menu(self, now: float) -> list[InputEvent]:
        self._menus = None
        pygame.key.set_repeat()
        paused, self._paused_here = self._paused_here, False
        return [Command("pause", now)] if paused else []

    def _menu_event(self, menus: Menus, event: pygame.event.Event, now: float) -> list[InputEvent]:
        changes = self.devices.translate(event, now)
        out: list[InputEvent] = [e for e in changes if isinstance(e, PadChanged)]
        if menus.waiting:
            menus.capture(changes or self.devices.mouse_press(event, now))
        else:
            choice = menus.take(event, changes, self._row_at)
            if choice is not None:
                out += self._close_menu(now)
                self._help_on = self._help_on or choice == "help"
            if choice in ("reset", "quit"):
                out.append(Command(choice, now))
        if menus.bindings is not self.bindings:
            self._change_bindings(menus.bindings)
        return out

    def _row_at(self, pos: tuple[int, int]) -> int | None:
        view = self._view()
        assert view.menu is not None
        (x, y), (left, top) = self.screen.to_pixels(pos), menu_corner(view, view.menu)
        return drawn_menu(view, view.menu).row_at((x - left, y - top))

    # ---- bindings

    def _use_bindings(
        self,
        bindings: Bindings,
        defaults: Bindings,
        on_bindings: Callable[[Bindings], None] | None,
    ) -> None:
        self.bindings, self._defaults, self._on_bindings = bindings, defaults, on_bindings
        bound = [b.input for inputs in bindings.channels.values() for b in inputs]
        self._mouse_drives = any(name in MOUSE_COUNTS for name in bound)

    def _change_bindings(self, bindings: Bindings) -> None:
        """In force at once, and kept in the player's file if that can be read and written."""
        before = self.bindings
        self._use_bindings(bindings, self._defaults, self._on_bindings)
        if self._on_bindings is not None:
            self._on_bindings(bindings)
        if self.config.bindings_file is None:
            return
        try:
            write_user_bindings(self.config.bindings_file, before, bindings, self._defaults)
        except (OSError, ValueError) as error:
            self._say(f"this change is not kept: {error}")

    def _hold_mouse(self) -> None:
        """The mouse is the world's while playing, the player's while anything else is open."""
        plays = (
            self.config.mouse_look
            and self._mode == "play"
            and self._focused
            and not (self._hud.paused or self._hud.failure)
        )
        self._give_mouse(to_world=plays)

    def _give_mouse(self, *, to_world: bool) -> None:
        self.devices.mouse_plays = to_world
        look = to_world and self._mouse_drives  # the pointer stays where its motion does nothing
        if look != self.devices.mouse_look:
            self.devices.mouse_look = look
            _hold_pointer(look)
            pygame.mouse.set_visible(not look)

    # ---- drawing

    def _learn(self, hud: HudData) -> None:
        """Take over the state; the HUD's numbers only now and then."""
        if hud.paused != self._hud.paused:
            self.mixer.pause(hud.paused)
        self._told, now = hud, self._clock()
        if self._notices:
            self._notices = [(text, until) for text, until in self._notices if until > now]
            hud = replace(hud, messages=(*hud.messages, *(text for text, _ in self._notices)))
        self._hud = hud
        if now - self._numbers_at >= HUD_SECONDS:
            self._numbers, self._numbers_at = hud, now

    def _view(self) -> View:
        return View(
            look=self.screen.theme,
            size=self.screen.size,
            mode=self._mode,
            hud=self._hud,
            numbers=self._numbers,
            hud_on=self._shows_hud,
            panel=self._panel,
            help_on=self._help_on,
            fps=self._fps,
            bindings=self.bindings,
            presets=self._presets,
            line=self._line,
            caret=int(self._clock() / BLINK_SECONDS) % 2 == 0,
            menu=self._menus.menu if self._menus else None,
        )

    def _say(self, text: str) -> None:
        """A line of the window's own, beside the session's messages."""
        self._notices = [*self._notices[-2:], (text, self._clock() + NOTICE_SECONDS)]

    def _redraw(self) -> None:
        """Draw at the next refresh although nothing seems to have changed."""
        self._shown_keys: list[tuple[str, object]] | None = None

    def _draw(self, plan: list[Item]) -> None:
        area = self.screen.frame_area()
        self.screen.put_patches(patches(self._overlays, area[2], area[3]), area)
        for item in plan:
            self.screen.put(*item)
        self.screen.present()
        self._shown_keys = [(item.name, item.key) for item in plan]


def _is_close(event: pygame.event.Event) -> bool:
    return event.type in (pygame.QUIT, pygame.WINDOWCLOSE)


def _decides(key: pygame.event.Event) -> bool:
    """Whether a key takes what is chosen, or leaves."""
    return Navigator().step(KeyEvent(key_name(key.key, key.scancode), True, 0.0)) in _DECIDING


def _is_pad(event: DeviceEvent) -> bool:
    return isinstance(event, PadButton)


def _hold_pointer(hold: bool) -> None:
    """Endless motion with no pointer. pygame warns that it wants `display.set_mode`, which would
    forbid the renderer; the call works, and pygame-ce is pinned below 3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pygame.mouse.set_relative_mode(hold)


def _clipboard() -> str:
    try:
        return pygame.scrap.get_text()
    except pygame.error:
        return ""  # an empty clipboard is an error to SDL
