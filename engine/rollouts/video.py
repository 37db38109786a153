"""Frames to H.264 and back: a crash-safe encoder, a copy without re-encoding, a seeking reader.

The encoder writes fragmented mp4 with one fragment per frame, each flushed when the next one
comes, so that a killed process loses one frame. `copy_packets` turns that into an ordinary mp4.
Not here: which frame belongs to which episode.

F frames, H W pixels.
"""

import io
import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

FRAGMENTED = "frag_every_frame+empty_moov+default_base_moof"


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How frames are compressed. Hashes of the exact frames are logged beside the video."""

    crf: int = 18
    """x264 quality; 18 is about 1.5/255 mean error."""
    preset: str = "veryfast"
    """x264 effort: 380 frames/s at 384x640 and 3,200 at 128x192 on one core."""
    keyframe: int = 2
    """Frames between key frames; LeRobot's 2 makes random access cheap."""


class FrameEncoder:
    """Appends frames to a fragmented mp4 that is readable at every moment."""

    def __init__(
        self, path: Path, *, fps: int, height: int, width: int, config: VideoConfig | None = None
    ) -> None:
        config = config or VideoConfig()
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close
        self._base = Fraction(1, fps)
        self._count = 0
        self._container = av.open(
            _Unseekable(self._file), "w", format="mp4",
            options={"movflags": FRAGMENTED, "flush_packets": "1"},
        )  # fmt: skip
        options = {
            "crf": str(config.crf), "preset": config.preset, "g": str(config.keyframe),
            "bf": "0", "tune": "zerolatency", "threads": "1",
        }  # fmt: skip
        self._stream = self._container.add_stream("libx264", rate=fps, options=options)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = self._base

    def append(self, frames: np.ndarray) -> None:
        """Encode and flush frames [F, H, W, 3]."""
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = self._count, self._base
            self._count += 1
            self._container.mux(self._stream.encode(picture))

    @property
    def stored(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        """Finish the file; after a failed write, only let go of it."""
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
        finally:
            self._file.close()


class _Unseekable:
    """A file that the muxer may only append to: what it wrote once stays."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        view, done = memoryview(data), 0
        while done < len(view):
            done += self._file.write(view[done:])
        return done


class _WholeBoxes(io.FileIO):
    """An mp4 up to its last whole box: ffmpeg opens no file whose newest fragment is torn."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self.fragments = 0
        """Frames of a fragmented file: one fragment each."""
        self.whole = 0
        end = super().seek(0, os.SEEK_END)
        while self.whole + 16 <= end:
            super().seek(self.whole)
            size, kind, long = struct.unpack(">I4sQ", super().read(16))
            size = long if size == 1 else size
            if size < 8 or self.whole + size > end:
                break
            self.whole += size
            self.fragments += kind == b"mdat"
        super().seek(0)

    def readinto(self, buffer: Any) -> int:
        left = max(0, self.whole - self.tell())
        return super().readinto(memoryview(buffer)[:left])

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.whole - self.tell())
        return super().read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            return super().seek(self.whole + offset)
        return super().seek(offset, whence)


def count_fragments(path: Path) -> int:
    """Whole frames in a file of `FrameEncoder`, also one that broke off or is being written."""
    with _WholeBoxes(path) as file:
        return file.fragments


def copy_packets(sources: Sequence[tuple[Path, int]], target: Path) -> None:
    """The first so many frames of each video, one after the other, as one ordinary mp4.

    Nothing is encoded again, so the videos must be of one kind (`stream_kind`).
    """
    options = {"movflags": "+faststart"}
    with av.open(str(target), "w", format="mp4", options=options) as write:
        stream, ticks = None, 0
        for path, frames in sources:
            with _WholeBoxes(path) as file, av.open(file, "r") as read:
                stream = stream or write.add_stream_from_template(read.streams.video[0])
                ticks = _copy(read, write, stream, frames, ticks)


def _copy(read: Any, write: Any, stream: Any, frames: int, ticks: int) -> int:
    """Append packets from time `ticks` on; the time after them."""
    source = read.streams.video[0]
    step = round(1 / (source.average_rate * source.time_base))
    copied = 0
    for packet in read.demux(source):
        if packet.size == 0 or copied == frames:
            break
        packet.pts = packet.dts = ticks + copied * step
        packet.duration = step
        packet.stream = stream
        write.mux(packet)
        copied += 1
    assert copied == frames, f"{read.name} has {copied} frames, not {frames}"
    return ticks + copied * step


def stream_kind(path: Path) -> tuple:
    """What two videos must have in common to become one without encoding."""
    with _WholeBoxes(path) as file, av.open(file, "r") as read:
        stream = read.streams.video[0]
        return (stream.width, stream.height, stream.time_base, stream.codec_context.extradata)


class VideoReader:
    """Random access to the frames of one mp4 by number. One thread at a time."""

    def __init__(self, path: Path, *, fps: int) -> None:
        self._container = av.open(str(path))
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1
        self._fps = fps
        self._busy = threading.Lock()

    def read(self, start: int, frames: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Frames [F, H, W, 3] from number `start` on."""
        stream = self._stream
        if out is None:
            out = np.empty((frames, stream.height, stream.width, 3), np.uint8)
        with self._busy:
            base = stream.time_base
            assert base is not None
            self._container.seek(round(start / self._fps / base), stream=stream)
            for picture in self._container.decode(stream):
                assert picture.pts is not None
                number = round(picture.pts * base * self._fps)
                if number >= start:
                    out[number - start] = picture.to_ndarray(format="rgb24")
                if number >= start + frames - 1:
                    return out
        raise ValueError(f"{self._container.name} ends before frame {start + frames - 1}")

    def close(self) -> None:
        self._container.close()
