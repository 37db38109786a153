"""Peak memory of a training step before it runs, by stage, on any machine.

The step is carried out on tensors that are never allocated (`FakeTensorMode`), with the real model,
adapters, heads, optimiser and backward passes, so that the count follows the code. Frozen weights
are bf16, what trains is fp32; an allocator's slack (`SLACK`) and the text encoder, which is run
before and kept on the host, come on top or not at all.

    print(table(plan("helios_14b", Shape(), gpu_gib=80)))

Legend: B batch, C channels, T target latents, h w latent rows and columns, L text tokens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from helios_core import attention
from helios_core import config as presets
from helios_core.config import TransformerConfig
from helios_core.memory import History, make_history
from helios_core.transformer import HeliosTransformer
from training.lora import Adapter, AdapterConfig
from training.losses.adversarial import Head, generator_loss
from training.memory.backward import backward_through, backward_together
from training.memory.tracker import Tracker

GIB = 2**30
SLACK = 1.06
"""Allocator's fragmentation and workspaces, over what tensors ask for."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of one step; the defaults are the released training at 384x640."""

    batch: int = 1
    channels: int = 16
    frames: int = 9
    rows: int = 48
    columns: int = 80
    text: int = 512


@dataclass(frozen=True, kw_only=True)
class Savers:
    """Which memory savers are on."""

    checkpoint_blocks: bool = True
    """Recompute blocks in the backward pass."""
    split_backward: bool = True
    """One loss's activations at a time, by gradients cached at the sample."""
    share_critic: bool = True
    """Teacher and critic are one set of weights with an adapter."""
    offload: bool = True
    """Student and teacher take turns on the device."""
    ema_on_host: bool = True


@dataclass(frozen=True)
class Estimate:
    """Peak of one stage."""

    stage: str
    peak: float
    """Bytes that tensors ask for at the peak."""

    def fits(self, gib: float) -> bool:
        return self.peak * SLACK <= gib * GIB


def plan(
    config: TransformerConfig, shape: Shape, *, rank: int = 128, savers: Savers | None = None
) -> list[Estimate]:
    """Peaks of the stages for one model, adapters of `rank` (0 = full training)."""
    chosen = savers or Savers()
    stages: dict[str, Callable[[], float]] = {
        "base (batch 2)": lambda: base_peak(config, replace(shape, batch=2), rank, chosen),
        "base": lambda: base_peak(config, shape, rank, chosen),
        "mid": lambda: mid_peak(config, shape, rank, chosen),
        "distill": lambda: distill_peak(config, shape, rank, chosen),
    }
    return [Estimate(name, make()) for name, make in stages.items()]


def table(estimates: list[Estimate], gib: float) -> str:
    """Lines for people."""
    lines = [f"{'stage':16} {'tensors':>10} {'with slack':>11}  fits {gib:g} GiB"]
    for e in estimates:
        sizes = f"{e.peak / GIB:8.2f} G {e.peak * SLACK / GIB:9.2f} G"
        lines.append(f"{e.stage:16} {sizes}  {'yes' if e.fits(gib) else 'NO'}")
    return "\n".join(lines)


def base_peak(config: TransformerConfig, shape: Shape, rank: int, savers: Savers) -> float:
    """One flow matching step and one optimiser step."""
    with _pretending():
        model, adapter = _trained(config, rank, savers)
        trained = _trainable(model, adapter)
        with Tracker(*model.parameters(), *_params(adapter), *_average(trained, savers)) as tracker:
            _ask(model, shape).float().square().mean().backward()
            _step(trained)
        return tracker.peak


def mid_peak(config: TransformerConfig, shape: Shape, rank: int, savers: Savers) -> float:
    """The largest pyramid stage decides, for stages run one after the other."""
    return base_peak(config, shape, rank, savers)


def distill_peak(config: TransformerConfig, shape: Shape, rank: int, savers: Savers) -> float:
    """A generator turn and a critic turn with student, teacher, critic, heads and averages."""
    with _pretending():
        student, adapter = _trained(config, rank, savers)
        teacher, critic = _trained(config, rank, savers)
        apart = None if savers.share_critic else _trained(config, rank, savers)
        heads = nn.ModuleList(Head(config.dim, 768) for _ in range(min(5, config.layers)))
        trained = _trainable(student, adapter)
        judged = [*_trainable(teacher, critic), *heads.parameters()]
        known = [student, adapter, teacher, critic, heads, *(apart or ())]
        weights = [p for module in known if module is not None for p in module.parameters()]
        with Tracker(*weights, *_average(trained, savers)) as tracker:
            turns = _Turns(tracker, savers, [student, teacher])
            with turns.alone(student, others=[teacher]):
                made = _clean(student, shape)
            for p in judged:
                p.requires_grad_(False)
            with turns.alone(teacher, others=[student]):
                _score_and_judge(made, teacher, critic, heads, shape, savers, turns, student)
            _step(trained)
            for p in judged:
                p.requires_grad_(True)
            with turns.alone(teacher, others=[student]):
                _ask(teacher, shape).float().square().mean().backward()
                _step(judged)
        return tracker.peak


def _score_and_judge(
    made: Tensor,
    teacher: HeliosTransformer,
    critic: Adapter | None,
    heads: nn.ModuleList,
    shape: Shape,
    savers: Savers,
    turns: "_Turns",
    student: nn.Module,
) -> None:
    """Distribution matching without a graph, heads with one, then down into the student."""

    def matching(x: Tensor) -> Tensor:
        with torch.no_grad():
            goal = x.detach() - 0.1 * _ask(teacher, shape)
        return (x - goal).float().square().mean()

    def adversarial(x: Tensor) -> Tensor:
        return generator_loss(_judge(teacher, heads, x, shape))

    terms = {"matching": matching, "adversarial": adversarial}
    if not savers.split_backward:
        with turns.alone(student, others=[]):
            backward_together(made, terms)
        return
    leaf = made.detach().requires_grad_(True)
    backward_through(leaf * 1.0, terms)
    with turns.alone(student, others=[teacher]):
        made.backward(leaf.grad)


class _Turns:
    """Models that are away from the device do not count there."""

    def __init__(self, tracker: Tracker, savers: Savers, models: list[nn.Module]) -> None:
        self.tracker, self.on = tracker, savers.offload
        self.away: set[int] = set()
        if self.on:
            for module in models:
                self._move(module, away=True)
            tracker.peak = tracker.now

    @contextmanager
    def alone(self, here: nn.Module, others: list[nn.Module]) -> Iterator[None]:
        if not self.on:
            yield
            return
        before = set(self.away)
        for module in others:
            self._move(module, away=True)
        self._move(here, away=False)
        yield
        for module in [here, *others]:
            self._move(module, away=id(module) in before)

    def _move(self, module: nn.Module, *, away: bool) -> None:
        if (id(module) in self.away) == away:
            return
        size = sum(p.nbytes for p in module.parameters() if not p.requires_grad)
        if away:
            self.away.add(id(module))
            self.tracker.count(-size)
        else:
            self.away.discard(id(module))
            self.tracker.count(size)


# -- pieces of a step ------------------------------------------------------------------------------
def _trained(
    config: TransformerConfig, rank: int, savers: Savers
) -> tuple[HeliosTransformer, Adapter | None]:
    """A model as it trains: frozen bf16 with an fp32 adapter, or all of it in fp32."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if rank else torch.float32)
    try:
        model = HeliosTransformer(config)
    finally:
        torch.set_default_dtype(dtype)
    model.checkpoint_blocks = savers.checkpoint_blocks
    if not rank:
        return model, None
    model.requires_grad_(False)
    return model, Adapter(model, AdapterConfig(rank=rank, modules=("blocks.*",)))


def _params(module: nn.Module | None) -> list[nn.Parameter]:
    return [] if module is None else list(module.parameters())


def _trainable(model: nn.Module, adapter: nn.Module | None) -> list[nn.Parameter]:
    return [p for p in [*model.parameters(), *_params(adapter)] if p.requires_grad]


def _average(trained: list[nn.Parameter], savers: Savers) -> list[Tensor]:
    return [] if savers.ema_on_host else [p.detach().clone() for p in trained]


def _history(shape: Shape, dtype: torch.dtype, sizes: tuple[int, int, int]) -> History:
    grid = (shape.rows, shape.columns)
    kept = torch.randn(shape.batch, shape.channels, sum(sizes), *grid, dtype=dtype)
    anchor = torch.randn(shape.batch, shape.channels, 1, *grid, dtype=dtype)
    return make_history(kept, anchor, sizes)


def _ask(model: HeliosTransformer, shape: Shape, noisy: Tensor | None = None) -> Tensor:
    """One forward pass on made-up inputs."""
    dtype = model.proj_out.weight.dtype
    if noisy is None:
        noisy = torch.randn(shape.batch, shape.channels, shape.frames, shape.rows, shape.columns)
    text = torch.randn(shape.batch, shape.text, model.config.text_dim, dtype=dtype)
    level = torch.full((shape.batch,), 500.0)
    history = _history(shape, dtype, model.config.history_sizes)
    return model(noisy.to(dtype), level, text, history)


def _clean(student: HeliosTransformer, shape: Shape) -> Tensor:
    """The student's sample: earlier steps without a graph, the last with one."""
    with torch.no_grad():
        _ask(student, shape)
    return _ask(student, shape).float()


def _judge(
    teacher: HeliosTransformer, heads: nn.ModuleList, x: Tensor, shape: Shape
) -> list[Tensor]:
    seen: list[Any] = []
    last, count = len(teacher.blocks) - 1, len(heads)
    spots = [last * (i + 1) // count for i in range(count)]
    hooks = [
        teacher.blocks[i].register_forward_hook(lambda _m, _i, out: seen.append(out))
        for i in dict.fromkeys(spots)
    ]
    _ask(teacher, shape, x)
    for hook in hooks:
        hook.remove()
    grid = (shape.frames, shape.rows // 2, shape.columns // 2)
    tokens = grid[0] * grid[1] * grid[2]
    return [head(t[:, -tokens:], grid) for head, t in zip(heads, seen, strict=False)]


def _step(trained: list[nn.Parameter]) -> None:
    """AdamW's two moments are made (fused, it needs nothing else), the gradients dropped."""
    for param in trained:
        param.moments = [torch.zeros_like(param) for _ in range(2)]  # type: ignore[attr-defined]
    for param in trained:
        param.grad = None


@contextmanager
def _pretending() -> Iterator[Any]:
    """Tensors without memory; attention as a GPU has it, without score matrices."""
    before, attention.FEW_TOKENS = attention.FEW_TOKENS, 0
    try:
        with FakeTensorMode() as mode:
            yield mode
    finally:
        attention.FEW_TOKENS = before


def preset(name: str, **changes: Any) -> TransformerConfig:
    """A model's config by the name of its preset."""
    return getattr(presets, name)(**changes)
