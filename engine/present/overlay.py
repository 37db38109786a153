"""Captions, title cards and fades, drawn the same on the window and on a rendered video.

`patches` says what to draw for a picture of some size; `compose` draws it on a frame with numpy,
which it enlarges where text would be a blur; the window draws the same patches at its own
resolution. Text is set in the theme's type. Not here: which overlays are on the screen
(engine.overlays).

H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pygame

from engine.director import Caption, Fade, TitleCard
from engine.present import theme
from engine.present.api import Overlay

LEGIBLE = 360
"""Lines of a picture that text is drawn on, at least."""
EASE_FRAMES = 6
"""A caption or card comes and goes over so many frames, less if it is short."""
_STYLES: dict[str, tuple[theme.Colour, theme.Colour | None, bool]] = {
    "plain": (theme.TEXT, (13, 15, 20, 150), False),
    "whisper": ((214, 220, 230, 215), None, False),
    "warning": (theme.BAD, (30, 10, 10, 180), True),
}
"""Text colour, panel and weight of each caption style."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A picture to lay over a frame."""

    picture: np.ndarray
    """uint8 [h, w, 4]; [1, 1, 4] stands for the whole frame in one colour."""
    x: int
    y: int
    alpha: float
    """0 to 1, on top of the picture's own."""
    key: tuple
    """Equal keys have equal pictures."""

    @property
    def is_wash(self) -> bool:
        return self.picture.shape[:2] == (1, 1)


def patches(overlays: Sequence[Overlay], width: int, height: int) -> list[Patch]:
    """What to draw on a picture of this size: captions under the fade, cards over it."""
    captions = [o for o in overlays if isinstance(o.effect, Caption)]
    fades = [o for o in overlays if isinstance(o.effect, Fade)]
    cards = [o for o in overlays if isinstance(o.effect, TitleCard)]
    drawn: list[Patch] = []
    foot = height - round(height * 0.07)
    for overlay in reversed(captions):
        drawn.append(_caption(overlay, width, height, foot))
        foot = drawn[-1].y - max(2, round(height * 0.012))
    drawn += [_fade(overlay) for overlay in fades]
    for overlay in cards:
        drawn += _card(overlay, width, height)
    return drawn


def compose(frame: np.ndarray, overlays: Sequence[Overlay]) -> np.ndarray:
    """The frame uint8 [H, W, 3], large enough for text, with its overlays."""
    large = enlarged(frame)
    if not overlays:
        return large
    height, width = large.shape[:2]
    picture = large.copy()
    for patch in patches(overlays, width, height):
        _blend(picture, patch)
    return picture


def enlarged(frame: np.ndarray) -> np.ndarray:
    """The frame, scaled by a whole factor as a window would, unless it is legible already."""
    height, width = frame.shape[:2]
    factor = -(-LEGIBLE // height)
    if factor == 1:
        return frame
    size = (factor * width, factor * height)
    small = pygame.image.frombuffer(frame.tobytes(), (width, height), "RGB")
    large = pygame.transform.smoothscale(small, size)
    return np.frombuffer(pygame.image.tobytes(large, "RGB"), np.uint8).reshape(size[1], size[0], 3)


def _blend(picture: np.ndarray, patch: Patch) -> None:
    if patch.is_wash:
        target, rgba = picture, patch.picture
    else:
        h, w = patch.picture.shape[:2]
        top, left = max(0, patch.y), max(0, patch.x)
        # What lies above or left of the picture ends before 0, which a slice counts from the end.
        target = picture[top : max(top, patch.y + h), left : max(left, patch.x + w)]
        rgba = patch.picture[top - patch.y :, left - patch.x :]
        rgba = rgba[: target.shape[0], : target.shape[1]]
    share = rgba[..., 3:].astype(np.float32) * (patch.alpha / 255)
    target[:] = (target + (rgba[..., :3] - target.astype(np.float32)) * share + 0.5).astype(
        np.uint8
    )


def _caption(overlay: Overlay, width: int, height: int, foot: int) -> Patch:
    caption = overlay.effect
    assert isinstance(caption, Caption)
    if caption.style not in _STYLES:
        raise ValueError(f"no caption style {caption.style!r}; it knows {', '.join(_STYLES)}")
    picture = _caption_picture(caption.text, caption.style, width, height)
    h, w = picture.shape[:2]
    key = ("caption", caption.text, caption.style, width, height)
    return Patch(picture, (width - w) // 2, foot - h, _presence(overlay), key)


def _card(overlay: Overlay, width: int, height: int) -> list[Patch]:
    card = overlay.effect
    assert isinstance(card, TitleCard)
    picture = _card_picture(card.text, width, height)
    h, w = picture.shape[:2]
    shown = _presence(overlay)
    dim = Patch(_pixel((8, 9, 12)), 0, 0, 0.55 * shown, ("wash", 8, 9, 12))
    key = ("card", card.text, width, height)
    return [dim, Patch(picture, (width - w) // 2, (height - h) // 2, shown, key)]


def _fade(overlay: Overlay) -> Patch:
    fade = overlay.effect
    assert isinstance(fade, Fade)
    done = min(1.0, (overlay.age + 1) / max(1, fade.frames))
    alpha = done if fade.to == "colour" else 1.0 - done
    return Patch(_pixel(fade.colour), 0, 0, alpha, ("wash", *fade.colour))


def _presence(overlay: Overlay) -> float:
    """0 to 1: eases in, stays, eases out."""
    frames = overlay.effect.frames
    ease = max(1, min(EASE_FRAMES, frames // 4))
    return min(1.0, (overlay.age + 1) / ease, (frames - overlay.age) / ease)


@lru_cache(maxsize=32)
def _pixel(colour: tuple[int, int, int]) -> np.ndarray:
    return np.array([[(*colour, 255)]], np.uint8)


@lru_cache(maxsize=16)
def _caption_picture(text: str, style: str, width: int, height: int) -> np.ndarray:
    colour, panel, bold = _STYLES[style]
    look = _look(width, height)
    words = look.wrapped(text, round(width * 0.8), "head", colour, bold=bold, centre=True)
    pad_x, pad_y = look.px(18), look.px(9)
    surface = theme.blank(words.get_width() + 2 * pad_x, words.get_height() + 2 * pad_y)
    if panel is not None:
        surface.blit(theme.rounded(*surface.get_size(), look.px(10), panel, None), (0, 0))
    else:
        _shadow(surface, words, (pad_x, pad_y), look.px(1.5))
    surface.blit(words, (pad_x, pad_y))
    return _rgba(surface)


@lru_cache(maxsize=8)
def _card_picture(text: str, width: int, height: int) -> np.ndarray:
    look = _look(width, height)
    words = look.wrapped(text, round(width * 0.84), "title", theme.TEXT, bold=True, centre=True)
    rule = theme.rounded(look.px(56), look.px(3), look.px(1), theme.ACCENT, None)
    return _rgba(theme.stack([words, rule], look.px(8), centre=True))


def _look(width: int, height: int) -> theme.Theme:
    """A theme that keeps text legible on the small pictures of small worlds."""
    look = theme.Theme(width, height)
    look.scale = max(0.4, min(height / theme.REFERENCE_HEIGHT, width / 1024) * 1.15)
    return look


def _shadow(surface: pygame.Surface, words: pygame.Surface, at: tuple[int, int], by: int) -> None:
    """Words with no panel stay readable over a bright picture."""
    dark = words.copy()
    dark.fill((0, 0, 0, 255), special_flags=pygame.BLEND_RGBA_MULT)
    for dx, dy in ((by, by), (0, by), (by, 0), (-by, 0), (0, -by)):
        surface.blit(dark, (at[0] + dx, at[1] + dy))


def _rgba(surface: pygame.Surface) -> np.ndarray:
    w, h = surface.get_size()
    pixels = np.frombuffer(pygame.image.tobytes(surface, "RGBA"), np.uint8)
    return pixels.reshape(h, w, 4)
