"""The file of a pack's views: an npz with one array of pictures, hashed by the manifest.

Lossless, a third smaller than bare pixels, and read with numpy alone. Not here: which view a text
leads to (helios_core.views).

    pictures = read_views(folder, manifest)
"""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from helios_core.packs.manifest import Manifest

FILE = "views.npz"
HEADER = 4096
"""Bytes that an array's own header may take."""


def views_bytes(pictures: np.ndarray) -> bytes:
    """Pictures uint8 [V, H, W, 3] as a file."""
    assert pictures.dtype == np.uint8 and pictures.ndim == 4
    file = io.BytesIO()
    np.savez_compressed(file, pictures=pictures)
    return file.getvalue()


def digest(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def read_views(folder: Path, manifest: Manifest) -> np.ndarray:
    """The pictures of a pack that has some; a file that is not as the manifest says is refused."""
    assert manifest.views is not None
    path = folder / manifest.views.file
    if not path.is_file():
        raise ValueError(f"{folder}: its views, {manifest.views.file}, are missing")
    blob = path.read_bytes()
    if digest(blob) != manifest.views.sha256:
        raise ValueError(f"{path} is damaged (its hash is another); fetch or export the pack again")
    shape = (len(manifest.views.texts), manifest.height, manifest.width, 3)
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as file:
            # A few bytes may unfold into any number: a pack may come from a stranger.
            fits = file.getinfo("pictures.npy").file_size <= np.prod(shape) + HEADER
        pictures = np.load(io.BytesIO(blob), allow_pickle=False)["pictures"] if fits else None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is no file of views: {error}") from error
    if pictures is None or pictures.shape != shape or pictures.dtype != np.uint8:
        raise ValueError(f"{path}: its pictures are not {' x '.join(map(str, shape))} bytes")
    return pictures
