"""Runs of the model's own along real clips: histories as bad as the ones that it will meet at play.

A few runs begin at real footage, as a session does, and go on through what the model made, chunk
by chunk, sampled as at play. Each step trains on the next chunk of every run, with the truth as
its target, and makes that chunk for the step after. A run is given up after some chunks, for what
it shows and what the clip shows grow apart. As players type something new midway, a run may be told
another moment's text: then nobody knows what it should show, but what it should be like is known.

Legend: S runs, C channels, T latents per chunk, n past latents, h w rows and columns.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from training.data.bank import OwnBank
from training.data.windows import LatentSet, Window, WindowConfig
from training.trainer.draw import Draw


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """How many runs and how long."""

    count: int = 4
    """Runs side by side: as many windows of every step (0 = none)."""
    length: int = 16
    """Chunks after which a run begins anew elsewhere."""
    retold: float = 0.0
    """Chance, with every chunk, that a run is told another moment's text from there on."""
    retold_here: float = 0.0
    """Share of those moments that are of the run's own clip: the same place in another weather or
    at another hour, as scripts ask for; the others are of any clip."""
    from_text: float = 0.0
    """Share of runs that begin from a text alone, as a session may; half of the others begin from
    one picture, the rest from footage."""


class Runs(NamedTuple):
    """Where each run is: all [S], offsets within its clip."""

    clip: Tensor
    begun: Tensor
    """First latent of its history."""
    start: Tensor
    """First latent that was made."""
    now: Tensor
    """The latent to be made next."""
    text: Tensor
    """The latent whose text it is told; -1 = its own."""


class Streams:
    """The runs and what they made."""

    def __init__(self, data: LatentSet, bank: OwnBank, config: StreamConfig, chunk: int) -> None:
        self.data, self.bank, self.config, self.chunk = data, bank, config, chunk
        self.runs = _due(config.count)

    def window(self, config: WindowConfig, draw: Draw) -> Window:
        """The next chunk of every run, runs that are over begun anew."""
        self._renew(config, draw)
        clip, begun, _, now, _ = self.runs
        anchor = torch.where(now > begun, begun, -1)  # its first chunk is no run's own anchor
        return self.data.window(clip, now, begun, anchor, config, draw)

    def retold(self, window: Window, draw: Draw) -> Window:
        """The same window as `window` gave, with the texts that the runs are told."""
        if not self.config.retold:
            return window
        turns = draw.host_uniform(len(self.runs.text)) < self.config.retold
        other = self._other_moments(len(turns), draw)
        self.runs = self.runs._replace(text=torch.where(turns, other, self.runs.text))
        others = self.data.texts_at(self.runs.text.clamp(min=0), 0.0, draw)
        choices = zip(window.texts, others, (self.runs.text >= 0).tolist(), strict=True)
        return replace(window, texts=[b if told else a for a, b, told in choices])

    def _other_moments(self, count: int, draw: Draw) -> Tensor:
        """A latent for each run, of its own clip or of any."""
        anywhere = draw.integers(0, len(self.data.latents), count)
        lengths = self.data.lengths[self.runs.clip]
        here = self.data.starts[self.runs.clip] + (draw.host_uniform(count) * lengths).long()
        return torch.where(draw.host_uniform(count) < self.config.retold_here, here, anywhere)

    def history(self, window: Window) -> Tensor:
        """Past latents [S, C, n, h, w]: the run's own where it has made them."""
        first = self.data.starts[self.runs.clip] + self.runs.start
        first = first.to(self.data.device, non_blocking=True)[:, None]
        return self.bank.history(self.data.latents, window.past, window.past >= first)

    def advance(self, window: Window, made: Tensor) -> None:
        """Go on past what was made, [S, C, T, h, w]."""
        self.bank.write(window.target.flatten(), made.transpose(1, 2).flatten(0, 1))
        self.runs = self.runs._replace(now=self.runs.now + self.chunk)

    def _renew(self, config: WindowConfig, draw: Draw) -> None:
        old, count = self.runs, len(self.runs.clip)
        over = (old.now < 0) | (old.now - old.start >= self.config.length * self.chunk)
        over |= old.now + self.chunk > self.data.lengths[old.clip]
        clip, start = self.data.targets(count, self.chunk, draw)
        start = start.clamp(min=self.data.align)  # something real stands before it
        clip = torch.where(start + self.chunk <= self.data.lengths[clip], clip, old.clip)
        kind = draw.host_uniform(count)
        text = self.config.from_text
        known = torch.where(kind < text + (1 - text) / 2, 1, config.history)
        begun = (start - torch.where(kind < text, 0, known)).clamp(min=0)
        new = Runs(clip, begun, start, start, torch.full_like(start, -1))
        self.runs = Runs(*(torch.where(over, n, o) for n, o in zip(new, old, strict=True)))

    def alive(self) -> Tensor:
        """[N] indices of the latents that the present runs have made."""
        first = self.data.starts[self.runs.clip]
        spans = zip(
            (first + self.runs.start).tolist(), (first + self.runs.now).tolist(), strict=True
        )
        made = [torch.arange(start, max(start, now)) for start, now in spans]
        return torch.cat(made).unique().to(self.data.device)

    def state(self) -> dict[str, Tensor]:
        return {"streams": torch.stack(self.runs)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """As many as there are to be now: of more the first, of fewer all, and new ones."""
        if "streams" in tensors:
            then = tensors["streams"][:, : self.config.count]
            new = torch.stack(_due(self.config.count - then.shape[1]))
            self.runs = Runs(*torch.cat([then, new], 1).unbind(0))


def _due(count: int) -> Runs:
    """Runs that begin with the next window."""
    zeros = torch.zeros(count, dtype=torch.long)
    return Runs(zeros, zeros, zeros, zeros - 1, zeros - 1)
