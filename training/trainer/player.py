"""Parameters and what moves them: AdamW or Muon, a rate by samples seen, clipping, EMA.

A stage has one player, or two when a generator and a critic take turns. The learning rate is a
pure function of the samples seen: never of the wall clock, so that resuming and forking agree.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from training.trainer.parallel import local, whole


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW and its schedule."""

    lr: float = 1e-3
    matrices: Literal["adamw", "muon"] = "adamw"
    """What moves the matrices inside blocks. Muon orthogonalises their steps; its rate is scaled
    so that one `lr` serves both."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.01
    """Applied to matrices only, not to biases, gates and norms."""
    clip: float = 1.0
    """Largest gradient norm; 0 = no clipping."""
    warmup: int = 2000
    """Samples of linear warm-up."""
    decay: float = 0.15
    """Last share of the samples over which the rate falls to `floor`."""
    floor: float = 0.02
    ema: float = 0.999
    """Decay of the averaged weights; 0 = no average is kept."""
    ema_start: int = 0
    """Steps before which the average simply copies the weights."""
    ema_device: Literal["same", "cpu"] = "same"
    """`cpu` keeps the average in host memory."""


def rate(config: OptimiserConfig, samples: int, total: int, *, rewarm_from: int = 0) -> float:
    """Learning rate after `samples` of `total` samples, warmed up (again) from some on."""
    warm = min(1.0, (samples - rewarm_from + 1) / config.warmup) if config.warmup else 1.0
    start = total * (1 - config.decay)
    if samples <= start or config.decay == 0:
        return config.lr * warm
    done = min(1.0, (samples - start) / max(1.0, total - start))
    return config.lr * warm * (config.floor + (1 - config.floor) * (1 - done))


class Player:
    """Parameters by name, their AdamW and their running average."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], config: OptimiserConfig) -> None:
        self.config = config
        self.params = {n: p for n, p in named if p.requires_grad}
        if not self.params:
            raise ValueError("nothing to train: no parameter requires a gradient")
        self.steps = 0
        self.rewarm_from = 0  # samples at which a resume without moments restarted the warm-up
        self.optimisers = _optimisers(self.params, config)
        device = "cpu" if config.ema_device == "cpu" else None
        self.ema: dict[str, Tensor] = {}
        if config.ema:
            for name, p in self.params.items():
                mine = local(p.detach())  # sharded weights have a sharded average
                self.ema[name] = mine.to(device or p.device, torch.float32, copy=True)

    def step(self, samples: int, total: int) -> dict[str, float]:
        """Apply the accumulated gradients; returns the gradient norm and the learning rate."""
        grads = [p for p in self.params.values() if p.grad is not None]
        norm = float(whole(nn.utils.clip_grad_norm_(grads, self.config.clip or math.inf)))
        lr = rate(self.config, samples, total, rewarm_from=self.rewarm_from)
        if math.isfinite(norm):
            self._move(lr)
            self.steps += 1
            self._average()
        self._forget_gradients()
        return {"grad_norm": norm, "lr": lr}

    def _move(self, lr: float) -> None:
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()

    def _forget_gradients(self) -> None:
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _average(self) -> None:
        if not self.ema:
            return
        wanted = 0.0 if self.steps <= self.config.ema_start else self.config.ema
        since = max(0, self.steps - self.config.ema_start)
        decay = min(wanted, (1 + since) / (10 + since))
        averages = list(self.ema.values())
        current = [
            local(p.detach()).to(a.device, a.dtype)
            for p, a in zip(self.params.values(), averages, strict=True)
        ]
        torch._foreach_lerp_(averages, current, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages: call twice around anything that wants the average."""
        for name, average in self.ema.items():
            weight = local(self.params[name].detach())
            held = weight.detach().to(average.device, average.dtype, copy=True)
            weight.copy_(average)
            average.copy_(held)

    def moments(self) -> dict[str, Tensor]:
        """The optimisers' state by parameter name, as tensors only."""
        out = {}
        for name, p in self.params.items():
            for key, value in self._owner(p).state.get(p, {}).items():
                out[f"{key}/{name}"] = torch.as_tensor(value)
        return out

    def touch_moments(self) -> None:
        """Make the optimisers create their state, without a step: no gradient, no rate."""
        for p in self.params.values():
            p.grad = torch.zeros_like(p)
        self._move(0.0)  # every later step sets its own rate
        self._forget_gradients()

    def load_moments(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `moments`."""
        for name, p in self.params.items():
            keys = [k for k in tensors if k.split("/", 1)[1] == name]
            state = {k.split("/", 1)[0]: _beside(tensors[k], p, k) for k in keys}
            owner = self._owner(p)
            if state and isinstance(owner, torch.optim.Muon) != ("momentum_buffer" in state):
                raise ValueError(
                    f"optimiser.matrices is {self.config.matrices!r}, and another way of moving "
                    f"{name} was used before: resume with that, or begin anew"
                )
            owner.state[p] = state

    def _owner(self, param: nn.Parameter) -> torch.optim.Optimizer:
        """The optimiser that moves a parameter."""
        for optimiser in self.optimisers:
            if any(param is p for g in optimiser.param_groups for p in g["params"]):
                return optimiser
        raise AssertionError("every parameter is moved by one optimiser")


def _optimisers(
    params: dict[str, nn.Parameter], config: OptimiserConfig
) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices inside blocks where the config says so."""
    inside = {n for n, p in params.items() if p.ndim == 2 and ".blocks." in f".{n}"}
    if config.matrices == "adamw":
        inside = set()
    elif any(local(params[n]) is not params[n] for n in inside):
        raise ValueError("muon needs whole matrices: where weights are sharded, give adamw")
    rest = [p for n, p in params.items() if n not in inside]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    made: list[torch.optim.Optimizer] = []
    if groups:
        adamw = torch.optim.AdamW(
            groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True
        )
        made.append(adamw)
    if inside:
        matrices = [params[n] for n in sorted(inside)]
        muon = torch.optim.Muon(
            matrices,
            lr=config.lr,
            weight_decay=config.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        made.append(muon)
    return made


def _beside(tensor: Tensor, param: Tensor, key: str) -> Tensor:
    """Moments live with their parameter; the step counter stays a CPU scalar off CUDA.

    They have its strides too: the fused AdamW pairs raw memory, and files know no channels last.
    """
    if key.startswith("step/"):
        return tensor.to(param.device if param.is_cuda else "cpu")
    return torch.empty_like(param.detach(), dtype=tensor.dtype).copy_(tensor)
