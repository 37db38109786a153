"""What a data set of clips holds, and whether all of it can be read.

    summary = summarise(dataset)      # counts, hours, histograms of every channel
    for problem in problems(dataset): print(problem)

F frames, A channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import av.error
import numpy as np

from engine.rollouts.layout import Layout
from engine.rollouts.reader import Episode, RolloutDataset

BINS = 9


@dataclass(frozen=True, kw_only=True)
class ChannelUse:
    """How one channel was used."""

    name: str
    active: float
    """Share of frames in which it was not zero."""
    low: float
    high: float
    histogram: tuple[int, ...]
    """Frames by value, over the channel's range."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A data set at a glance."""

    episodes: int
    frames: int
    hours: float
    still: float
    """Share of frames in which nothing was touched."""
    captions: tuple[str, ...]
    channels: tuple[ChannelUse, ...]
    source: dict


def summarise(dataset: RolloutDataset) -> Summary:
    """Counts over every frame of the data set."""
    spec = dataset.spec
    tracks = [dataset.columns(e.index)["action"] for e in dataset.episodes if spec.actions.size]
    values = np.concatenate(tracks) if tracks else np.zeros((0, spec.actions.size), np.float32)
    captions = sorted({task for episode in dataset.episodes for task in episode.tasks})
    return Summary(
        episodes=len(dataset.episodes),
        frames=dataset.frames,
        hours=dataset.frames / spec.fps / 3600,
        still=float((values == 0).all(1).mean()) if len(values) else 1.0,
        captions=tuple(captions),
        channels=tuple(_use(c, values[:, i]) for i, c in enumerate(spec.actions.channels)),
        source=dict(spec.source),
    )


def _use(channel, values: np.ndarray) -> ChannelUse:
    counts, _ = np.histogram(values, BINS, (channel.low, channel.high))
    return ChannelUse(
        name=channel.name,
        active=float((values != 0).mean()) if len(values) else 0.0,
        low=float(values.min(initial=0.0)),
        high=float(values.max(initial=0.0)),
        histogram=tuple(int(n) for n in counts),
    )


def lines(summary: Summary) -> Iterator[str]:
    """The summary as text, a bar of the histogram per channel."""
    yield f"{summary.episodes} episodes, {summary.frames} frames, {summary.hours:.2f} h"
    yield f"standing still in {summary.still:.0%} of frames"
    for key, value in summary.source.items():
        yield f"{key}: {value}"
    for use in summary.channels:
        yield f"  {use.name:<14} {_bar(use.histogram)}  used {use.active:.0%}"
    shown = summary.captions[:8]
    yield f"{len(summary.captions)} captions" + (":" if shown else "")
    yield from (f"  {caption}" for caption in shown)


def _bar(histogram: tuple[int, ...]) -> str:
    most = max(1, *histogram)
    return "".join(" ▁▂▃▄▅▆▇█"[round(8 * (n / most) ** 0.5)] for n in histogram)


def problems(dataset: RolloutDataset) -> Iterator[str]:
    """Everything that keeps an episode from being used, in words. One that was cut off is short,
    and of use."""
    if Layout(dataset.root).journal.exists():
        yield (
            "a recording is going on or was interrupted; after a crash, "
            "`helios rollouts check --repair` closes it"
        )
    for episode in dataset.episodes:
        yield from _problems_of(dataset, episode)


def _problems_of(dataset: RolloutDataset, episode: Episode) -> Iterator[str]:
    name = f"episode {episode.index}"
    try:
        window = dataset.read(episode.index)
    except (ValueError, OSError, av.error.FFmpegError) as error:
        yield f"{name} cannot be read: {error}"
        return
    try:
        dataset.spec.actions.validate(window.applied)
    except ValueError as error:
        yield f"{name}: {error}"
    if not any(episode.tasks):
        yield f"{name} has no caption; the text encoder learns nothing from it"
    if len(window.frames) > 1 and (window.frames == window.frames[0]).all():
        yield f"{name} shows one picture for all of its {len(window.frames)} frames"
