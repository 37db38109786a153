"""Sample one chunk of latents: the pyramid, its solver and its guidance, for a batch of worlds.

    conditions = Conditions(text=model.text_cache(hidden, mask), history=past, actions=act)
    latents = sample_chunk(model, plan, SeededNoise([(seed, chunk)]), (1, 24, 1, 8, 12), conditions)

Latents stay fp32 between steps whatever the model's dtype. Dimensions: B worlds, C channels,
T latent frames, h w latent rows and columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from helios_core.config import tokens_per_frame
from helios_core.memory import History
from helios_core.program import ModelProgram
from helios_core.sampling.dmd import dmd
from helios_core.sampling.euler import Velocity, euler
from helios_core.sampling.guidance import guided, guided_zero_star
from helios_core.sampling.noise import NoiseSource, block_noise
from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.pyramid import check_pyramid, jump, shrink, stage_sizes
from helios_core.sampling.schedule import Steps, pyramid_stages
from helios_core.sampling.unipc import unipc
from helios_core.transformer import ActionCache, HeliosTransformer, HistoryCache, TextCache

Shape = tuple[int, int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a chunk is made from, the same for all its steps."""

    text: TextCache | Tensor
    """Cached prompt, or hidden states [B,L,text_dim]."""
    history: History | HistoryCache | None = None
    """With `restrict_history` pass the cache; otherwise the history itself."""
    actions: ActionCache | Tensor | None = None
    """Cached or raw [B,T,W,A] actions; None is the null action."""
    negative: TextCache | Tensor | None = None
    """Prompt to lean away from; needed when the plan is guided."""


@torch.no_grad()
def sample_chunk(
    model: HeliosTransformer | ModelProgram,
    plan: SamplerPlan,
    noise: NoiseSource,
    shape: Shape,
    conditions: Conditions,
    *,
    first_chunk: bool = False,
) -> Tensor:
    """Clean latents of `shape` [B,C,T,h,w], fp32. `first_chunk`: there is no history yet."""
    _check(model, plan, shape, conditions)
    device = model.proj_out.weight.device
    x = noise.normal("start", shape).to(device)
    for _ in range(plan.stages - 1):
        x = shrink(x)
    for stage in range(plan.stages):
        tokens = counted_tokens(model, plan, shape, stage)
        if stage:
            x = _jump(x, plan, noise, stage)
        steps = plan.stage_steps(stage, tokens, first_chunk)
        if isinstance(model, ModelProgram) and not plan.draws_between_steps:
            x = model.replay(solve_stage, plan, stage, steps, x, conditions)
        else:
            x = solve_stage(model, plan, stage, steps, x, conditions, noise)
    return x


def solve_stage(
    model: HeliosTransformer | ModelProgram,
    plan: SamplerPlan,
    stage: int,
    steps: Steps,
    x: Tensor,
    conditions: Conditions,
    noise: NoiseSource | None = None,
) -> Tensor:
    """The end of a stage from its start; `noise` where the plan draws between steps."""
    velocity = _velocity(model, plan, conditions, stage)
    if plan.solver == "unipc":
        return unipc(x, steps, velocity)
    if plan.solver == "euler":
        return euler(x, steps, velocity)
    if noise is None or not plan.draws_between_steps:
        return dmd(x, steps, velocity)
    shape = tuple(x.shape)
    return dmd(
        x, steps, velocity, lambda i: noise.normal(f"renoise{stage}.{i}", shape).to(x.device)
    )


def counted_tokens(
    model: HeliosTransformer | ModelProgram, plan: SamplerPlan, shape: Shape, stage: int
) -> int:
    """Noisy tokens that set the dynamic shift of a stage."""
    sizes = stage_sizes(shape[3], shape[4], plan.stages)
    before = plan.shift_size == "as_published" and stage > 0
    rows, columns = sizes[stage - 1 if before else stage]
    return shape[2] * tokens_per_frame(model.config, rows, columns)


def _check(
    model: HeliosTransformer | ModelProgram, plan: SamplerPlan, shape: Shape, given: Conditions
) -> None:
    check_pyramid(shape[3], shape[4], stages=plan.stages, patch=model.config.patch)
    if plan.guided and given.negative is None:
        raise ValueError("this sampler is guided: give a negative prompt (an empty text will do)")


def _jump(x: Tensor, plan: SamplerPlan, noise: NoiseSource, stage: int) -> Tensor:
    """To the next size, with noise of its own name."""
    b, c, t, h, w = x.shape
    added = block_noise(noise, f"jump{stage}", (b, c, t, 2 * h, 2 * w), plan.gamma)
    return jump(x, added.to(x.device), pyramid_stages(plan.stages, plan.gamma)[stage])


def _velocity(
    model: HeliosTransformer | ModelProgram, plan: SamplerPlan, given: Conditions, stage: int
) -> Velocity:
    """The model as a solver sees it: guided, and rounded to whole timesteps as trained."""
    dtype = model.proj_out.weight.dtype

    def ask(x: Tensor, timestep: float, text: TextCache | Tensor) -> Tensor:
        time = float(int(timestep)) if plan.stages > 1 else timestep
        times = torch.full((x.shape[0],), time, device=x.device)
        return model(x.to(dtype), times, text, given.history, given.actions).float()

    def velocity(x: Tensor, timestep: float, step: int) -> Tensor:
        zero_star = plan.guidance_rule == "cfg_zero_star"
        if plan.guided and zero_star and stage == 0 and step < plan.zero_steps:
            return torch.zeros_like(x)
        with_text = ask(x, timestep, given.text)
        if not plan.guided or given.negative is None:
            return with_text
        without = ask(x, timestep, given.negative)
        rule = guided_zero_star if zero_star else guided
        return rule(with_text, without, plan.guidance)

    return velocity
