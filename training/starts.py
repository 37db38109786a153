"""Beginnings that a pack offers: a prompt, and a true picture of it to start from.

A small world paints a first picture from text alone badly, and goes on well from a true one. The
pictures come from seeds that training never drew from. Not here: captions of clips (worlds.wilds).

    picture(Start(prompt="a meadow at noon", biome="meadow", hour=12), height=64, width=96)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helios_core.packs.manifest import PresetSpec
from training.data import shards
from training.pictures import png_bytes

SEEDS = 1_950_000_000
"""Seeds of start pictures count from here, beyond those of evaluation's sets."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """One beginning."""

    prompt: str
    """What the world is then; say no more than its picture shows."""
    biome: str = ""
    """Where the picture is taken; without one the world starts from the prompt alone."""
    weather: str = "clear"
    hour: float = 12.0
    """0 to 24."""
    seed: int = 0
    """Another seed stands elsewhere."""
    clip: int = -1
    """Instead of a biome: the first frame of this clip of the export's recordings."""


def picture(start: Start, *, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3]: the first look at the world that a start describes."""
    from training.worlds.wilds.world import Wilds, WildsConfig

    config = WildsConfig(biomes=(start.biome,), weathers=(start.weather,), hours=(start.hour,))
    return Wilds([SEEDS + start.seed], height, width, config=config).render()[0].numpy()


def recorded(folder: Path, clip: int) -> np.ndarray:
    """uint8 [H, W, 3]: the first frame of the n-th clip in a folder of pixel shards."""
    left = clip
    for clips in shards.iterate(folder):
        assert clips.frames is not None, f"{folder} holds latents, not pixels"
        if left < len(clips.frames):
            return clips.frames[left, 0].numpy()
        left -= len(clips.frames)
    raise AssertionError(f"{folder} has no clip {clip}: check_clips first")


def check_clips(wanted: Sequence[int], folder: Path) -> None:
    """Refuse clips that a folder of shards has not."""
    count = sum(len(shards.read_info(path).captions) for path in shards.listing(folder))
    for clip in wanted:
        if clip >= count:
            raise ValueError(
                f"presets: {folder} has no clip {clip}; it has {count}, counted from 0: name "
                "others in presets, or record more"
            )


def presets(
    starts: Sequence[Start], *, height: int, width: int, clips: Path | None = None
) -> tuple[tuple[PresetSpec, ...], dict[str, bytes]]:
    """A pack's presets, and the PNG files that they name; `clips` holds the recordings."""
    if clips is not None:
        check_clips([start.clip for start in starts], clips)
    specs, files = [], {}
    for number, start in enumerate(starts, 1):
        pixels = None
        if start.biome:
            pixels = picture(start, height=height, width=width)
        elif start.clip >= 0:
            if clips is None:
                raise ValueError("presets: a start names a clip; say in `clips` whose")
            pixels = recorded(clips, start.clip)
        name = "" if pixels is None else f"start-{number}.png"
        specs.append(PresetSpec(prompt=start.prompt, image=name))
        if pixels is not None:
            files[name] = png_bytes(pixels)
    return tuple(specs), files
