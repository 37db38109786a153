"""Stage `distill`: a few-step student from a many-step teacher, by three losses in any mix.

- regression: the student's sample against the teacher's many-step sample from the same noise
  (alone, this is the ODE initialisation);
- matching: move samples from where the critic sees the student to where the teacher sees data;
- adversarial: heads on several blocks of the critic compare samples with real clips.

Histories are real ones (teacher forcing), corrupted, a share of them from the student's own
finished samples. The student runs its own steps and only the one at which it stops is
differentiated. Critic and generator take turns.

Legend: B windows, C channels, T target latents, h w rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from training.data.bank import OwnBank
from training.data.corruption import CorruptionConfig, corrupt
from training.data.windows import LatentSet, Window, WindowConfig, gather
from training.lora import AdapterConfig
from training.losses.adversarial import critic_loss, generator_loss, smoothness
from training.losses.distribution import matching_loss
from training.losses.flow import clean_from_velocity, flow_loss, mix
from training.memory.backward import Term, backward_through, backward_together
from training.rollout import FEW_STEPS, euler_chunk, even_levels
from training.stages import world as worlds
from training.stages.context import StepContext
from training.stages.critic import Critic, frozen
from training.stages.judge import Judge
from training.stages.world import Conditions, Given
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weight of each loss; 0 leaves its part out."""

    regression: float = 1.0
    matching: float = 0.0
    adversarial: float = 0.0
    """Of the generator's adversarial loss."""
    heads: float = 0.1
    """Of the heads' own loss."""
    smooth: float = 1.0
    """Of the heads' smoothness around real samples."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Student, teacher, critic and how they are trained."""

    latents: str
    held: str
    codec: str
    teacher: str
    """Step that published the teacher; the student starts as its copy."""
    sigmas: tuple[float, ...] = FEW_STEPS
    """Noise levels of the student's steps."""
    teacher_steps: int = 8
    weights: Weights = field(default_factory=Weights)
    guidance: float = 0.0
    """Extra weight of the teacher's text direction in real scores."""
    critic_steps: int = 5
    """Critic turns per generator turn."""
    critic: AdapterConfig = field(default_factory=AdapterConfig)
    head_blocks: tuple[int, ...] = (1, 3, 5)
    """Blocks that a head watches."""
    head_width: int = 64
    score_sigma: tuple[float, float] = (0.02, 0.98)
    """Noise levels at which samples are scored and judged."""
    shake: float = 0.1
    """Size of the disturbance by which smoothness is measured."""
    windows: WindowConfig = field(default_factory=WindowConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    own_share: float = 0.4
    """Share of windows whose history is the student's own samples."""
    batch: int = 32
    split_backward: bool = True
    """Free each loss's activations before the next is computed."""
    checkpoint_blocks: bool = False
    """Recompute blocks in the backward pass instead of keeping their activations."""
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=1e-4))
    critic_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=2e-4, ema=0.0)
    )


class DistillStage:
    """Trains a student against its teacher."""

    def __init__(self, config: DistillConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        self.student = worlds.load(context.final(config.teacher), context.device)
        for param in self.student.text.parameters():  # type: ignore[attr-defined] - a module of ours
            param.requires_grad_(False)
        self.student.dit.checkpoint_blocks = config.checkpoint_blocks
        self.teacher = worlds.load(context.final(config.teacher), context.device)
        self.teacher.requires_grad_(False)
        self.critic: Critic | None = None
        self._players = {"generator": Player(self.student.named_parameters(), config.optimiser)}
        if config.weights.matching or config.weights.adversarial:
            self.critic = Critic(self.teacher, config.critic, config.head_blocks, config.head_width)
            self._players["critic"] = Player(
                self.critic.named_parameters(), config.critic_optimiser
            )
        self.bank = OwnBank(self.data.latents)
        self.judge = Judge(
            context, self.student, config.held, config.codec, config.windows, sigmas=config.sigmas
        )

    def modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"student": self.student}
        return modules if self.critic is None else {**modules, "critic": self.critic}

    def players(self) -> dict[str, Player]:
        return self._players

    def turn(self, step: int) -> str:
        """The generator is last of each round, so that the critic knows it first."""
        if self.critic is None:
            return "generator"
        every = self.config.critic_steps + 1
        return "generator" if step % every == every - 1 else "critic"

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        window = self.data.sample(self.config.batch, self.config.windows, draw)
        past, _ = self.bank.mixed_history(
            self.data.latents, window.past, self.config.own_share, draw
        )
        past = corrupt(past, self.config.corruption, draw)
        with torch.no_grad(), self.context.autocast():
            conditions = self.student.conditions(window, past, draw)  # the text encoder is frozen
        noise = draw.normal(*gather(self.data.latents, window.target).shape)
        if turn == "critic":
            return self._critic_turn(window, conditions, noise, draw)
        return self._generator_turn(window, conditions, noise, draw)

    # -- student -------------------------------------------------------------------------------
    def sample(self, given: Given, noise: Tensor, stop: int, *, differentiate: bool) -> Tensor:
        """The student's clean guess at step `stop`, reached by its own earlier steps."""
        clean = noise
        for step, sigma in enumerate(self.config.sigmas[: stop + 1]):
            level = noise.new_full((len(noise),), sigma)
            with torch.set_grad_enabled(differentiate and step == stop):
                noisy = mix(clean.detach(), noise, level)
                clean = clean_from_velocity(noisy, self.student(noisy, level, given), level)
        return clean

    def _generator_turn(
        self, window: Window, conditions: Conditions, noise: Tensor, draw: Draw
    ) -> dict[str, Tensor]:
        stop = int(draw.integers(0, len(self.config.sigmas), 1))
        with self.context.autocast():
            given = self.student.given(conditions, noise.shape[2])
            made = self.sample(given, noise, stop, differentiate=True)
        if stop == len(self.config.sigmas) - 1:
            self.bank.write(window.target.flatten(), made.detach().transpose(1, 2).flatten(0, 1))
        terms = self._generator_terms(conditions, noise, draw)
        through = backward_through if self.config.split_backward else backward_together
        if self.critic is None:
            values = through(made, terms)
        else:
            with frozen(self.critic):
                values = through(made, terms)
        return {**values, "loss": torch.stack(list(values.values())).sum()}

    def _generator_terms(
        self, conditions: Conditions, noise: Tensor, draw: Draw
    ) -> dict[str, Term]:
        """Each loss as a function of the sample."""
        weights = self.config.weights
        terms: dict[str, Term] = {}
        if weights.regression:
            goal = self._teacher_sample(conditions, noise)
            terms["regression"] = lambda x: weights.regression * (x - goal).square().mean()
        if weights.matching:
            match = self._matching_term(conditions, noise, draw)
            terms["matching"] = lambda x: weights.matching * match(x)
        if weights.adversarial:
            sigma, other = self._score_noise(noise, draw)
            terms["adversarial"] = lambda x: (
                weights.adversarial
                * generator_loss(self._logits(mix(x, other, sigma), sigma, conditions))
            )
        return terms

    def _teacher_sample(self, conditions: Conditions, noise: Tensor) -> Tensor:
        """Many steps from the same noise."""
        levels = even_levels(self.config.teacher_steps)
        with torch.no_grad(), self.context.autocast():
            if self.critic is None:
                return euler_chunk(self.teacher, conditions, noise, levels)
            with self.critic.adapter.switched(False):
                return euler_chunk(self.teacher, conditions, noise, levels)

    def _matching_term(self, conditions: Conditions, noise: Tensor, draw: Draw) -> Term:
        assert self.critic is not None
        critic = self.critic
        sigma, other = self._score_noise(noise, draw)
        blank = self._blank(conditions) if self.config.guidance else None

        def term(x: Tensor) -> Tensor:
            noisy = mix(x.detach(), other, sigma)
            with self.context.autocast():
                real, fake = critic.scores(noisy, sigma, conditions, blank, self.config.guidance)
            return matching_loss(x, real, fake).float()

        return term

    def _blank(self, conditions: Conditions) -> Conditions:
        """The same conditions without text."""
        with torch.no_grad(), self.context.autocast():
            hidden, mask = self.student.text.encode([""] * len(conditions.hidden))
        return replace(conditions, hidden=hidden, mask=mask)

    def _score_noise(self, like: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        low, high = self.config.score_sigma
        return low + (high - low) * draw.uniform(len(like)), draw.normal(*like.shape)

    # -- critic --------------------------------------------------------------------------------
    def _critic_turn(
        self, window: Window, conditions: Conditions, noise: Tensor, draw: Draw
    ) -> dict[str, Tensor]:
        stop = int(draw.integers(0, len(self.config.sigmas), 1))
        with torch.no_grad(), self.context.autocast():
            given = self.student.given(conditions, noise.shape[2])
            made = self.sample(given, noise, stop, differentiate=False)
        losses: dict[str, Callable[[], Tensor]] = {}
        losses["flow"] = self._follow(made, conditions, draw)
        if self.config.weights.adversarial:
            real = gather(self.data.latents, window.target)
            losses["heads"] = self._judge(made, real, conditions, draw)
        values = {}
        if self.config.split_backward:
            for name, loss in losses.items():
                value = loss()
                value.backward()
                values[name] = value.detach()
        else:
            computed = {name: loss() for name, loss in losses.items()}
            torch.stack(list(computed.values())).sum().backward()
            values = {name: value.detach() for name, value in computed.items()}
        return {**values, "loss": torch.stack(list(values.values())).sum()}

    def _follow(self, made: Tensor, conditions: Conditions, draw: Draw) -> Callable[[], Tensor]:
        """The adapter learns the student's distribution by flow matching."""
        assert self.critic is not None
        critic = self.critic
        sigma, noise = self._score_noise(made, draw)

        def loss() -> Tensor:
            with self.context.autocast():
                velocity = critic.velocity(mix(made, noise, sigma), sigma, conditions)
            return flow_loss(velocity, made, noise).mean()

        return loss

    def _judge(
        self, made: Tensor, real: Tensor, conditions: Conditions, draw: Draw
    ) -> Callable[[], Tensor]:
        """The heads learn to tell samples from real latents, both noised alike."""
        sigma, noise = self._score_noise(made, draw)
        shake = self.config.shake * draw.normal(*real.shape)
        weights = self.config.weights

        def loss() -> Tensor:
            noised = mix(real, noise, sigma)
            draws = [noised, mix(made, noise, sigma)]
            if weights.smooth:
                draws.append(noised + shake)
            # As draws of one window they share its history, which is then computed once.
            together = torch.stack(draws, 1).flatten(0, 1)
            logits = self._logits(together, sigma.repeat_interleave(len(draws)), conditions)
            apart = [logit.unflatten(0, (-1, len(draws))).unbind(1) for logit in logits]
            of_real, of_made = [a[0] for a in apart], [a[1] for a in apart]
            value = weights.heads * critic_loss(of_real, of_made)
            if weights.smooth:
                shaken = [a[2] for a in apart]
                value = value + weights.heads * weights.smooth * smoothness(of_real, shaken)
            return value

        return loss

    def _logits(self, noisy: Tensor, sigma: Tensor, conditions: Conditions) -> list[Tensor]:
        assert self.critic is not None
        with self.context.autocast():
            return self.critic.logits(noisy, sigma, conditions)

    # -- results -------------------------------------------------------------------------------
    def evaluate(self) -> dict[str, float]:
        run = self.judge.rollout()
        self.judge.picture(self.context.rundir.samples / "latest.png", run)
        return self.judge.figures(run)

    def extra_state(self) -> dict[str, Tensor]:
        return self.bank.state()

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        self.bank.load(tensors)

    def publish(self, folder: Path) -> None:
        worlds.save(folder, self.student)
        self.judge.picture(self.context.rundir.samples / "final.png")
