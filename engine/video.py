"""Pictures and videos in files: mp4 writing beside the play, reading a start image or clip, PNG.

A `Film` encodes in a thread of its own behind a short queue, so that a frame costs the loop a
copy and no more; when the encoder falls behind, `write` waits. Not here: rollouts (they have a
format of their own in engine.rollouts) and overlays.

    film = Film(Path("out.mp4"), fps=20); film.write(frame); film.close()

F pixel frames, H W pixels.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

QUEUE_FRAMES = 64
"""Frames that may wait for the encoder: about three seconds, 47 MB at 640x384."""


def check_name(path: Path) -> None:
    """A ValueError for a video that `Film` would not write."""
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"{path}: videos are written as .mp4")


class Film:
    """An mp4 (H.264) that grows by one frame at a time. Errors of the encoder are OSErrors."""

    def __init__(self, path: Path, *, fps: int) -> None:
        import av

        path = Path(path)
        check_name(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.frames = 0
        self.high_water = 0
        """The most frames that ever waited."""
        self._container = av.open(str(path), "w")
        self._fps = fps
        self._stream = None
        self._size: tuple[int, ...] | None = None
        self._failure: OSError | None = None
        self._queue: queue.Queue[np.ndarray | None] = queue.Queue(QUEUE_FRAMES)
        self._thread = threading.Thread(target=self._encode_all, name="film", daemon=True)
        self._thread.start()

    def write(self, frame: np.ndarray) -> None:
        """Append a frame uint8 [H, W, 3]; all of one size."""
        if self._failure is not None:
            raise self._failure
        if self._size not in (None, frame.shape):
            raise OSError(f"{self.path}: its pictures are {self._size}, not {frame.shape}")
        self._size = frame.shape
        self.frames += 1
        self._queue.put(np.array(frame, copy=True))
        self.high_water = max(self.high_water, self._queue.qsize())

    def close(self) -> None:
        """Finish the file; raises what the encoder ran into, or that there was nothing to film."""
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        if not self.frames:
            raise OSError(f"{self.path}: no frame was filmed, so there is no video")

    def _encode_all(self) -> None:
        """The thread. After a failure frames are taken and thrown away, so that nobody waits."""
        while (frame := self._queue.get()) is not None:
            if self._failure is None:
                self._attempt(lambda frame=frame: self._encode(frame))
        if self._failure is None:
            self._attempt(self._finish)

    def _finish(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever it is, `write` and `close` raise it to the player
            reason = getattr(error, "strerror", None) or error
            self._failure = OSError(f"{self.path}: {reason}")

    def _encode(self, frame: np.ndarray) -> None:
        import av

        frame = _even(frame)
        if self._stream is None:
            stream = self._container.add_stream("libx264", rate=Fraction(self._fps))
            stream.height, stream.width = frame.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "veryfast", "crf": "18", "threads": "1"}
            self._stream = stream
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        self._container.mux(self._stream.encode(picture))


def _even(frame: np.ndarray) -> np.ndarray:
    """H.264 in 4:2:0 wants even sizes: repeat the last row or column of an odd one."""
    pad = ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0))
    return np.pad(frame, pad, mode="edge") if any(p[1] for p in pad) else frame


def read_image(path: Path) -> np.ndarray:
    """uint8 [H, W, 3] of an image file (PNG, JPEG, WebP ...)."""
    for picture in _pictures(path):
        return picture.to_ndarray(format="rgb24")
    raise ValueError(f"{path}: holds no pictures")


def read_clip(path: Path, *, first: int = 16, last: int = 160) -> np.ndarray:
    """uint8 [F, H, W, 3] of a video file. A world goes on from a clip's end and is anchored to its
    beginning, so of a longer film there are only so many `first` and `last` frames."""
    begin, end = [], deque(maxlen=last)
    for picture in _pictures(path):
        (begin if len(begin) < first else end).append(picture)
    if not begin:
        raise ValueError(f"{path}: holds no pictures")
    return np.stack([picture.to_ndarray(format="rgb24") for picture in (*begin, *end)])


def _pictures(path: Path) -> Iterator[Any]:
    """The decoded frames of a file (av.VideoFrame), one after the other."""
    import av

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            yield from container.decode(video=0)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{path}: not an image or a video that can be read ({error})") from error


def png_bytes(frame: np.ndarray) -> bytes:
    """A picture uint8 [H, W, 3] as PNG."""
    import av

    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = frame.shape[:2]
    codec.pix_fmt = "rgb24"
    codec.time_base = Fraction(1, 1)
    packets = codec.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24"))
    packets += codec.encode(None)
    return b"".join(bytes(packet) for packet in packets)
