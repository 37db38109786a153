"""Play in a real X window: hands and eyes belong to other processes than the game.

Keys and mouse come from xdotool, pictures from the X server's frame buffer. The null world writes
into its picture which actions it got, so what is read is what went all the way through.
"""

import time

import numpy as np

from engine.input.bindings import Tuning
from engine.present.screen import fit
from helios_core.actions import WALK_SPEC
from helios_core.null_world import NullWorld
from tests.engine.window.desktop import (
    HEIGHT,
    PROMPT,
    WIDTH,
    helios_play,
    read_bar,
    read_number,
    until,
)


def expected(frame: int, *, prompt: str = PROMPT, seed: int = 0) -> np.ndarray:
    """The null world's picture at a frame in which nobody has moved."""
    world = NullWorld()
    state = world.start(seed=seed, prompt=prompt)
    while True:
        state, frames = world.advance(state, WALK_SPEC.zeros(4))
        if frame < state.chunk * 4:
            return frames[frame % 4]


def settled(play) -> np.ndarray:
    """A picture that did not change while it was read."""

    def same():
        first, second = play.picture(), play.picture()
        return first if np.array_equal(first, second) else None

    picture = until(lambda: None if (p := same()) is None else [p], "a whole picture")[0]
    return picture


def test_the_picture_on_the_screen_is_the_worlds(play):
    game = play()
    game.desktop.hand("key", "p")
    until(lambda: game.frame() == (time.sleep(0.2), game.frame())[1], "the pause")
    picture = settled(game)
    world = expected(read_number(picture))
    clear = np.ones((HEIGHT, WIDTH), bool)
    clear[120:264, 220:420] = False  # the pause sign
    assert np.abs(picture.astype(int) - world)[clear].max() <= 1
    assert np.abs(picture.astype(int) - world)[~clear].max() > 60


def test_walking(play):
    game = play()
    assert game.action("move_forward") == 0
    game.desktop.hand("keydown", "w")
    game.wait_for("move_forward", 1.0)
    game.desktop.hand("keydown", "a")
    game.wait_for("strafe", -1.0)
    game.desktop.hand("keyup", "w", "keyup", "a")
    game.wait_for("move_forward", 0.0)
    game.wait_for("strafe", 0.0)
    seen = lambda: any(game.action("jump") == 1.0 for _ in range(200))  # noqa: E731
    until(lambda: (game.desktop.hand("key", "space"), seen())[1], "a tap of some milliseconds")
    game.wait_for("jump", 0.0)


def test_turning(play):
    game = play()
    seen, counts = set(), 0

    def turned():
        nonlocal counts
        game.desktop.hand("mousemove_relative", "--", "17", "-5")
        counts += 17
        picture = game.picture()
        seen.add((read_bar(picture, "look_yaw") > 5, read_bar(picture, "look_pitch") > 2))
        return (True, True) in seen

    until(turned, "a turn to the right and up")
    game.wait_for("look_yaw", 0.0)
    time.sleep(0.5)
    picture = settled(game)
    yaw = counts * Tuning().mouse_sensitivity
    posts = (np.arange(WIDTH) * 60.0 / WIDTH + yaw) % 15.0 < 2.0
    dark = picture[40, :, 0] < picture[40, :, 0].max()
    assert (posts != dark)[100:].mean() < 0.02, "every mouse count turned the view, once"
    game.desktop.hand("keydown", "Left")
    game.wait_for("look_yaw", -0.4 * 240, within=2)
    game.desktop.hand("keyup", "Left")


def test_typing_a_prompt(play):
    game = play("--prompt", "a desert at dusk")
    before = game.picture()[20, 400].tolist()
    game.desktop.hand("key", "Return")
    until(lambda: _is_panel(game.picture()[-60, 120]), "the prompt line")
    game.desktop.hand("type", "--delay", "15", "w night falls")
    time.sleep(0.3)
    assert game.action("move_forward") == 0, "typed letters do not walk"
    game.desktop.hand("key", "Return")
    world, state = NullWorld(), NullWorld().start(seed=0, prompt="w night falls")
    sky = world.advance(state, WALK_SPEC.zeros(4))[1][0][20, 400]
    assert sky.tolist() != before
    until(lambda: game.picture()[20, 400].tolist() == sky.tolist(), "the new sky")
    assert not _is_panel(game.picture()[-60, 120])


def _is_panel(pixel: np.ndarray) -> bool:
    return bool((pixel < 40).all())


def test_rewinding(play):
    game = play()
    until(lambda: (game.frame() or 0) > 40, "forty frames")
    game.desktop.hand("keydown", "BackSpace")
    start = game.frame()
    until(lambda: 0 < (game.frame() or 0) < start - 10, "frames that run backwards")
    game.desktop.hand("keyup", "BackSpace")
    low = game.frame()
    assert low is not None and low < start
    until(lambda: (game.frame() or 0) > low + 4, "frames that run forwards again")
    assert game.frame() < start + 8, "it went on from where it was let go"


def test_resizing(play):
    game = play()
    game.desktop.hand("windowsize", "--sync", str(game.window), "900", "580")
    until(lambda: game.area()[2:] == (900, 580), "the new size")
    game.place = game.area()
    x, y, width, height = fit((WIDTH, HEIGHT), (900, 580), "smooth")

    def fits() -> bool:
        picture = game.picture()
        bars = np.concatenate([picture[: y - 1], picture[y + height + 1 :]])
        sky = picture[y + 8 : y + height // 3, x + 300 : x + width - 8]
        return picture.shape[:2] == (580, 900) and not bars.any() and sky.min() > 60

    until(fits, "the picture in the middle with its aspect kept")
    sky = expected(0)[20, 400]
    assert (
        np.abs(game.picture()[y + 30, x + round(400 * width / WIDTH)].astype(int) - sky).max() < 3
    )


def test_losing_the_focus_releases_the_keys(play):
    game = play()
    game.desktop.hand("keydown", "w")
    game.wait_for("move_forward", 1.0)
    game.desktop.hand("windowfocus", str(game.desktop.other_window()))
    game.wait_for("move_forward", 0.0)
    game.desktop.hand("keyup", "w")
    game.desktop.hand("windowfocus", str(game.window))
    game.desktop.hand("keydown", "s")
    game.wait_for("move_forward", -1.0)
    game.desktop.hand("keyup", "s")


def test_closing(play):
    game = play()
    assert game.end() == 0
    assert "Traceback" not in game.log()


def test_leaving_by_the_menu(play):
    game = play()
    game.desktop.hand("key", "Escape")
    until(lambda: game.picture()[20, 400].max() < 110, "the dimmed picture")
    game.desktop.hand("key", "Up")
    game.desktop.hand("key", "Return")
    assert game.process.wait(20) == 0


def test_a_model_runs_beside_the_windows_driver(desktop, tmp_path):
    """Torch's compiler and a graphics driver each bring an LLVM, which crashed in this order."""
    with (tmp_path / "play.log").open("w+") as log:
        game = helios_play(desktop, tmp_path, log, "--pack", "random", "--frames", "8")
        code = game.wait(240)
    assert code == 0, (tmp_path / "play.log").read_text()
