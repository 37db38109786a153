"""Freedoom as a Gymnasium environment with analog, semantic actions at 20 frames a second.

ViZDoom runs 35 tics a second; four frames take 2, 2, 2 and 1 tics, which is 20 frames a second
exactly. Looking is in degrees per second, walking a ratio. Without monsters by default: a world
model's first game should not die. ViZDoom's own code is MIT, Freedoom's data BSD-3-Clause.

    env = gymnasium.make("training.worlds.games.freedoom:helios/Freedoom-v0", maps=(1, 2))

H W pixels, A channels.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from helios_core.actions import WALK_SPEC, ActionSpec, Channel

SPEC = ActionSpec(
    channels=(
        *WALK_SPEC.channels,
        Channel(name="attack", kind="button"),
        Channel(name="use", kind="button"),
    )
)
FPS = 20
TICS = (2, 2, 2, 1)
"""Of 35 a second, per frame, over and over."""
WALK, RUN = 25.0, 50.0
"""Doom's speeds, in its own units per tic."""


class Freedoom(gymnasium.Env):
    """First-person walks through the maps of Freedoom 2."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012

    def __init__(
        self,
        *,
        maps: Sequence[int] = tuple(range(1, 33)),
        monsters: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if not maps or not all(1 <= m <= 32 for m in maps):
            raise ValueError("maps are numbers from 1 to 32")
        self.render_mode = render_mode
        self.maps = tuple(maps)
        self.game = _game(monsters)
        self.observation_space = spaces.Box(0, 255, (240, 320, 3), np.uint8)
        low = np.array([c.low for c in SPEC.channels], np.float32)
        high = np.array([c.high for c in SPEC.channels], np.float32)
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        self.picture = np.zeros((240, 320, 3), np.uint8)
        self.frame = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        number = int(self.np_random.choice(self.maps))
        self.game.set_seed(int(self.np_random.integers(2**31)))
        self.game.set_doom_map(f"MAP{number:02d}")
        if not self.game.is_running():
            self.game.init()
        self.game.new_episode()
        self.frame, self.map = 0, number
        self._look()
        return self.picture, self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        tics = TICS[self.frame % len(TICS)]
        self.game.make_action(_buttons(SPEC.clip(np.asarray(action))), tics)
        self.frame += 1
        ended = self.game.is_episode_finished()
        if not ended:
            self._look()
        return self.picture, 0.0, ended, False, self._info()

    def render(self) -> np.ndarray:
        return self.picture

    def close(self) -> None:
        self.game.close()

    def _look(self) -> None:
        state = self.game.get_state()
        assert state is not None
        self.picture = np.ascontiguousarray(state.screen_buffer)
        self.pose = np.asarray(state.game_variables, np.float64)

    def _info(self) -> dict[str, Any]:
        return {"prompt": f"freedoom, map {self.map}", "pose": self.pose}


def _game(monsters: bool) -> Any:
    """A game that is set up and not yet running; its scratch files stay out of the way."""
    import vizdoom as vzd

    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    game = vzd.DoomGame()
    game.set_doom_game_path(os.path.join(os.path.dirname(vzd.__file__), "freedoom2.wad"))
    game.set_doom_config_path(os.path.join(tempfile.mkdtemp(prefix="freedoom"), "vizdoom.ini"))
    game.set_window_visible(False)
    game.set_screen_resolution(vzd.ScreenResolution.RES_320X240)
    game.set_screen_format(vzd.ScreenFormat.RGB24)
    game.set_mode(vzd.Mode.PLAYER)
    game.set_render_hud(False)
    game.set_render_crosshair(False)
    game.set_episode_timeout(0)
    game.add_game_args("+freelook 1" + ("" if monsters else " -nomonsters"))
    button = vzd.Button
    game.set_available_buttons(
        [
            button.MOVE_FORWARD_BACKWARD_DELTA,
            button.MOVE_LEFT_RIGHT_DELTA,
            button.TURN_LEFT_RIGHT_DELTA,
            button.LOOK_UP_DOWN_DELTA,
            button.JUMP,
            button.ATTACK,
            button.USE,
        ]
    )
    variable = vzd.GameVariable
    game.set_available_game_variables(
        [
            variable.POSITION_X, variable.POSITION_Y, variable.POSITION_Z,
            variable.ANGLE, variable.PITCH, variable.ROLL,
        ]
    )  # fmt: skip
    return game


def _buttons(values: np.ndarray) -> list[float]:
    """Doom's buttons from channel values [A]; its deltas count per tic."""
    go = dict(zip(SPEC.names, (float(v) for v in values), strict=True))
    speed = RUN if go["run"] else WALK
    return [
        go["move_forward"] * speed,
        go["strafe"] * speed,
        go["look_yaw"] / 35.0,
        go["look_pitch"] / 35.0,
        go["jump"],
        go["attack"],
        go["use"],
    ]


gymnasium.register("helios/Freedoom-v0", entry_point=f"{__name__}:Freedoom")
