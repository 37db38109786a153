"""What an importer hands over: clips with frames, actions and a caption; and writing them down.

Every layout becomes a list of `SourceClip` first and goes through one door into a data set, so
that what a file lacks is said the same way everywhere. A clip that is there as a whole is not
imported again: an import that was stopped goes on where it ended.

F frames, A channels, H W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from engine.rollouts.reader import RolloutDataset
from engine.rollouts.spec import RolloutSpec
from engine.rollouts.writer import RolloutWriter
from helios_core.actions import ActionSpec
from training.clips.pictures import fit

CHUNK = 20


@dataclass(frozen=True, kw_only=True)
class SourceClip:
    """One video with its actions, not yet decoded."""

    video: Path
    spec: ActionSpec
    actions: np.ndarray
    """[F, A] at the video's frame rate."""
    fps: int
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Where clips go and how large."""

    out: str
    """Folder of the data set."""
    height: int = 128
    """Pixels."""
    width: int = 192
    """Pixels."""
    licence: str = "unknown"
    """Of what is imported."""
    prompt: str = ""
    """Caption where the source has none."""


def write_clips(
    clips: Sequence[SourceClip],
    config: ImportConfig,
    *,
    layout: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """All clips into one data set but those that it has; returns the frames written."""
    if not clips:
        raise ValueError(f"no clips in the layout {layout} were found there")
    first = clips[0]
    for clip in clips:
        if (clip.spec, clip.fps) != (first.spec, first.fps):
            raise ValueError(
                f"{clip.video} has other actions or another frame rate ({clip.fps}) than "
                f"{first.video} ({first.fps}); import them into separate folders"
            )
    spec = RolloutSpec(
        fps=first.fps,
        height=config.height,
        width=config.width,
        actions=first.spec,
        source={"layout": layout, "licence": config.licence},
    )
    total = 0
    with RolloutWriter.open(config.out, spec) as writer:
        whole = [e for e in RolloutDataset.open(config.out).episodes if e.complete]
        there = {e.header.extra.get("digest") for e in whole}
        for number, clip in enumerate(clips):
            digest = _digest(clip, config)
            if digest not in there:
                total += _write(writer, clip, config, digest)
                writer.raise_if_failed()
            progress(number + 1, len(clips))
    return total


def _digest(clip: SourceClip, config: ImportConfig) -> str:
    """What a clip holds, in 16 digits: names of videos are often all the same."""
    found = blake2b((clip.caption or config.prompt).encode(), digest_size=8)
    found.update(np.ascontiguousarray(clip.actions).data)
    with clip.video.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _write(writer: RolloutWriter, clip: SourceClip, config: ImportConfig, digest: str) -> int:
    values = clip.spec.clip(clip.actions)
    prompt = clip.caption or config.prompt
    facts = {"video": clip.video.name, "digest": digest}
    writer.begin_episode(prompt=prompt, seed=0, extra=facts)
    done = 0
    for pictures in _chunks(clip.video, config.height, config.width):
        pictures = pictures[: len(values) - done]
        if not len(pictures):
            break
        part = values[done : done + len(pictures)]
        writer.write(pictures, part, part, prompt=prompt, chunk=done // CHUNK)
        done += len(pictures)
    if done == 0:
        raise ValueError(f"{clip.video} holds no frames that its actions cover")
    writer.end_episode()
    return done


def _chunks(path: Path, height: int, width: int) -> Iterator[np.ndarray]:
    """The frames of a video, a chunk at a time: uint8 [<=CHUNK, H, W, 3]."""
    kept: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                kept.append(fit(frame.to_ndarray(format="rgb24"), height, width))
                if len(kept) == CHUNK:
                    yield np.stack(kept)
                    kept = []
    except FFmpegError as error:
        raise ValueError(f"{path} cannot be read as a video: {error}") from error
    if kept:
        yield np.stack(kept)


def frame_rate(path: Path) -> int:
    """Frames per second of a video, rounded, as data sets have them."""
    return round(exact_rate(path))


def exact_rate(path: Path) -> Fraction:
    """Frames per second of a video; a missing file is a clear error."""
    if not path.exists():
        raise ValueError(f"the video {path} is missing")
    try:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a video: {error}") from error
    if not rate:
        raise ValueError(f"{path} does not tell its frame rate")
    return Fraction(rate)
