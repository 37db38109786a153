"""The window itself: one frame scaled to fit, and translucent pictures over it.

The frame goes from numpy to a streaming texture and the renderer scales it (on the GPU where there
is one): no pixel is touched by Python. Pictures are kept as textures under a name and made again
only when their key changes. Not here: what is drawn (hud, menus) and input.

H W pixels.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pygame
from pygame._sdl2 import video

from engine.installation import load_compiler
from engine.present import theme
from engine.present.overlay import Patch
from engine.present.unlocked import unlocked_present

OPAQUE, BLEND = 0, 1
"""SDL_BLENDMODE_NONE and SDL_BLENDMODE_BLEND."""
BAND_BYTES = 1 << 18
"""A frame goes up in bands of so much, which stay in the processor's cache between the two steps
that touch them: turning them into the texture's bytes and handing them to the driver."""


@dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """How the window is opened."""

    title: str = "Helios"
    size: tuple[int, int] = (1280, 768)
    """Width and height in window units."""
    fullscreen: bool = False
    scaling: Literal["smooth", "integer"] = "smooth"
    """`smooth` fills the window as far as the aspect allows; `integer` keeps square pixels."""
    vsync: bool = True


class NoDisplay(ValueError):
    """There is no screen to open a window on."""


class Screen:
    """An open window; sizes are in physical pixels."""

    def __init__(self, config: ScreenConfig) -> None:
        os.environ.setdefault("SDL_WINDOWS_DPI_AWARENESS", "permonitorv2")
        os.environ["SDL_RENDER_SCALE_QUALITY"] = "0" if config.scaling == "integer" else "1"
        load_compiler()
        try:
            pygame.display.init()
            # Without a display SDL opens windows that nobody can see, unless told not to.
            if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
                raise pygame.error("there is no display")
            self.window = pygame.Window(
                config.title, size=config.size, resizable=True, allow_high_dpi=True
            )
        except pygame.error as error:
            raise NoDisplay(
                f"no window can be opened here ({error}); `helios play --headless --frames N "
                "--out FILE.mp4` needs none"
            ) from error
        pygame.font.init()
        self.config = config
        self.window.minimum_size = (320, 200)
        self.window.set_icon(_icon())
        self.renderer = video.Renderer(self.window, vsync=config.vsync)
        self._present = unlocked_present(self.window.id) or self.renderer.present
        self.driver_seconds = 0.0
        self.fullscreen = False
        if config.fullscreen:
            self.toggle_fullscreen()
        self._frame: video.Texture | None = None
        self._pixels: np.ndarray | None = None
        """What is on the frame's texture, which a driver may lose."""
        self._frame_size = (0, 0)
        self._band = _Band(1, 1)
        self._kept: dict[str, tuple[object, video.Texture]] = {}
        self._queue: list[tuple[video.Texture, tuple[int, int, int, int], int]] = []
        self._used: set[str] = set()
        self.measure()

    def measure(self) -> None:
        """Read the size of the window in pixels: after opening and after each resize."""
        self.renderer.set_viewport(None)
        area = self.renderer.get_viewport()
        self.size = (area.width, area.height)
        self.theme = theme.Theme(*self.size)

    def to_pixels(self, pos: tuple[int, int]) -> tuple[int, int]:
        """A mouse position, which SDL gives in window units."""
        ratio = self.size[0] / max(1, self.window.size[0])
        return round(pos[0] * ratio), round(pos[1] * ratio)

    def toggle_fullscreen(self) -> None:
        self.fullscreen = not self.fullscreen
        if self.fullscreen:
            self.window.set_fullscreen(True)
        else:
            self.window.set_windowed()

    def frame_area(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the frame on the screen."""
        return fit(self._frame_size, self.size, self.config.scaling)

    def set_frame(self, frame: np.ndarray) -> None:
        """The picture under everything, uint8 [H, W, 3]."""
        h, w = frame.shape[:2]
        if self._frame is None or self._frame_size != (w, h):
            self._band = _Band(w, h)
            # Made from a surface for its order of bytes: the constructor knows only the other one.
            black = pygame.image.frombuffer(bytes(4 * w * h), (w, h), "RGBA")
            self._frame = _texture(self.renderer, black, OPAQUE)
            self._frame_size = (w, h)
        self._pixels = pixels = np.ascontiguousarray(frame)
        for top in range(0, h, self._band.rows):
            rows = self._band.fill(pixels[top : top + self._band.rows])
            self._frame.update(self._band.picture, (0, top, w, rows))

    def put(
        self,
        name: str,
        key: object,
        draw: Callable[[], pygame.Surface],
        place: Callable[[tuple[int, int]], tuple[int, int]],
        changed: Callable[[], pygame.Rect] | None = None,
        *,
        alpha: float = 1.0,
    ) -> pygame.Rect:
        """Lay a picture over the frame this time; `draw` runs only when the key is new.

        A `draw` that changes its picture of before tells by `changed` where it did.
        """
        known = self._kept.get(name)
        full_key = (key, self.size)
        if known is None or known[0] != full_key:
            picture, texture = draw(), None if known is None else known[1]
            if texture is None or (texture.width, texture.height) != picture.get_size():
                texture = _texture(self.renderer, picture, BLEND)
            else:
                _renew(texture, picture, picture.get_rect() if changed is None else changed())
            self._kept[name] = known = (full_key, texture)
        texture = known[1]
        area = (*place((texture.width, texture.height)), texture.width, texture.height)
        self._queue.append((texture, area, round(255 * alpha)))
        self._used.add(name)
        return pygame.Rect(area)

    def put_patches(self, patches: Sequence[Patch], area: tuple[int, int, int, int]) -> None:
        """Overlay patches made for the size of `area`, which is where they go."""
        for i, patch in enumerate(patches):
            name = f"patch {i}"
            known = self._kept.get(name)
            if known is None or known[0] != patch.key:
                texture = _texture(self.renderer, _surface(patch.picture), BLEND)
                self._kept[name] = known = (patch.key, texture)
            texture = known[1]
            where = (area[0] + patch.x, area[1] + patch.y, texture.width, texture.height)
            where = area if patch.is_wash else where
            self._queue.append((texture, where, round(255 * patch.alpha)))
            self._used.add(name)

    def present(self) -> None:
        """Draw the frame and what was put since, and show it."""
        self.renderer.draw_color = theme.BACKDROP if self._frame is None else (0, 0, 0, 255)
        self.renderer.clear()
        if self._frame is not None:
            self._frame.draw(dstrect=self.frame_area())
        for texture, area, alpha in self._queue:
            texture.alpha = alpha
            texture.draw(dstrect=area)
        self._kept = {name: self._kept[name] for name in self._used}
        self._queue.clear()
        self._used.clear()
        started = time.perf_counter()
        self._present()
        self.driver_seconds += time.perf_counter() - started

    def forget_frame(self) -> None:
        """Back to the plain backdrop of the menus."""
        self._frame = self._pixels = None

    def lose_textures(self) -> None:
        """The driver dropped them (a lost device): make all again."""
        self._frame = None
        self._kept.clear()
        if self._pixels is not None:
            self.set_frame(self._pixels)

    def picture(self) -> np.ndarray:
        """What was presented last, uint8 [H, W, 3]; slow, for tests and documentation."""
        surface = self.renderer.to_surface()
        pixels = np.frombuffer(pygame.image.tobytes(surface, "RGB"), np.uint8)
        return pixels.reshape(surface.get_height(), surface.get_width(), 3)

    def close(self) -> None:
        """Textures before their renderer, the renderer before its window: SDL frees in turn."""
        self._kept.clear()
        self._queue.clear()
        self._frame = None
        del self._present, self.renderer
        self.window.destroy()
        pygame.display.quit()


class _Band:
    """Some rows of a frame on their way to its texture, RGB with a byte for alpha.

    Of red-green-blue order, as frames are: software OpenGL copies such a texture where it turns
    one of the other order pixel by pixel. A driver that has only the other one gets each band
    turned by pygame.
    """

    def __init__(self, width: int, height: int) -> None:
        self.rows = max(1, min(height, BAND_BYTES // (4 * width)))
        self._width = width
        room = bytearray(b"\xff") * (4 * width * self.rows)
        self.picture = pygame.image.frombuffer(room, (width, self.rows), "RGBA")
        # The same bytes as a surface that has no alpha: SDL fills it far faster, and the alpha
        # stays what it is.
        self._opaque = pygame.image.frombuffer(room, (width, self.rows), "RGBX")

    def fill(self, rows: np.ndarray) -> int:
        """Take over rows uint8 [up to `self.rows`, W, 3]; returns how many they were."""
        source = pygame.image.frombuffer(rows.data, (self._width, len(rows)), "RGB")
        self._opaque.blit(source, (0, 0))
        return len(rows)


def _texture(renderer: video.Renderer, picture: pygame.Surface, blend: int) -> video.Texture:
    texture = video.Texture.from_surface(renderer, picture)
    texture.blend_mode = blend
    return texture


def _renew(texture: video.Texture, picture: pygame.Surface, area: pygame.Rect) -> None:
    """Bring a texture up to a picture of its size that changed in an area."""
    if area:
        # As a tuple: of a `Rect` pygame 2.5 takes no notice and draws at the corner.
        texture.update(picture.subsurface(area), tuple(area))


def fit(picture: tuple[int, int], room: tuple[int, int], scaling: str) -> tuple[int, int, int, int]:
    """x, y, width, height of a picture in the middle of a room, its aspect kept."""
    width, height = picture
    if not width or not height:
        return (0, 0, *room)
    factor = min(room[0] / width, room[1] / height)
    if scaling == "integer" and factor >= 1:
        factor = int(factor)
    w, h = max(1, round(width * factor)), max(1, round(height * factor))
    return (room[0] - w) // 2, (room[1] - h) // 2, w, h


def _surface(rgba: np.ndarray) -> pygame.Surface:
    h, w = rgba.shape[:2]
    return pygame.image.frombuffer(np.ascontiguousarray(rgba).data, (w, h), "RGBA")


def _icon() -> pygame.Surface:
    """A rising sun."""
    size = 64
    icon = theme.rounded(size, size, 14, theme.SOLID, None).copy()
    sun = theme.rounded(30, 30, 15, theme.ACCENT, None)
    icon.blit(sun, (17, 14), area=(0, 0, 30, 24))
    icon.blit(theme.rounded(44, 4, 2, theme.ACCENT, None), (10, 42))
    icon.blit(theme.rounded(28, 4, 2, theme.MUTED, None), (18, 50))
    return icon
