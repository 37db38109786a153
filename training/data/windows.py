"""Training windows over latent clips held in memory: history, anchor, targets, actions, text.

All clips lie in one flat row of latents; a window is a list of indices into it, so that a batch
is one gather however long the clips are. Not here: corruption, which changes the values.

Legend: B batch, T target latents, K history latents before them, W pixel frames per latent,
A action channels, C latent channels, h w rows and columns.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helios_core.actions import ActionSpec
from helios_core.conditioning import encode_actions
from training.data import shards
from training.trainer.draw import Draw


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How windows are drawn."""

    targets: int = 1
    """Latents per chunk."""
    history: int = 19
    """Latents of history beside the anchor."""
    text_to_video: float = 0.15
    """Share of windows without any history or anchor."""
    image_to_video: float = 0.1
    """Share with one frame only, which is the anchor as well."""
    partial: float = 0.15
    """Share whose history began a few latents ago, as at the start of a session."""
    anchor_dropped: float = 0.15
    """Share of the other windows without an anchor."""
    anchor_first: float = 0.2
    """Share anchored at the clip's first latent; the others lie at a log-uniform age."""
    switched: float = 0.0
    """Share whose older past is another clip's. What text says then contradicts what history
    shows, and the target follows the text: how a world learns to obey a new prompt at once."""
    text_dropped: float = 0.1
    action_dropped: float = 0.1


@dataclass(frozen=True)
class Window:
    """One batch: indices into the bank of latents, and the values that conditions need."""

    target: Tensor
    """[B, T] indices."""
    past: Tensor
    """[B, 1 + K] indices, the anchor first; -1 = absent."""
    actions: Tensor
    """[B, T, W, A] normalised."""
    action_mask: Tensor
    """[B] bool, False = dropped (null action)."""
    texts: list[str]
    """Empty = dropped."""


class Drawn(NamedTuple):
    """A window's indices while they are drawn, on the host."""

    target: Tensor
    """[B, T]"""
    past: Tensor
    """[B, 1 + K]"""
    keep: Tensor
    """[B] whether the actions are told"""
    texts: list[str]


class LatentSet:
    """Clips of latents as one flat row, on one device."""

    def __init__(
        self,
        latents: Tensor,
        actions: Tensor,
        lengths: Sequence[int],
        captions: Sequence[Sequence[tuple[int, tuple[str, ...]]]],
        spec: ActionSpec,
        fps: int,
        align: int = 1,
    ) -> None:
        """latents [M, C, h, w]; actions [M, W, A] normalised; lengths sum to M; captions of each
        clip, from which latent on."""
        self.latents, self.actions = latents, actions
        self.spec, self.fps, self.align = spec, fps, align
        self.lengths = torch.tensor(lengths)
        self.starts = torch.cat([torch.zeros(1, dtype=torch.long), self.lengths.cumsum(0)[:-1]])
        self.texts: list[tuple[str, ...]] = []
        self.text_of = torch.empty(len(latents), dtype=torch.long)  # caption of each latent
        self._index_captions(captions)

    def _index_captions(self, captions: Sequence[Sequence[tuple[int, tuple[str, ...]]]]) -> None:
        known: dict[tuple[str, ...], int] = {}
        pairs = zip(self.starts.tolist(), self.lengths.tolist(), captions, strict=True)
        for start, length, segments in pairs:
            self.text_of[start : start + length] = known.setdefault(("",), len(known))
            for first, texts in segments:
                index = known.setdefault(texts or ("",), len(known))
                self.text_of[start + min(length, first) : start + length] = index
        self.texts = list(known)

    @staticmethod
    def load(folder: Path, device: torch.device | str = "cpu") -> "LatentSet":
        """All latent shards of a folder."""
        latents, actions, lengths, captions = [], [], [], []
        info, align = None, 1
        for clips in shards.iterate(folder):
            assert clips.latents is not None, f"{folder} holds pixels, not latents"
            if info is not None and (info.spec, info.fps) != (clips.info.spec, clips.info.fps):
                raise ValueError(
                    f"{folder} holds shards of other actions or another frame rate "
                    f"({clips.info.fps} after {info.fps}); give each kind a step of its own"
                )
            info, align = clips.info, _chunk_of(clips)
            count, length = clips.latents.shape[:2]
            latents.append(clips.latents.flatten(0, 1))
            actions.append(_encoded(clips, length))
            lengths += [length] * count
            firsts = _first_frames(clips, length)
            captions += [
                [(bisect_left(firsts, s.start), s.texts) for s in segments]
                for segments in info.captions
            ]
        assert info is not None
        return LatentSet(
            torch.cat(latents).to(device),
            torch.cat(actions).to(device),
            lengths,
            captions,
            info.spec,
            info.fps,
            align,
        )

    @property
    def device(self) -> torch.device:
        return self.latents.device

    def sample(self, batch: int, config: WindowConfig, draw: Draw) -> Window:
        """A batch of windows, every latent equally likely to be a target."""
        clip, offset = self.targets(batch, config.targets, draw)
        begun = self._begun(offset, config, draw)
        anchor = self._anchor(offset, begun, config, draw)
        drawn = self._drawn(clip, offset, begun, anchor, config, draw)
        if config.switched:
            past, anchor = self._switch(drawn.past[:, 1:], drawn.past[:, 0], config, draw)
            drawn = drawn._replace(past=torch.cat([anchor[:, None], past], 1))
        return self._placed(drawn)

    def window(
        self,
        clip: Tensor,
        offset: Tensor,
        begun: Tensor,
        anchor: Tensor,
        config: WindowConfig,
        draw: Draw,
    ) -> Window:
        """Windows at given offsets of given clips, of sessions begun and anchored at others."""
        return self._placed(self._drawn(clip, offset, begun, anchor, config, draw))

    def _drawn(
        self,
        clip: Tensor,
        offset: Tensor,
        begun: Tensor,
        anchor: Tensor,
        config: WindowConfig,
        draw: Draw,
    ) -> Drawn:
        start = self.starts[clip]
        ages = torch.arange(config.history, 0, -1)  # oldest first, the last latent is 1 old
        at = offset[:, None] - ages[None]
        past = torch.where(at >= begun[:, None], start[:, None] + at, -1)
        anchor = torch.where(anchor >= 0, start + anchor, -1)
        target = (start + offset)[:, None] + torch.arange(config.targets)
        keep = draw.host_uniform(len(clip)) >= config.action_dropped
        texts = self.texts_at(target[:, 0], config.text_dropped, draw)
        return Drawn(target, torch.cat([anchor[:, None], past], 1), keep, texts)

    def _placed(self, drawn: Drawn) -> Window:
        """With the indices where the latents are: in one copy, which nobody waits for."""
        target, past, keep, texts = drawn
        parts = [target, past, keep[:, None]]
        together = torch.cat(parts, 1).to(self.device, non_blocking=True)
        target, past, keep = together.split([part.shape[1] for part in parts], 1)
        target = target.contiguous()
        return Window(target, past, self.actions[target], keep[:, 0] > 0, texts)

    def targets(self, batch: int, targets: int, draw: Draw) -> tuple[Tensor, Tensor]:
        """Clip and offset of the first target latent; offsets are multiples of `align`."""
        if targets % self.align:
            raise ValueError(
                f"windows.targets = {targets}: these latents come in chunks of {self.align}"
            )
        usable = ((self.lengths - targets) // self.align + 1).clamp(min=0)
        assert int(usable.sum()) > 0, "every clip is shorter than one chunk"
        ends = usable.cumsum(0)
        at = draw.integers(0, int(ends[-1]), batch)
        clip = torch.searchsorted(ends, at, right=True)
        return clip, (at - (ends[clip] - usable[clip])) * self.align

    @staticmethod
    def _begun(offset: Tensor, config: WindowConfig, draw: Draw) -> Tensor:
        """Offset at which this window's session began: earlier latents are absent."""
        batch = len(offset)
        kind = draw.host_uniform(batch)
        few = offset - draw.integers(1, config.history + 1, batch)
        begun = torch.zeros(batch, dtype=torch.long)
        edges = np.cumsum([config.text_to_video, config.image_to_video, config.partial])
        begun = torch.where(kind < edges[2], few.clamp(min=0), begun)
        begun = torch.where(kind < edges[1], (offset - 1).clamp(min=0), begun)
        return torch.where(kind < edges[0], offset, begun)

    @staticmethod
    def _anchor(offset: Tensor, begun: Tensor, config: WindowConfig, draw: Draw) -> Tensor:
        """Offset of the anchor, -1 = none. A session that just began is anchored at its start."""
        batch = len(offset)
        span = (offset - begun).clamp(min=1).double()
        age = (span.log() * draw.host_uniform(batch).double()).exp().round().long()
        anchor = (offset - age).clamp(min=0)
        first = draw.host_uniform(batch) < config.anchor_first
        fresh = (begun > 0) | (offset <= config.history)
        anchor = torch.where(first | fresh, begun, anchor)
        dropped = draw.host_uniform(batch) < config.anchor_dropped
        long_run = offset - begun > 1  # one frame of history is always its own anchor
        anchor = torch.where(dropped & long_run, -1, anchor)
        return torch.where(offset == begun, -1, anchor)

    def _switch(
        self, past: Tensor, anchor: Tensor, config: WindowConfig, draw: Draw
    ) -> tuple[Tensor, Tensor]:
        """In some rows, what lies before a recent switch is the next row's past and anchor."""
        batch, length = past.shape
        chosen = draw.host_uniform(batch) < config.switched
        # Half of them at the switch itself, where obeying is learnt; the others soon after.
        since = draw.integers(0, length // self.align, batch) * self.align
        since = torch.where(draw.host_uniform(batch) < 0.5, 0, since)
        ages = torch.arange(length, 0, -1)[None]
        # A past that is shorter than that has no such moment: older ones cannot lie before it.
        short = ((past < 0) & (ages <= since[:, None])).any(1)
        since = torch.where(short, 0, since)
        old = ages > since[:, None]
        switched = torch.where(old, past.roll(1, 0), past)
        renewed = past.gather(1, (length - since).clamp(max=length - 1)[:, None])[:, 0]
        renew = (since > 0) & (draw.host_uniform(batch) < 0.5)
        new_anchor = torch.where(renew, renewed, anchor.roll(1, 0))
        return (
            torch.where(chosen[:, None], switched, past),
            torch.where(chosen, new_anchor, anchor),
        )

    def texts_at(self, target: Tensor, dropped: float, draw: Draw) -> list[str]:
        """A caption of each latent; empty = dropped."""
        pick = draw.host_uniform(len(target), 2).tolist()
        sets = [self.texts[i] for i in self.text_of[target].tolist()]
        return [
            "" if u < dropped else texts[int(v * len(texts))]
            for texts, (u, v) in zip(sets, pick, strict=True)
        ]


def _encoded(clips: shards.Clips, latents: int) -> Tensor:
    """Actions of all clips as model input, [N * T, W, A]; a ragged tail is left out."""
    spec, fps = clips.info.spec, clips.info.fps
    if clips.info.origin.get("layout") != "windowed":
        window = clips.actions.shape[1] // latents
        rows = clips.actions[:, : latents * window].flatten(0, 1)
        return encode_actions(spec, fps, rows.numpy(), window=window)
    chunk = _chunk_of(clips)
    count = latents // chunk
    window = int(clips.info.origin["temporal"])
    frames = 1 + window * (chunk - 1)
    parts = clips.actions[:, : count * frames].reshape(-1, frames, spec.size)
    return torch.cat(
        [encode_actions(spec, fps, p.numpy(), window=window, single_first=True) for p in parts]
    )


def _first_frames(clips: shards.Clips, latents: int) -> list[int]:
    """The first pixel frame of each latent of a clip."""
    origin = clips.info.origin
    if origin.get("layout") != "windowed":
        window = clips.actions.shape[1] // latents
        return [i * window for i in range(latents)]
    chunk, window = _chunk_of(clips), int(origin["temporal"])
    frames = 1 + window * (chunk - 1)
    places = (divmod(i, chunk) for i in range(latents))
    return [frames * at + max(0, 1 + window * (part - 1)) for at, part in places]


def _chunk_of(clips: shards.Clips) -> int:
    """Latents that have to stay together: a chunk of a windowed codec, else 1."""
    origin = clips.info.origin
    return int(origin["chunk_latents"]) if origin.get("layout") == "windowed" else 1


def gather(latents: Tensor, index: Tensor) -> Tensor:
    """Latents at [B, n] indices as float [B, C, n, h, w]; absent ones (-1) are zero."""
    values = latents[index.clamp(min=0)].float()  # [B, n, C, h, w]
    values = values * (index >= 0)[:, :, None, None, None]
    return values.transpose(1, 2)


def join(first: Window, second: Window) -> Window:
    """The windows of two batches as one."""
    return Window(
        torch.cat([first.target, second.target]),
        torch.cat([first.past, second.past]),
        torch.cat([first.actions, second.actions]),
        torch.cat([first.action_mask, second.action_mask]),
        first.texts + second.texts,
    )


def part_of(window: Window, rows: list[int], at: Tensor) -> Window:
    """Some windows of a batch: `rows` for lists, `at` for tensors."""
    texts = [window.texts[i] for i in rows]
    return Window(
        window.target[at], window.past[at], window.actions[at], window.action_mask[at], texts
    )


def rows_of(window: Window, rows: slice) -> Window:
    """Consecutive windows of a batch."""
    return Window(
        window.target[rows],
        window.past[rows],
        window.actions[rows],
        window.action_mask[rows],
        window.texts[rows],
    )
