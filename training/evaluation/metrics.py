"""Distances between pictures, and what a picture is like, in plain numpy and torch.

PSNR, SSIM, the best match within a moving window, and brightness, saturation and sharpness. Every
function takes uint8 pictures and answers float64. Not here: learned judges (judges), intervals
(statistics).

    psnr(truth, made)          # [F] for [F, H, W, 3]

F frames, H W pixels.
"""

import numpy as np
import torch
from torch.nn import functional

LUMA = np.array([0.299, 0.587, 0.114])
SSIM_WINDOW = 7
BEST_PSNR = 60.0
"""Equal pictures count as this, so that means stay finite."""


def squared_error(truth: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Mean squared error of each picture, pixels from 0 to 1: [...] for [..., H, W, 3]."""
    if truth.shape != made.shape:
        raise ValueError(f"pictures of shapes {truth.shape} and {made.shape} do not compare")
    difference = truth.astype(np.float64) - made.astype(np.float64)
    return (difference**2).mean((-3, -2, -1)) / 255.0**2


def to_psnr(error: np.ndarray | float) -> np.ndarray:
    """Decibels of a mean squared error."""
    return -10.0 * np.log10(np.maximum(error, 10 ** (-BEST_PSNR / 10)))


def psnr(truth: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Decibels of each picture."""
    return to_psnr(squared_error(truth, made))


def pooled_psnr(error: np.ndarray, window: int) -> np.ndarray:
    """Decibels of squared errors [F] pooled over each window of frames: [F - window + 1].

    Pooling errors first keeps one perfect frame from hiding a bad one. A shorter run is one window.
    """
    window = min(window, len(error))
    sums = np.cumsum(np.concatenate([[0.0], np.asarray(error, np.float64)]))
    return to_psnr((sums[window:] - sums[:-window]) / window)


def ssim(truth: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Structural similarity of the luma of each picture, uniform 7x7 windows: [F]."""
    x, y = (torch.from_numpy(luma(p))[:, None] for p in (truth, made))

    def mean(z: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(z, SSIM_WINDOW, 1)

    mx, my = mean(x), mean(y)
    n = SSIM_WINDOW**2
    vx, vy = (mean(z * z) - m * m for z, m in ((x, mx), (y, my)))
    cov = mean(x * y) - mx * my
    vx, vy, cov = (v * n / (n - 1) for v in (vx, vy, cov))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return value.mean((1, 2, 3)).numpy()


def luma(pictures: np.ndarray) -> np.ndarray:
    """float64 [F, H, W], 0 to 255."""
    return pictures.astype(np.float64) @ LUMA


def brightness(pictures: np.ndarray) -> np.ndarray:
    """Mean luma of each picture, 0 to 1."""
    return luma(pictures).mean((1, 2)) / 255.0


def saturation(pictures: np.ndarray) -> np.ndarray:
    """Mean of (max - min) over the colour channels, 0 to 1. Steadier than HSV's in the dark."""
    p = pictures.astype(np.float64)
    return (p.max(-1) - p.min(-1)).mean((1, 2)) / 255.0


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """Mean length of the luma's gradient, 0 to 1; blur lowers it, noise raises it."""
    y = luma(pictures) / 255.0
    dx, dy = np.diff(y, axis=2)[:, 1:], np.diff(y, axis=1)[:, :, 1:]
    return np.sqrt(dx**2 + dy**2).mean((1, 2))


def noise(pictures: np.ndarray) -> np.ndarray:
    """Immerkaer's estimate of the noise of each picture, 0 to 1; what restoration leaves behind."""
    y = luma(pictures) / 255.0
    rows = y[:, :-2] - 2 * y[:, 1:-1] + y[:, 2:]
    both = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    return np.sqrt(np.pi / 2) / 6 * np.abs(both).mean((1, 2))


def smoothness(pictures: np.ndarray) -> float:
    """Decibels at which the mean of its neighbours foretells each picture: steady motion is high,
    flicker is low."""
    y = pictures.astype(np.float64)
    error = ((y[1:-1] - (y[:-2] + y[2:]) / 2) ** 2).mean((1, 2, 3)) / 255.0**2
    return float(to_psnr(error.mean()))


def motion(pictures: np.ndarray) -> np.ndarray:
    """Mean absolute change from each picture to the next, 0 to 1: [F - 1]."""
    y = luma(pictures) / 255.0
    return np.abs(np.diff(y, axis=0)).mean((1, 2))


def seam_ratio(pictures: np.ndarray, chunk: int) -> float:
    """Mean change across chunk boundaries over mean change inside chunks; 1 is seamless."""
    change = motion(pictures)
    across = (np.arange(1, len(pictures)) % chunk) == 0
    inside = change[~across].mean()
    return float(change[across].mean() / max(inside, 1e-9))


def repetition(pictures: np.ndarray, lag: int) -> float:
    """Share of pictures that have a near twin (PSNR above 30) at least `lag` frames away."""
    small = pictures[:, ::4, ::4].astype(np.float64).reshape(len(pictures), -1) / 255.0
    squares = (small**2).sum(1)
    error = (squares[:, None] + squares[None] - 2 * small @ small.T) / small.shape[1]
    apart = np.abs(np.subtract.outer(np.arange(len(small)), np.arange(len(small)))) >= lag
    return float(((to_psnr(np.maximum(error, 0)) > 30) & apart).any(1).mean())


def rotate(picture: np.ndarray, yaw: float, pitch: float, focal: float) -> np.ndarray:
    """A picture [H, W, 3] as a camera that only turned (degrees, right and up) would see it.

    The rotation homography of a pinhole with focal length in pixels; what was outside repeats the
    border. The baseline that a world must beat: no parallax, nothing new.
    """
    height, width = picture.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width]
    rays = np.stack([(xs - (width - 1) / 2) / focal, -(ys - (height - 1) / 2) / focal], -1)
    rays = np.concatenate([rays, np.ones((height, width, 1))], -1)
    a, b = np.deg2rad(yaw), np.deg2rad(pitch)
    turn_yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turn_pitch = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    old = rays @ (turn_yaw @ turn_pitch).T
    depth = np.maximum(old[..., 2], 1e-3)
    grid = np.stack(
        [
            old[..., 0] / depth * focal / ((width - 1) / 2),
            -old[..., 1] / depth * focal / ((height - 1) / 2),
        ],
        -1,
    )
    pixels = torch.from_numpy(picture.astype(np.float64)).permute(2, 0, 1)[None]
    warped = functional.grid_sample(
        pixels, torch.from_numpy(grid)[None], padding_mode="border", align_corners=True
    )
    return warped[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
