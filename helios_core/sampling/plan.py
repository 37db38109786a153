"""How a pack samples a chunk: one frozen plan, with the three released ones as presets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal

from helios_core.sampling.schedule import Shift, Steps, flow_steps, listed_steps, pyramid_stages
from helios_core.sampling.schedule import stage_steps as pyramid_steps


@dataclass(frozen=True, kw_only=True)
class SamplerPlan:
    """Solver, steps and guidance of a chunk."""

    solver: Literal["unipc", "euler", "dmd"] = "dmd"
    """Many-step order 2, plain, or few-step with noise added again."""
    steps: tuple[int, ...] = (2, 2, 2)
    """Steps of each pyramid stage, coarse to fine; one entry is no pyramid."""
    sigmas: tuple[float, ...] | None = None
    """Noise levels of a one-stage few-step model, falling, such as (1, 0.75, 0.4)."""
    renoise: Literal["start", "fresh"] = "start"
    """What dmd mixes in between steps: the stage's start point, or fresh noise."""
    shift: Shift = "linear"
    """Dynamic shift of the noise levels by the number of tokens."""
    shift_size: Literal["as_trained", "as_published"] = "as_trained"
    """Tokens that count: the stage's own, or (as the public pipelines do) those before its jump."""
    guidance: float = 1.0
    """Scale of text guidance; 1 is none."""
    guidance_rule: Literal["cfg", "cfg_zero_star"] = "cfg"
    """How guidance is computed."""
    zero_steps: int = 2
    """cfg_zero_star: so many first steps of the first stage stand still."""
    amplify_first: bool = False
    """dmd: a chunk without history takes twice the steps."""
    gamma: float = 1 / 3
    """Correlation of the noise at stage jumps."""

    def __post_init__(self) -> None:
        if not self.steps or any(n < 1 for n in self.steps):
            raise ValueError(f"sampler steps = {self.steps}: give at least one step per stage")
        if self.sigmas is not None:
            self._check_sigmas(self.sigmas)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"sampler {name} = {getattr(self, name)!r}: give one of {allowed}")
        if self.amplify_first and self.solver != "dmd":
            raise ValueError("sampler amplify_first: only the dmd solver takes it")
        if self.guidance < 1:
            raise ValueError(f"sampler guidance = {self.guidance}: give 1 (none) or more")
        if self.zero_steps < 0:
            raise ValueError(f"sampler zero_steps = {self.zero_steps}: give 0 or more")
        pyramid_stages(len(self.steps), self.gamma)

    @property
    def stages(self) -> int:
        return len(self.steps)

    @property
    def draws_between_steps(self) -> bool:
        """Whether a stage needs fresh noise after its start."""
        return self.solver == "dmd" and self.renoise == "fresh"

    @property
    def guided(self) -> bool:
        """Whether a chunk needs a negative prompt."""
        return self.guidance > 1

    def stage_steps(self, stage: int, tokens: int, first_chunk: bool) -> Steps:
        """Timesteps and sigmas of one stage for the tokens that count."""
        if self.sigmas is not None:
            return listed_steps(self.sigmas)
        count = self.steps[stage] * (2 if self.amplify_first and first_chunk else 1)
        if self.stages == 1:
            return flow_steps(count, shift=self.shift, tokens=tokens)
        return pyramid_steps(
            pyramid_stages(self.stages, self.gamma)[stage],
            count,
            drop_last=self.solver == "dmd",
            shift=self.shift,
            tokens=tokens,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "SamplerPlan":
        """Inverse of `to_dict`; unknown keys are errors."""
        unknown = sorted(set(values) - {f.name for f in fields(SamplerPlan)})
        if unknown:
            raise ValueError(f"sampler: unknown keys {', '.join(unknown)}")
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return SamplerPlan(**plain)

    def _check_sigmas(self, sigmas: tuple[float, ...]) -> None:
        if self.stages != 1:
            raise ValueError("sampler sigmas: only a one-stage sampler lists its noise levels")
        if len(sigmas) != self.steps[0]:
            raise ValueError(f"sampler: {len(sigmas)} sigmas but steps = {self.steps}")
        falling = all(a > b for a, b in pairwise(sigmas))
        if not falling or not all(0 < s <= 1 for s in sigmas):
            raise ValueError(f"sampler sigmas = {sigmas}: give falling numbers in (0, 1]")


_CHOICES = {
    "solver": ("unipc", "euler", "dmd"),
    "renoise": ("start", "fresh"),
    "shift": ("none", "linear", "exponential"),
    "shift_size": ("as_trained", "as_published"),
    "guidance_rule": ("cfg", "cfg_zero_star"),
}


def few_steps(
    *sigmas: float, solver: Literal["euler", "dmd"] = "dmd", **changes: Any
) -> SamplerPlan:
    """A one-stage plan along given noise levels, as the shipped packs use."""
    settings: dict[str, Any] = {
        "steps": (len(sigmas),),
        "sigmas": sigmas,
        "solver": solver,
        "shift": "none",
    }
    return SamplerPlan(**{**settings, **changes})


BASE = SamplerPlan(solver="unipc", steps=(50,), shift="exponential", guidance=5.0)
"""The released Base model: no pyramid, guidance."""
MID = SamplerPlan(
    solver="unipc",
    steps=(20, 20, 20),
    shift="exponential",
    guidance=5.0,
    guidance_rule="cfg_zero_star",
)
"""The released Mid model: pyramid, CFG-Zero*."""
DISTILLED = SamplerPlan(solver="dmd", steps=(2, 2, 2), amplify_first=True)
"""The released Distilled model."""
