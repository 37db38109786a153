"""Quick held-out figures while a world trains: how far its next chunk and its rollouts are off.

A few windows, three sampling steps, latents only: enough to pick the best checkpoint and to see a
failure within minutes. The evaluation that counts is training.evaluation.

Legend: B windows, C channels, T latents per chunk, K history latents, h w rows and columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helios_core.codecs.api import Codec
from helios_core.sampling.plan import SamplerPlan
from training.data.windows import LatentSet, Window, WindowConfig, gather, part_of
from training.losses.flow import TimeConfig, flow_loss, mix, sample_sigma
from training.pictures import grid, write_png
from training.rollout import FEW_STEPS, pyramid_chunk, sample_chunk
from training.stages.context import StepContext
from training.stages.origin import open_codec
from training.stages.world import Conditions, TrainWorld
from training.trainer.draw import Draw

Sampler = Callable[[TrainWorld, Conditions, Tensor, Sequence[float]], Tensor]
"""Clean latents of a chunk from noise, at given noise levels."""
Run = tuple[Tensor, Tensor, Tensor]
"""What `rollout` gives; who wants a picture and figures of it makes it once."""
PLAIN = {
    "text_to_video": 0.0,
    "image_to_video": 0.0,
    "partial": 0.0,
    "anchor_dropped": 0.0,
    "switched": 0.0,
    "text_dropped": 0.0,
    "action_dropped": 0.0,
}


class Judge:
    """Figures of one world on one held-out set; always the same windows and noise."""

    def __init__(
        self,
        context: StepContext,
        world: TrainWorld,
        held: str,
        codec: str,
        windows: WindowConfig,
        *,
        sigmas: Sequence[float] = FEW_STEPS,
        sample: Sampler = sample_chunk,
        plan: SamplerPlan | None = None,
        chunks: int = 12,
        count: int = 24,
    ) -> None:
        """`plan` samples through a pyramid; without one, `sample` does along `sigmas`."""
        self.context, self.world, self.codec_step = context, world, codec
        self.data = LatentSet.load(context.folder(held), context.device)
        self.chunks, self.count = _fitting(chunks, self.data, held, windows.targets), count
        self.sigmas, self.sample, self.plan = tuple(sigmas), sample, plan
        self.windows = replace(windows, **PLAIN)
        self.long = replace(self.windows, targets=windows.targets * self.chunks)

    @torch.no_grad()
    def figures(self, run: Run | None = None) -> dict[str, float]:
        """Error of the next chunk and of a rollout, also over repeating the last; flow loss."""
        truth, made, still = run or self.rollout()
        error = (made - truth).square().mean((0, 1, 3, 4))  # per latent of the rollout
        idle = (still - truth).square().mean((0, 1, 3, 4))
        step = self.windows.targets
        figures = {
            "next": float(error[:step].mean()),
            "next_over_repeat": float(error[:step].mean() / idle[:step].mean()),
            "rollout": float(error.mean()),
            "rollout_over_repeat": float(error.mean() / idle.mean()),
        }
        if self.plan is None:
            figures["flow"] = self._loss()
        return {**figures, "score": figures["rollout"]}

    @torch.no_grad()
    def pyramid_figures(self, plan: SamplerPlan) -> dict[str, float]:
        """Error of the next chunk, sampled through a pyramid, over repeating the last latent."""
        draw = Draw(2, 0, self.context.device)
        window = self._sample(self.windows, draw)
        truth = gather(self.data.latents, window.target)
        past = gather(self.data.latents, window.past)
        with self.context.autocast():
            given = self.world.conditions(window, past, draw)
            made = pyramid_chunk(self.world, given, draw.normal(*truth.shape), plan)
        error = float((made - truth).square().mean())
        idle = float((past[:, :, -1:] - truth).square().mean())
        return {"next": error, "next_over_repeat": error / idle, "score": error}

    def _loss(self) -> float:
        draw = Draw(1, 0, self.context.device)
        total = []
        for _ in range(4):
            window = self.data.sample(64, self.windows, draw)
            clean = gather(self.data.latents, window.target)
            sigma = sample_sigma(len(clean), TimeConfig(), draw)
            noise = draw.normal(*clean.shape)
            past = gather(self.data.latents, window.past)
            with self.context.autocast():
                given = self.world.conditions(window, past, draw)
                velocity = self.world(mix(clean, noise, sigma), sigma, given)
            total.append(flow_loss(velocity, clean, noise).mean())
        return float(torch.stack(total).mean())

    @torch.no_grad()
    def rollout(self) -> Run:
        """Truth, own continuation, and the last latent repeated: each [B, C, chunks * T, h, w]."""
        draw = Draw(2, 0, self.context.device)
        window = self._sample(self.long, draw)
        truth = gather(self.data.latents, window.target)
        past = gather(self.data.latents, window.past)
        still = past[:, :, -1:].expand_as(truth)
        step, made = self.windows.targets, []
        for chunk in range(self.chunks):
            at = slice(chunk * step, (chunk + 1) * step)
            part = Window(
                window.target[:, at],
                window.past,
                window.actions[:, at],
                window.action_mask,
                window.texts,
            )
            noise = draw.normal(*truth[:, :, at].shape)
            with self.context.autocast():
                given = self.world.conditions(part, past, draw)
                new = self.chunk(given, noise)
            made.append(new)
            past = torch.cat([past[:, :, :1], torch.cat([past[:, :, 1:], new], 2)[:, :, step:]], 2)
        return truth, torch.cat(made, 2), still

    def chunk(self, given: Conditions, noise: Tensor) -> Tensor:
        """Clean latents of one chunk."""
        if self.plan is not None:
            return pyramid_chunk(self.world, given, noise, self.plan)
        return self.sample(self.world, given, noise, self.sigmas)

    def _sample(self, config: WindowConfig, draw: Draw) -> Window:
        """Windows after something: where a clip begins there is no last latent to repeat."""
        window = self.data.sample(self.count, config, draw)
        known = (window.past[:, -1] >= 0).nonzero().flatten()
        return part_of(window, known.tolist(), known)

    @cached_property
    def codec(self) -> Codec:
        return open_codec(self.codec_step, self.context)

    def picture(self, path: Path, run: Run | None = None) -> None:
        """Rollouts under their truth, a frame of every other chunk, for looking at."""
        truth, made, _ = run or self.rollout()
        rows: list[np.ndarray] = []
        for i in range(min(6, len(truth))):
            rows += [self.frames(truth[i : i + 1]), self.frames(made[i : i + 1])]
        write_png(path, grid(rows))

    @torch.no_grad()
    def frames(self, latents: Tensor) -> np.ndarray:
        """A picture of every other latent of one run [1, C, T, h, w]: uint8 [F, H, W, 3]."""
        size = self.windows.targets if self.codec.layout == "windowed" else latents.shape[2]
        parts = [self.codec.decode(p, new=size) for p in latents.float().split(size, 2)]
        video = torch.cat(parts, 2)[0]  # [3, F, H, W]
        kept = video[:, self.codec.temporal - 1 :: 2 * self.codec.temporal]
        pixels = ((kept.clamp(-1, 1) + 1) * 127.5).round().byte()
        return pixels.permute(1, 2, 3, 0).cpu().numpy()


def _fitting(chunks: int, data: LatentSet, held: str, targets: int) -> int:
    """Chunks of a rollout that fit into half of the longest clip, so that most have a past."""
    longest = int(data.lengths.max())
    if longest < 2 * targets:
        raise ValueError(
            f"{held}: the longest clip has {longest} latents, and judging takes two chunks of "
            f"{targets}; hold out longer clips"
        )
    fit = min(chunks, longest // targets // 2)
    if fit < chunks:
        short = f"{held}: clips of at most {longest} latents"
        print(f"{short}, so rollouts are of {fit} chunks instead of {chunks}", flush=True)
    return fit
