"""The file of a pack's views: an npz with one array of pictures, hashed by the manifest.

Lossless, a third smaller than bare pixels, and read with numpy alone. Not here: which view a text
leads to (helios_core.views).

    pictures = read_views(folder, manifest)
"""

import hashlib
import io
import lzma
import zipfile
import zlib
from pathlib import Path

import numpy as np

from helios_core.packs.manifest import Manifest

FILE = "views.npz"
NAME = "pictures.npy"
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, KeyError, EOFError, ValueError, RuntimeError
)  # fmt: skip
"""What reading a damaged zip may raise; a RuntimeError where it is encrypted or packed oddly."""


def views_bytes(pictures: np.ndarray) -> bytes:
    """Pictures uint8 [V, H, W, 3] as a file."""
    assert pictures.dtype == np.uint8 and pictures.ndim == 4
    file = io.BytesIO()
    np.savez_compressed(file, pictures=pictures)
    return file.getvalue()


def digest(pictures: np.ndarray) -> str:
    """Of the pixels, however they were packed."""
    return hashlib.sha256(np.ascontiguousarray(pictures).data).hexdigest()


def read_views(folder: Path, manifest: Manifest) -> np.ndarray:
    """The pictures of a pack that has some; a file that is not as the manifest says is refused."""
    assert manifest.views is not None
    path = folder / manifest.views.file
    if not path.is_file():
        raise ValueError(f"{folder}: its views, {manifest.views.file}, are missing")
    shape = (len(manifest.views.texts), manifest.height, manifest.width, 3)
    header = _header(shape)
    try:
        with zipfile.ZipFile(path) as file:
            # A few bytes may unfold into any number: a pack may come from a stranger.
            size = file.getinfo(NAME).file_size
            data = file.read(NAME) if size == len(header) + np.prod(shape) else b""
    except UNREADABLE as error:
        raise ValueError(f"{path} is no file of views: {error}") from error
    if not data.startswith(header):
        raise ValueError(f"{path}: its pictures are not {' x '.join(map(str, shape))} bytes")
    pictures = np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape).copy()
    if digest(pictures) != manifest.views.sha256:
        raise ValueError(f"{path} holds other pictures than {manifest.name} was made with")
    return pictures


def _header(shape: tuple[int, ...]) -> bytes:
    """What stands before the pixels of such an array."""
    file = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()
