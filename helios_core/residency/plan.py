"""Who is on the device when: a pure function of sizes and free memory.

From fastest to smallest: everything stays; the text encoder comes only to encode; the codec comes
only to decode; each of the three has the device for itself; the transformer's blocks stream
through two slots while some of them stay; the text encoder runs on the host. The first that fits
is taken. Not here: moving anything (executor), estimating sizes (sizes).

    plan = plan_residency(sizes, free=torch.cuda.mem_get_info()[0])
"""

from dataclasses import dataclass
from typing import Literal

Place = Literal["stays", "turns", "streams", "host"]
SLOTS = 2
"""Device buffers that groups of blocks stream through: one computes while one fills."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of weights and of what is needed beside them while a part runs."""

    text_encoder: int
    text_encoder_work: int
    trunk: int
    """The transformer without its blocks."""
    blocks: tuple[int, ...]
    """Each of the transformer's blocks."""
    transformer_work: int
    codec: int
    codec_work: int

    @property
    def transformer(self) -> int:
        return self.trunk + sum(self.blocks)


@dataclass(frozen=True, kw_only=True)
class ResidencyPlan:
    """Where each part lives, and what that costs."""

    text_encoder: Place
    transformer: Place
    codec: Place
    alone: bool = False
    """Whoever's turn it is, the others leave the device; a streaming transformer's slots stay."""
    staying_blocks: int = 0
    """Streaming: so many first blocks stay on the device."""
    group: int = 0
    """Streaming: blocks of a group."""
    peak: int = 0
    """Bytes on the device at most."""
    moved_per_pass: int = 0
    """Bytes that stream to the device in every forward pass."""
    moved_per_chunk: int = 0
    """Bytes that move to the device once per chunk, streaming aside."""

    @property
    def everything_stays(self) -> bool:
        return {self.text_encoder, self.transformer, self.codec} == {"stays"}


def plan_residency(sizes: Sizes, *, free: int, group: int = 1) -> ResidencyPlan:
    """The fastest plan that fits `free` bytes; `group` blocks stream at a time."""
    if group < 1:
        raise ValueError(f"blocks stream in groups of 1 or more, not {group}")
    for plan in (*_whole(sizes), *_streamed(sizes, free, group)):
        if plan.peak <= free:
            return plan
    needed = min(plan.peak for plan in _streamed(sizes, 0, 1))
    raise ValueError(
        f"this pack needs {gib(needed)} of device memory even with its blocks streamed one by one; "
        f"{gib(free)} are free: close other programs, choose a smaller picture, or play on the CPU"
    )


def _whole(sizes: Sizes) -> list[ResidencyPlan]:
    """Plans in which the transformer is on the device as a whole while it runs."""
    text, body, codec = sizes.text_encoder, sizes.transformer, sizes.codec
    works = (sizes.text_encoder_work, sizes.transformer_work, sizes.codec_work)
    with_text = text + works[0]
    return [
        ResidencyPlan(
            text_encoder="stays",
            transformer="stays",
            codec="stays",
            peak=text + body + codec + max(works),
        ),
        ResidencyPlan(
            text_encoder="turns",
            transformer="stays",
            codec="stays",
            peak=body + codec + max(with_text, *works[1:]),
        ),
        ResidencyPlan(
            text_encoder="turns",
            transformer="stays",
            codec="turns",
            peak=body + max(with_text, works[1], codec + works[2]),
            moved_per_chunk=codec,
        ),
        # The text encoder is so seldom needed that the transformer may leave for it; it stays for
        # the codec, which is there all the time.
        ResidencyPlan(
            text_encoder="turns",
            transformer="turns",
            codec="stays",
            alone=True,
            peak=codec + max(with_text, body + max(works[1:])),
        ),
        ResidencyPlan(
            text_encoder="turns",
            transformer="turns",
            codec="turns",
            alone=True,
            peak=max(with_text, body + works[1], codec + works[2]),
            moved_per_chunk=body + codec,
        ),
    ]


def _streamed(sizes: Sizes, free: int, group: int) -> list[ResidencyPlan]:
    """Plans in which blocks stream; as many stay as fit. The host encodes text if it must.

    A codec that takes turns comes beside the transformer, which would else move for every chunk.
    """
    largest = max(sizes.blocks, default=0)
    slots = SLOTS * group * largest
    plans = []
    for codec_stays in (True, False):
        codec, turn = (sizes.codec, 0) if codec_stays else (0, sizes.codec)
        busy = sizes.trunk + slots + max(sizes.transformer_work, turn + sizes.codec_work)
        room = free - codec - busy
        staying = 0
        while staying < len(sizes.blocks) and sum(sizes.blocks[: staying + 1]) <= room:
            staying += 1
        kept = sum(sizes.blocks[:staying])
        # For a prompt, trunk and staying blocks leave the device and come back.
        text_peak = codec + slots + sizes.text_encoder + sizes.text_encoder_work
        on_host = text_peak > free
        peak = codec + busy + kept
        plans.append(
            ResidencyPlan(
                text_encoder="host" if on_host else "turns",
                transformer="streams",
                codec="stays" if codec_stays else "turns",
                alone=not on_host,
                staying_blocks=staying,
                group=group,
                peak=peak if on_host else max(peak, text_peak),
                moved_per_pass=sum(sizes.blocks[staying:]),
                moved_per_chunk=turn,
            )
        )
    return plans


def gib(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GiB"
