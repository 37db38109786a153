"""Data step `clips`: recordings in the project's rollout format become pixel shards.

Recordings of a real game, of Wilds or of play in a pack are the same format; pictures are scaled
to cover the wanted size and cropped. Episodes are cut into clips, the last short piece left out.

Legend: F frames, H W pixels, A action channels.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from helios_core.start import fit
from training.data import shards
from training.stages.context import StepContext
from training.trainer.progress import Progress


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Which recordings, at what size."""

    folders: tuple[str, ...]
    """Recordings (rollout datasets)."""
    height: int
    width: int
    fps: int = 0
    """Frames per second to keep, a divisor of the recordings'; 0 = as recorded."""
    frames: int = 600
    """Frames per clip."""
    least: int = 80
    """Shorter pieces are left out."""
    held_every: int = 10
    """Every so many episodes are held out, one that was cut off with the same one recorded anew;
    of a recording of fewer, every so many of its clips, which show the same places as those that
    are learned from."""
    held: bool = False
    """Write the held-out clips instead of the others. The two overlap unless the step that writes
    the others has the same settings."""

    def __post_init__(self) -> None:
        if not self.folders:
            raise ValueError("folders is empty; name at least one recording")
        for name in ("frames", "least", "held_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.fps < 0:
            raise ValueError(f"fps is {self.fps}; give at least 1, or 0 for the recording's own")


def clips(config: ClipsConfig, context: StepContext) -> dict[str, Any]:
    """One shard per clip."""
    from engine.rollouts.reader import RolloutDataset

    # Readers take every shard of the folder: none of an earlier run may stay among them.
    for old in context.rundir.path.glob("*.safetensors"):
        old.unlink()
    count = total = 0
    recordings = [(f, RolloutDataset.open(Path(f).expanduser())) for f in config.folders]
    _alike(recordings, config)
    for folder, data in recordings:
        step = _stride(config.fps or data.spec.fps, data.spec.fps, folder)
        progress = Progress(f"{context.name} {folder}", len(data.episodes))
        for episode, start, length, _ in chosen(list(pieces(data, config, step)), config):
            clip = _clip(data.read(episode, start, length), data.spec, config, step)
            shards.write(context.rundir.path / f"{count:05d}.safetensors", clip)
            count, total = count + 1, total + length // step
            progress.update(episode + 1)
        progress.close()
    if not count:
        raise ValueError(
            f"{context.name}: no {'held-out ' if config.held else ''}clip of {config.least} frames "
            f"in {', '.join(config.folders)}; record more or longer episodes, or lower least"
            f"{' or held_every' if config.held else ''}"
        )
    return {"clips": count, "frames": total}


def _alike(recordings: Sequence[tuple[str, Any]], config: ClipsConfig) -> None:
    """Refuse recordings that one model cannot learn from together."""
    (first, one), *others = recordings
    for folder, data in others:
        if data.spec.actions != one.spec.actions:
            raise ValueError(
                f"{folder} has other action channels than {first}; give each a recipe of its own"
            )
        if not config.fps and data.spec.fps != one.spec.fps:
            raise ValueError(
                f"{folder} has {data.spec.fps} frames/s, {first} {one.spec.fps}; set fps to a "
                "divisor of both"
            )


def _stride(wanted: int, recorded: int, folder: str) -> int:
    if recorded % wanted:
        raise ValueError(f"{folder} has {recorded} frames/s; fps = {wanted} does not divide it")
    return recorded // wanted


class Piece(NamedTuple):
    """A clip to be."""

    episode: int
    start: int
    frames: int
    origin: Hashable
    """What its episode shows."""


def pieces(data: Any, config: ClipsConfig, step: int) -> Iterator[Piece]:
    """Every clip, in order."""
    for episode in data.episodes:
        for start in range(0, episode.length, config.frames * step):
            length = min(config.frames * step, episode.length - start)
            if length >= config.least * step:
                yield Piece(episode.index, start, length, _origin(episode))


def _origin(episode: Any) -> Hashable:
    """The game and its seed, or the imported video: one that was cut off stays beside the same one
    recorded or imported anew. Of play, where a seed begins many, every episode is one of its own.
    """
    header = episode.header
    if "digest" in header.extra:
        return header.extra["digest"]
    if "env" in header.source:
        return header.source["env"], header.seed
    return episode.index


def chosen(found: Sequence[Piece], config: ClipsConfig) -> list[Piece]:
    """Those that are held out, or the others: whole episodes where there are enough. What shows
    the same falls on one side."""
    enough = len({piece.origin for piece in found}) >= config.held_every
    shown = [piece.origin if enough else (piece.origin, piece.start) for piece in found]
    turns = {what: turn for turn, what in enumerate(dict.fromkeys(shown))}
    last = config.held_every - 1
    return [
        piece
        for what, piece in zip(shown, found, strict=True)
        if (turns[what] % config.held_every == last) == config.held
    ]


def _clip(window: Any, spec: Any, config: ClipsConfig, step: int) -> shards.Clips:
    frames = _resized(window.frames[step - 1 :: step], config.height, config.width)
    count = len(frames)
    # A kept frame was reached by the actions since the one before it: a tap among them shows in it.
    since = window.applied[: count * step].reshape(count, step, spec.actions.size)
    buttons = np.array([c.kind == "button" for c in spec.actions.channels], bool)
    actions = np.where(buttons, since.max(1), since.mean(1))
    runs = [
        (text, [i for i, _ in group])
        for text, group in groupby(enumerate(window.prompts[step - 1 :: step]), key=lambda p: p[1])
    ]
    captions = tuple(shards.Segment(rows[0], (text,) if text else ()) for text, rows in runs)
    info = shards.ClipInfo(
        fps=spec.fps // step,
        spec=spec.actions,
        captions=(captions,),
        origin=_told(spec.source),
    )
    return shards.Clips(
        info, torch.from_numpy(actions.astype(np.float32))[None], frames=frames[None]
    )


def _told(source: Mapping[str, Any]) -> dict[str, Any]:
    """What a shard's header says of the recording that it was cut from."""
    plain = {k: v for k, v in source.items() if isinstance(v, str | int | float)}
    return {**plain, "bindings": source["bindings"]} if source.get("bindings") else plain


def _resized(frames: np.ndarray, height: int, width: int) -> Tensor:
    """uint8 [F, H, W, 3] at the wanted size."""
    if frames.shape[1:3] == (height, width):
        return torch.from_numpy(np.ascontiguousarray(frames))
    video = fit(frames, height, width)[0]
    return ((video + 1) * 127.5).round().byte().permute(1, 2, 3, 0).contiguous()
