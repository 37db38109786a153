"""A real X server for tests, with hands and eyes outside the process under test.

`Desktop` starts Xvfb, moves keys and mouse with xdotool, and reads the picture from the server's
own frame buffer. `Play` is `helios play` in a child process, shown pixel for pixel, and what its
null world says of itself in the picture: the frame number and a bar per action channel.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from helios_core.actions import WALK_SPEC
from helios_core.null_world import DIGITS

ROOT = Path(__file__).resolve().parents[3]
MISSING = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
WIDTH, HEIGHT = 640, 384
SCREEN = (1280, 800)
PROMPT = "a meadow at noon"
YELLOW = (255, 230, 90)
PATIENCE = 20.0
"""Seconds to wait for what must come; a loaded machine is slow."""


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> object:
    """The first true answer of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.03)
    raise AssertionError(f"waited {seconds:g} s for {what}")


class Desktop:
    """An X server."""

    def __init__(self, folder: Path) -> None:
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24"]
        command += ["-fbdir", str(folder), "-nolisten", "tcp", "-noreset"]
        self._server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        said = b""
        while not said.endswith(b"\n"):
            ready, _, _ = select.select([read], [], [], PATIENCE)
            assert ready, "Xvfb did not start"
            said += os.read(read, 16)
        os.close(read)
        self.display = ":" + said.decode().strip()
        self._screen = folder / "Xvfb_screen0"
        self._other: tuple | None = None

    def hand(self, *arguments: str) -> str:
        """xdotool, a process that knows nothing of the one under test."""
        done = subprocess.run(
            ["xdotool", *arguments],
            env={**os.environ, "DISPLAY": self.display},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout

    def picture(self) -> np.ndarray:
        """What is on the screen, uint8 [H, W, 3], from the server's frame buffer (XWD form)."""
        raw = np.fromfile(self._screen, np.uint8)
        header = raw[:100].view(">u4")
        size, height, width = int(header[0]), int(header[5]), int(header[4])
        stride, colours = int(header[12]), int(header[19])
        pixels = raw[size + 12 * colours :][: stride * height].reshape(height, stride)
        return pixels[:, : width * 4].reshape(height, width, 4)[..., 2::-1]

    def other_window(self) -> int:
        """A window of another program, to give the focus to."""
        if self._other is None:
            x11, display = _open_display(self.display)
            root = x11.XDefaultRootWindow(display)
            window = x11.XCreateSimpleWindow(display, root, 0, 0, 40, 40, 0, 0, 0)
            x11.XMapWindow(display, window)
            x11.XSync(display, 0)
            self._other = (x11, display, window)
        return self._other[2]

    def close_politely(self, window: int) -> None:
        """What a window manager sends when the close button is pressed: WM_DELETE_WINDOW."""
        x11, display = _open_display(self.display)
        message = (ctypes.c_long * 24)()
        message[0] = 33  # ClientMessage
        message[4] = window
        message[5] = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
        ctypes.cast(ctypes.byref(message, 48), ctypes.POINTER(ctypes.c_int))[0] = 32
        message[7] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
        x11.XSendEvent(display, window, 0, 0, ctypes.byref(message))
        x11.XCloseDisplay(display)

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(PATIENCE)


def _open_display(name: str) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """Xlib, for the few things that xdotool cannot do."""
    x11 = ctypes.CDLL("libX11.so.6")
    pointer, number = ctypes.c_void_p, ctypes.c_ulong
    x11.XOpenDisplay.restype = pointer
    x11.XInternAtom.restype = x11.XDefaultRootWindow.restype = number
    x11.XCreateSimpleWindow.restype = number
    x11.XCreateSimpleWindow.argtypes = [pointer, number] + [ctypes.c_int] * 4 + [number] * 3
    x11.XMapWindow.argtypes = [pointer, number]
    x11.XSendEvent.argtypes = [pointer, number, ctypes.c_int, ctypes.c_long, pointer]
    return x11, ctypes.c_void_p(x11.XOpenDisplay(name.encode()))


def helios_play(desktop: Desktop, folder: Path, log: IO, *options: str) -> subprocess.Popen:
    """The command on a desktop, with a home of its own."""
    hidden = ("SDL_VIDEODRIVER", "WAYLAND_DISPLAY")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    environment |= {"DISPLAY": desktop.display, "SDL_AUDIODRIVER": "dummy"}
    environment |= {"HELIOS_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "engine", "play", *options]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


class Play:
    """`helios play` on a desktop."""

    def __init__(self, desktop: Desktop, folder: Path, *options: str) -> None:
        self.desktop = desktop
        options = options or ("--prompt", PROMPT)
        self._log = (folder / "play.log").open("w+")
        command = ["--pack", "null", "--no-vsync", "--window", f"{WIDTH}x{HEIGHT}"]
        command += ["--captures", str(folder / "captures"), *options]
        self.process = helios_play(desktop, folder, self._log, *command)
        self.place = ((SCREEN[0] - WIDTH) // 2, (SCREEN[1] - HEIGHT) // 2, WIDTH, HEIGHT)
        """Where the window was last found: x, y, width, height. SDL opens it in the middle."""
        until(self._playing, "the first frames")
        self.window = int(desktop.hand("getwindowfocus"))
        self.place = self.area()

    def _playing(self) -> bool:
        assert self.process.poll() is None, f"the play ended: {self.log()}"
        return (self.frame() or 0) > 4

    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text()

    def area(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the window on the screen."""
        lines = self.desktop.hand("getwindowgeometry", "--shell", str(self.window)).splitlines()
        values = dict(line.split("=") for line in lines if "=" in line)
        return tuple(int(values[k]) for k in ("X", "Y", "WIDTH", "HEIGHT"))

    def picture(self) -> np.ndarray:
        """The window's part of the screen."""
        x, y, width, height = self.place
        return self.desktop.picture()[y : y + height, x : x + width]

    def frame(self) -> int | None:
        """The frame number that the null world wrote into its picture."""
        return read_number(self.picture())

    def action(self, channel: str) -> float:
        """The value of a channel, from the length of its bar."""
        return read_bar(self.picture(), channel)

    def wait_for(self, channel: str, value: float, *, within: float = 0.02) -> None:
        until(lambda: abs(self.action(channel) - value) <= within, f"{channel} = {value}")

    def end(self) -> int:
        """Close the window, and the exit code."""
        if self.process.poll() is None:
            self.desktop.close_politely(self.window)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE)
        self._log.close()


def read_number(picture: np.ndarray) -> int | None:
    """Digits of 3 by 5 blocks in the upper left corner; None where there are none."""
    scale = HEIGHT // 96
    digits, x = "", 2 * scale
    while x + 3 * scale < picture.shape[1]:
        block = picture[2 * scale : 7 * scale, x : x + 3 * scale]
        centres = block[scale // 2 :: scale, scale // 2 :: scale]
        if centres.shape[:2] != (5, 3) or not np.isin(centres, (0, 255)).all():
            break
        bits = "".join("1" if bright else "0" for bright in (centres[..., 0] == 255).ravel())
        if bits not in DIGITS:
            break
        digits += str(DIGITS.index(bits))
        x += 4 * scale
    return int(digits) if digits else None


def read_bar(picture: np.ndarray, name: str) -> float:
    """Length of a channel's bar, in the channel's unit."""
    size, half = HEIGHT // 48, WIDTH // 4
    row = HEIGHT - (WALK_SPEC.index(name) + 1) * (size + 2) + size // 2
    bright = (picture[row] == YELLOW).all(-1)
    right = int(bright[WIDTH // 2 :].sum())
    left = int(bright[: WIDTH // 2].sum())
    return (right - left) / half * WALK_SPEC.channels[WALK_SPEC.index(name)].scale
