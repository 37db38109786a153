"""The windowed half of `helios play`: start screen, window, session after session.

A scene may lead to another, and a demo that ends leads back to the start screen. Not here:
arguments (engine.cli.play), the window itself (engine.present.window).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.clock import RealClock
from engine.input.events import InputEvent, PromptEntered
from engine.latch import LatchConfig
from engine.loop import Loop, LoopConfig, Outcome
from engine.opening import Opening, OpeningConfig, hands_for, open_play
from engine.present.overlay import compose
from engine.present.screen import ScreenConfig
from engine.present.start_screen import DemoCard
from engine.present.window import Window, WindowConfig
from engine.rewind import RewindConfig
from engine.scenes.load import check_scene, is_shared
from engine.session import Session, SessionConfig
from engine.session_file import DEMOS, scene_name
from engine.studio import StudioConfig
from engine.video import read_image
from helios_core.world_api import World

FREE_WALK = "free walk"


def play_in_window(args: argparse.Namespace, config: OpeningConfig, cache: Path) -> int:
    """Everything from opening the window to closing it; the exit code."""
    clock = RealClock()
    window = Window(window_config(args, config), clock=clock.now)
    try:
        return _play(window, args, config, cache, clock)
    finally:
        window.close()


def window_config(args: argparse.Namespace, config: OpeningConfig) -> WindowConfig:
    settings = config.user_bindings
    return WindowConfig(
        screen=ScreenConfig(size=args.window, fullscreen=args.fullscreen, vsync=not args.no_vsync),
        sound=not args.no_sound,
        hud=args.hud,
        bindings_file=settings,
        history_file=settings and settings.with_name("prompts.txt"),
    )


def _play(
    window: Window, args: argparse.Namespace, config: OpeningConfig, cache: Path, clock: RealClock
) -> int:
    """Sessions until the player leaves."""
    menu = wants_menu(args)
    chosen: OpeningConfig | None = None if menu else config
    world: World | None = None
    left: int | None = args.frames
    shots: Counter[str] = Counter()
    code = 0
    while True:
        if chosen is None:
            shots.clear()
            picked = window.choose(demo_cards())
            if picked is None:
                return code
            chosen = replace(config, what="" if picked == FREE_WALK else picked)
        opening = open_play(chosen, world=world, on_loading=window.loading)
        world = opening.world
        began = clock.now()
        outcome = play_session(window, opening, args, chosen, cache, clock, left, shots)
        left = None if left is None else left - outcome.frames
        print(f"{outcome.frames} frames of {world.info.name} in {clock.now() - began:.1f} s")
        wrong = [*outcome.problems, outcome.failure, outcome.saved]
        for line in filter(None, wrong):
            print(f"helios play: {line}", file=sys.stderr)
            code = 1
        if outcome.failure or left == 0:
            return code
        if outcome.jump:
            chosen = chosen.jumped(outcome.jump)
        elif menu and outcome.scene_ended:
            chosen = None
        else:
            return code


def play_session(
    window: Window,
    opening: Opening,
    args: argparse.Namespace,
    config: OpeningConfig,
    cache: Path,
    clock: RealClock,
    frames: int | None,
    shots: Counter[str],
) -> Outcome:
    """One world in the window until it ends, or for so many frames. `shots` counts the pictures of
    all the scenes that led here."""
    info, scene = opening.world.info, opening.scene
    hands = opening.hands
    window.enter_world(
        info,
        hands.bindings,
        defaults=hands.defaults,
        on_bindings=opening.mapper.rebind,
        presets=hands.presets,
        hud=scene.scene.hud if scene else None,
        title=opening.title,
    )
    session = Session(
        opening.world,
        opening.director,
        opening.place,
        opening.mapper,
        presenter=window,
        clock=clock,
        draw=compose,
        config=SessionConfig(
            latch=LatchConfig(policy=args.policy),
            rewind=RewindConfig(folder=cache),
            studio=StudioConfig(
                folder=args.captures, latents=args.latents, fps=opening.fps, shots=shots
            ),
            scene=scene_name(scene.path) if scene else "",
            fps=opening.fps,
        ),
        history=opening.history,
    )
    if opening.prompt is not None:
        session.intake.take([PromptEntered(opening.prompt, clock.now())])
    if args.record is not None:
        session.studio.start_recording(args.record)
    sources = (*opening.sources, SceneEdits(window, opening, config.user_bindings, session.say))
    return Loop(session, LoopConfig(frames=frames), sources=sources).run()


class SceneEdits:
    """Gives the window what an edited scene binds. No input of its own, but an `InputSource`,
    since the loop asks those in its own thread, which is the window's."""

    def __init__(
        self,
        window: Window,
        opening: Opening,
        user_file: Path | None,
        say: Callable[[str], None],
    ) -> None:
        self._window, self._opening, self._user_file = window, opening, user_file
        self._say = say

    def poll(self, now: float) -> list[InputEvent]:
        opening = self._opening
        while opening.reloaded and not self._window.in_menu:
            file = opening.reloaded.popleft()
            try:
                hands = hands_for(opening.world.info, file, self._user_file)
                opening.mapper.rebind(hands.bindings)
            except ValueError as error:
                self._say(str(error))
                continue
            self._window.follow_scene(
                hands.bindings,
                defaults=hands.defaults,
                presets=hands.presets,
                title=file.scene.title,
            )
        return []


def wants_menu(args: argparse.Namespace) -> bool:
    """Nothing said what to play: let the player choose."""
    said = (args.what, args.pack, args.image, args.clip, args.actions, args.frames, args.record)
    return not any(said) and args.prompt is None


def demo_cards() -> list[DemoCard]:
    """A free walk and every demo that ships."""
    free = DemoCard(value=FREE_WALK, title="Free walk", description="No script. Go where you like.")
    return [free, *(_card(path) for path in sorted(DEMOS.glob("*.yaml")) if not is_shared(path))]


def _card(path: Path) -> DemoCard:
    """A demo's card; one that cannot be played says why."""
    checked = check_scene(path)
    if checked.file is None:
        return DemoCard(value=str(path), title=path.stem, note=str(checked.problems[0]))
    scene = checked.file.scene
    picture: np.ndarray | None = None
    if scene.thumbnail is not None:
        file = scene.thumbnail.resolve_in(checked.file.folder)
        picture = read_image(file) if file.is_file() else None
    return DemoCard(
        value=str(path), title=scene.title, description=scene.description, thumbnail=picture
    )
