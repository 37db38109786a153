"""A codec that works beside the transformer: on a CUDA stream of its own, or on another device.

    codec = BesideCodec(codec, torch.device("cuda:1"))
    first = codec.begin(latents, new=9)        # queued; the transformer goes on with the next chunk
    video = first.frames()                     # whatever is asked for from now on waits for it
    pixels = first.on_host(to_bytes)           # or: the host waits for it, and for nothing else

It is a codec itself: `decode` begins and waits. On a CPU there are no streams, and `begin` decodes.

B batch, C latent channels, F pixel frames, n latent frames, R context latents, H W pixels,
h w latent rows and columns.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from helios_core.codecs.api import Codec


class Decoding:
    """Frames that may still be in the making: on a `stream`, until the event `done`."""

    def __init__(self, frames: Tensor, stream: Any = None, done: Any = None) -> None:
        self._frames, self._stream, self._done = frames, stream, done

    @property
    def ready(self) -> bool:
        """There is no stream that still works on them."""
        return self._stream is None

    def frames(self) -> Tensor:
        """[B, 3, F, H, W]; work on the current stream waits for them."""
        if self._done is not None:
            stream = torch.cuda.current_stream(self._frames.device)
            stream.wait_event(self._done)
            self._frames.record_stream(stream)
        return self._frames

    def on_host(self, change: Callable[[Tensor], Tensor]) -> Tensor:
        """`change(frames)` in the host's memory, whatever other streams still have to do."""
        if self._stream is None:
            return change(self._frames).cpu()
        with torch.cuda.stream(self._stream):  # a copy to the host waits for its own stream alone
            return change(self._frames).cpu()


class BesideCodec:
    """Another codec, which lives on `device`."""

    def __init__(self, codec: Codec, device: torch.device) -> None:
        self.codec, self.device = codec, device
        self.layout: Literal["windowed", "streamed"] = codec.layout
        self.spatial, self.temporal = codec.spatial, codec.temporal
        self.channels, self.context = codec.channels, codec.context
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, F, H, W] in [-1, 1] to latents [B, C, n, h, w] on the video's device."""
        return self.codec.encode(video.to(self.device)).to(video.device)

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """[B, C, R + n, h, w] to pixels [B, 3, F, H, W], on the codec's device."""
        return self.begin(latents, new=new).frames()

    def begin(self, latents: Tensor, *, new: int) -> Decoding:
        """The same, without waiting."""
        if self._stream is None:
            return Decoding(self.codec.decode(latents.to(self.device), new=new))
        if latents.device.type == "cuda":
            self._stream.wait_stream(torch.cuda.current_stream(latents.device))
        with torch.cuda.stream(self._stream):
            here = latents.to(self.device, non_blocking=True)
            frames = self.codec.decode(here, new=new)
            done = self._stream.record_event()
        if here is latents:  # their memory must not go to others before it was read
            latents.record_stream(self._stream)
        return Decoding(frames, self._stream, done)


def begin(codec: Codec, latents: Tensor, *, new: int) -> Decoding:
    """Decode, beside everything else if the codec is one that can."""
    if isinstance(codec, BesideCodec):
        return codec.begin(latents, new=new)
    return Decoding(codec.decode(latents, new=new))
