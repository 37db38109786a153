"""Whole trajectories equal the reference pipelines' with the same noise, over three chunks.

Base (no pyramid, guidance), Mid (pyramid, CFG-Zero*) and Distilled (few steps), from text, from an
image and from a clip, all on latents: the codec has tests of its own. The reference factors its
block covariance numerically, which fails at gamma = 1/3 on a CPU, so both sides use 0.3333.
"""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from helios_core.config import TransformerConfig
from helios_core.memory import make_history
from helios_core.sampling.chunk import Conditions, sample_chunk
from helios_core.sampling.plan import SamplerPlan
from tests.parity.reference import random_model, reference_of, relative_error

GAMMA = 0.3333
SIZES = (16, 2, 1)
CHUNK, ROWS, COLUMNS, CHANNELS = 3, 16, 24, 4
CHUNKS = 3
NOISE_SPAN = (0.111, 0.135)

CONFIG = TransformerConfig(
    heads=2,
    head_dim=12,
    layers=2,
    in_channels=CHANNELS,
    out_channels=CHANNELS,
    text_dim=10,
    freq_dim=16,
    ffn_dim=32,
    rope_dim=(4, 4, 4),
    history_sizes=SIZES,
)
BASE = SamplerPlan(solver="unipc", steps=(7,), shift="exponential", guidance=5.0)
MID = SamplerPlan(
    solver="unipc",
    steps=(4, 3, 5),
    shift="exponential",
    guidance=5.0,
    guidance_rule="cfg_zero_star",
    shift_size="as_published",
    gamma=GAMMA,
)
EULER = replace(MID, solver="euler", guidance_rule="cfg")
DISTILLED = SamplerPlan(solver="dmd", steps=(1, 1, 1), shift_size="as_published", gamma=GAMMA)
PLANS = {
    "base": BASE,
    "mid": MID,
    "mid_euler": EULER,
    "distilled_111": DISTILLED,
    "distilled_222": replace(DISTILLED, steps=(2, 2, 2)),
    "distilled_amplified": replace(DISTILLED, steps=(2, 2, 2), amplify_first=True),
}


class Replay:
    """One generator drawn from in the pipelines' order, whatever the names."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self.generator)


@dataclass(frozen=True)
class Start:
    """Latents that a mode starts from; all None is text to video."""

    image: Tensor | None = None
    fake: Tensor | None = None
    video: Tensor | None = None


def starts(mode: str) -> Start:
    draw = torch.Generator().manual_seed(77)

    def latents(frames: int) -> Tensor:
        return torch.randn(1, CHANNELS, frames, ROWS, COLUMNS, generator=draw)

    if mode == "text":
        return Start()
    if mode == "image":
        return Start(image=latents(1), fake=latents(1))
    return Start(image=latents(1), video=latents(CHUNK * (2 if mode == "short_clip" else 7)))


def noised(latents: Tensor, noise: Replay, groups: int) -> Tensor:
    """Each group of frames mixed with noise as the pipelines do before they start."""
    low, high = NOISE_SPAN
    out = []
    for group in latents.split(groups, dim=2):
        share = noise.uniform("share", (group.shape[2],)) * (high - low) + low
        share = share.view(1, 1, -1, 1, 1)
        out.append(share * noise.normal("start", tuple(group.shape)) + (1 - share) * group)
    return torch.cat(out, dim=2)


def append_frames(kept: Tensor, new: Tensor) -> Tensor:
    """The newest frames, as many as before."""
    return torch.cat([kept, new], dim=2)[:, :, -kept.shape[2] :]


@torch.no_grad()
def our_video(model, plan: SamplerPlan, start: Start, text: Tensor, negative: Tensor) -> Tensor:
    noise = Replay(5)
    kept = torch.zeros(1, CHANNELS, sum(SIZES), ROWS, COLUMNS)
    anchor = None
    if start.image is not None:
        anchor = noised(start.image, noise, 1)
    if start.fake is not None:
        kept = append_frames(kept, noised(start.fake, noise, 1))
    if start.video is not None:
        kept = append_frames(kept, noised(start.video, noise, CHUNK))
    made = []
    for chunk in range(CHUNKS):
        history = make_history(kept, anchor, SIZES)
        given = Conditions(
            text=model.text_cache(text), negative=model.text_cache(negative), history=history
        )
        shape = (1, CHANNELS, CHUNK, ROWS, COLUMNS)
        latents = sample_chunk(model, plan, noise, shape, given, first_chunk=chunk == 0)
        anchor = latents[:, :, :1] if anchor is None else anchor
        kept = append_frames(kept, latents)
        made.append(latents)
    return torch.cat(made, dim=2)


def reference_pipeline(model, plan: SamplerPlan):
    from diffusers import (
        AutoencoderKLWan,
        HeliosDMDScheduler,
        HeliosPipeline,
        HeliosPyramidPipeline,
        HeliosScheduler,
    )

    vae = AutoencoderKLWan(
        base_dim=2,
        z_dim=CHANNELS,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * CHANNELS,
        latents_std=[1.0] * CHANNELS,
    )
    vae.decode = lambda latents, return_dict: (torch.zeros(1, 3, 1, 1, 1),)
    shared = {"tokenizer": None, "text_encoder": None, "vae": vae}
    settings = {"stages": plan.stages, "gamma": GAMMA, "use_dynamic_shifting": True}
    if plan.stages == 1:
        settings["stage_range"] = [0, 1]
    if plan.solver == "dmd":
        scheduler = HeliosDMDScheduler(**settings, time_shift_type=plan.shift)
    else:
        scheduler = HeliosScheduler(
            **settings, time_shift_type=plan.shift, scheduler_type=plan.solver
        )
    shared |= {"scheduler": scheduler, "transformer": reference_of(model)}
    if plan.stages == 1:
        pipeline = HeliosPipeline(**shared)
    else:
        pipeline = HeliosPyramidPipeline(
            **shared,
            is_cfg_zero_star=plan.guidance_rule == "cfg_zero_star",
            is_distilled=plan.solver == "dmd",
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def reference_video(
    model, plan: SamplerPlan, start: Start, text: Tensor, negative: Tensor
) -> Tensor:
    counts = (
        {"num_inference_steps": plan.steps[0]}
        if plan.stages == 1
        else {
            "pyramid_num_inference_steps_list": list(plan.steps),
            "is_amplify_first_chunk": plan.amplify_first,
        }
    )
    frames = reference_pipeline(model, plan)(
        prompt_embeds=text,
        negative_prompt_embeds=negative,
        height=ROWS * 8,
        width=COLUMNS * 8,
        num_frames=CHUNKS * (4 * (CHUNK - 1) + 1),
        guidance_scale=plan.guidance,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
        image_latents=start.image,
        fake_image_latents=start.fake,
        add_noise_to_image_latents=start.video is None,
        video_latents=start.video,
        history_sizes=list(SIZES),
        num_latent_frames_per_chunk=CHUNK,
        return_dict=False,
        **counts,
    )[0]
    return frames[:, :, -CHUNKS * CHUNK :]


def errors(plan: SamplerPlan, mode: str, ours: SamplerPlan | None = None) -> float:
    model = random_model(CONFIG, 3)
    draw = torch.Generator().manual_seed(9)
    text, negative = (torch.randn(1, 6, 10, generator=draw) for _ in range(2))
    theirs = reference_video(model, plan, starts(mode), text, negative)
    made = our_video(model, ours or plan, starts(mode), text, negative)
    assert made.shape == theirs.shape == (1, CHANNELS, CHUNKS * CHUNK, ROWS, COLUMNS)
    return relative_error(made, theirs)


@pytest.mark.parametrize("mode", ["text", "image", "clip", "short_clip"])
@pytest.mark.parametrize("name", PLANS)
def test_three_chunks_equal_the_pipeline(name: str, mode: str) -> None:
    assert errors(PLANS[name], mode) <= 1e-4


def test_pyramid_noise_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncorrelated noise at the jumps is another trajectory."""
    white = lambda noise, name, shape, gamma: noise.normal(name, shape)  # noqa: E731
    monkeypatch.setattr("helios_core.sampling.chunk.block_noise", white)
    assert errors(PLANS["distilled_111"], "text") > 1e-3


def test_shift_size_matters() -> None:
    """The shift as trained and as published are two samplers."""
    plan = PLANS["distilled_222"]
    assert errors(plan, "text", replace(plan, shift_size="as_trained")) > 1e-3
