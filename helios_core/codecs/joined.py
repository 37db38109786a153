"""A codec whose groups of frames lead over into each other.

What a small world draws anew in each chunk would appear between two frames, five times a second.
So the last frame of the group before moves on as the view does in the new group
(helios_core.codecs.motion), and the group's first frames are mixed with it, less and less; its last
frame stays as it is decoded. Decoding therefore reads one latent more and keeps nothing, and chunk
by chunk gives the same frames as all at once. Not here: what stays the same while nothing happens
(helios_core.stillness).

    codec = JoinedCodec(codec, Joining())

B batch, C latent channels, K frames of a group, F = K*n pixel frames, n groups, R context latents,
H W pixels, h w latent rows and columns.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from helios_core.codecs.api import Codec
from helios_core.codecs.motion import motion_of, moved


@dataclass(frozen=True, kw_only=True)
class Joining:
    """How groups lead over."""

    shares: tuple[float, ...] = (0.65, 0.4, 0.15)
    """Of the moved last frame before, in the first, second, ... frame of a group; 0 to 1."""

    def __post_init__(self) -> None:
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(f"joining.shares is {self.shares}; give shares of 0 to 1")


class JoinedCodec:
    """Another codec, a streamed one, with joined groups."""

    layout: Literal["windowed", "streamed"] = "streamed"

    def __init__(self, codec: Codec, joining: Joining) -> None:
        if codec.layout != "streamed" or len(joining.shares) >= codec.temporal:
            raise ValueError(
                f"joining: {len(joining.shares)} frames of each group are mixed; that takes a "
                f"streamed codec with more frames per latent, and this one is {codec.layout} "
                f"with {codec.temporal}"
            )
        self.codec, self.joining = codec, joining
        self.spatial, self.temporal, self.channels = codec.spatial, codec.temporal, codec.channels
        self.context = codec.context + 1

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, F, H, W] in [-1, 1] to latents [B, C, n, h, w]."""
        return self.codec.encode(video)

    def decode(self, latents: Tensor, *, new: int) -> Tensor:
        """[B, C, R + n, h, w] to pixels [B, 3, F, H, W] of the last `new` latents.

        With nothing before them, the first group begins as it is decoded.
        """
        before = min(1, latents.shape[2] - new)
        frames = self.codec.decode(latents, new=new + before)
        return join(frames, self.joining, self.temporal)[:, :, before * self.temporal :]


def join(frames: Tensor, joining: Joining, size: int) -> Tensor:
    """[B, 3, K*n, H, W] in groups of K = `size`, each led over from the one before."""
    if frames.shape[2] <= size:
        return frames
    groups = frames.unflatten(2, (-1, size)).transpose(1, 2).clone()  # [B, n, 3, K, H, W]
    last, later = groups[:, :-1, :, -1].flatten(0, 1), groups[:, 1:]
    motion = motion_of(later.flatten(0, 1))
    for k, share in enumerate(joining.shares):
        ahead = moved(last, (k + 1) * motion).unflatten(0, later.shape[:2])
        later[:, :, :, k] += share * (ahead - later[:, :, :, k])
    return groups.transpose(1, 2).flatten(2, 3)
