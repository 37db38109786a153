"""Pictures brought to the size of a recording: the middle is kept, the aspect is not bent.

    small = fit(picture, 128, 192)

H W pixels.
"""

import numpy as np


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture [H, W, 3] at another size, averaged over area when it shrinks; a
    copy, for environments draw their next picture over the last."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return np.array(picture, order="C")
    if rows * width > columns * height:
        keep = max(1, round(columns * height / width))
        top = (rows - keep) // 2
        picture = picture[top : top + keep]
    else:
        keep = max(1, round(rows * width / height))
        left = (columns - keep) // 2
        picture = picture[:, left : left + keep]
    return _resize(picture, height, width)


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    small = interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)
    return small[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
