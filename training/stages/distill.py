"""Stage `distill`: a few-step student from a many-step teacher, by four losses in any mix.

- points: each stage's end from the teacher's own start of it, against the teacher's end: the ODE
  initialisation, as a step of its own from which a second one goes on by the others;
- regression: the student's sample against the teacher's many-step sample from the same noise (in a
  model without a pyramid that is the same, for it has one stage);
- matching: move samples from where the critic sees the student to where the teacher sees data;
- adversarial: heads on several blocks of the critic compare samples with real clips.

Histories are real ones (teacher forcing), corrupted, a share of them from the student's own
finished samples. The student runs its own steps and of each stage only the one at which it stops
is differentiated. Critic and generator take turns. In a pyramid, samples are scored at a stage
drawn per turn; the released model's are scored at full size by a teacher without a pyramid.

Legend: B windows, C channels, T target latents, h w rows and columns.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from helios_core.sampling.pyramid import check_pyramid
from training.data.bank import OwnBank
from training.data.corruption import CorruptionConfig, corrupt
from training.data.windows import LatentSet, Window, WindowConfig, gather
from training.lora import AdapterConfig
from training.losses.adversarial import critic_loss, generator_loss, smoothness
from training.losses.distribution import matching_loss
from training.losses.flow import flow_loss
from training.memory.backward import (
    Term,
    backward_each,
    backward_sum,
    backward_through,
    backward_together,
)
from training.memory.offload import Lodger, Resident
from training.rollout import FEW_STEPS
from training.stages import world as worlds
from training.stages.context import StepContext, StepName
from training.stages.critic import Critic, frozen
from training.stages.judge import Judge
from training.stages.way import Leg, Noises, Way, student_plan
from training.stages.world import Conditions
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weight of each loss; 0 leaves its part out."""

    points: float = 0.0
    """Of each stage's end on the teacher's way."""
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

    latents: StepName
    held: StepName
    codec: StepName
    teacher: StepName
    """Step that published the teacher."""
    student: StepName = ""
    """Step that published the student to go on from; empty = it starts as the teacher's copy."""
    sigmas: tuple[float, ...] = FEW_STEPS
    """Noise levels of the student's steps, of a model without a pyramid."""
    steps: tuple[int, ...] = ()
    """The student's steps in each stage of a pyramid, coarse to fine; empty = no pyramid."""
    teacher_steps: int = 8
    """In each stage."""
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
    """Noise levels, in a pyramid of the stage, at which samples are scored and judged."""
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
    offload: bool = False
    """Keep the teacher's weights in host memory while the student works; they come back beside
    what it does last."""
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=1e-4))
    critic_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=2e-4, ema=0.0)
    )

    def __post_init__(self) -> None:
        student_plan(self.sigmas, self.steps)  # which refuses what cannot be sampled


class DistillStage:
    """Trains a student against its teacher."""

    def __init__(self, config: DistillConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        self.student = worlds.load(context.final(config.student or config.teacher), context.device)
        for param in self.student.text.parameters():  # type: ignore[attr-defined] - a module of ours
            param.requires_grad_(False)
        self.student.dit.checkpoint_blocks = config.checkpoint_blocks
        plan = student_plan(config.sigmas, config.steps)
        rows, columns = self.data.latents.shape[2:]
        patch = self.student.dit.config.patch
        check_pyramid(rows, columns, stages=plan.stages, patch=patch)
        self.way = Way(plan, config.teacher_steps)
        self.teacher = worlds.load(context.final(config.teacher), context.device)
        self.teacher.requires_grad_(False)
        self.critic: Critic | None = None
        self._players = {"generator": Player(self.student.named_parameters(), config.optimiser)}
        if config.weights.matching or config.weights.adversarial:
            self.critic = Critic(self.teacher, config.critic, config.head_blocks, config.head_width)
            self._players["critic"] = Player(
                self.critic.named_parameters(), config.critic_optimiser
            )
        # After the critic, whose adapter goes where the teacher's weights are.
        self.lodger = Lodger(self.teacher, context.device) if config.offload else Resident()
        self.bank = OwnBank(self.data.latents)
        self.judge = Judge(
            context,
            self.student,
            config.held,
            config.codec,
            config.windows,
            sigmas=config.sigmas,
            plan=plan if config.steps else None,
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
        self.lodger.prefetch()
        window = self.data.sample(self.config.batch, self.config.windows, draw)
        past, _ = self.bank.mixed_history(
            self.data.latents, window.past, self.config.own_share, draw
        )
        past = corrupt(past, self.config.corruption, draw)
        with torch.no_grad(), self.context.autocast():
            conditions = self.student.conditions(window, past, draw)  # the text encoder is frozen
        noises = self.way.noises(gather(self.data.latents, window.target).shape, draw)
        if turn == "critic":
            return self._critic_turn(window, conditions, noises, draw)
        return self._generator_turn(window, conditions, noises, draw)

    # -- student -------------------------------------------------------------------------------
    def _generator_turn(
        self, window: Window, conditions: Conditions, noises: Noises, draw: Draw
    ) -> dict[str, Tensor]:
        weights = self.config.weights
        stops, values = self.way.stops(draw), {}
        legs: list[Leg] = []
        if weights.points or weights.regression:
            legs = self._teach(conditions, noises)
        if weights.points:
            values["points"] = self._points(conditions, legs, stops)
        if weights.regression or self.critic is not None:
            if self.critic is not None:
                self.lodger.prefetch()  # again, if it has shown the way
            made = self._sample(conditions, noises, stops, differentiate=True)
            if self.way.finishes(stops):
                finished = made.detach().transpose(1, 2).flatten(0, 1)
                self.bank.write(window.target.flatten(), finished)
            values |= self._through(made, self._terms(conditions, made, legs, draw))
        return {**values, "loss": torch.stack(list(values.values())).sum()}

    def _points(self, conditions: Conditions, legs: list[Leg], stops: list[int]) -> Tensor:
        """Each stage by itself, so that one stage's activations are alive at a time."""
        values = []
        for index, (leg, stop) in enumerate(zip(legs, stops, strict=True)):
            with self.context.autocast():
                given = self.student.given(conditions, leg.start.shape[2])
                guess = self.way.guess(
                    self.student, given, index, leg.start, stop, differentiate=True
                )
            loss = self.config.weights.points * (guess - leg.end).square().mean()
            loss.backward()
            values.append(loss.detach())
        return torch.stack(values).sum()

    def _sample(
        self, conditions: Conditions, noises: Noises, stops: list[int], *, differentiate: bool
    ) -> Tensor:
        with torch.set_grad_enabled(differentiate), self.context.autocast():
            given = self.student.given(conditions, noises[0].shape[2])
            return self.way.sample(self.student, given, noises, stops, differentiate=differentiate)

    def _through(self, made: Tensor, terms: dict[str, Term]) -> dict[str, Tensor]:
        """Backward through the terms and down into the student."""
        through = backward_through if self.config.split_backward else backward_together
        return through(made, terms, during=self._scoring())

    @contextmanager
    def _scoring(self) -> Iterator[None]:
        """The critic unmoved and its weights here, if there is one."""
        if self.critic is None:
            yield
            return
        with frozen(self.critic), self.lodger.visiting():
            yield

    def _terms(
        self, conditions: Conditions, made: Tensor, legs: list[Leg], draw: Draw
    ) -> dict[str, Term]:
        """Each loss as a function of the sample."""
        weights = self.config.weights
        terms: dict[str, Term] = {}
        if weights.regression:
            goal = legs[-1].end
            terms["regression"] = lambda x: weights.regression * (x - goal).square().mean()
        if weights.matching:
            match = self._matching_term(conditions, made, draw)
            terms["matching"] = lambda x: weights.matching * match(x)
        if weights.adversarial:
            fool = self._adversarial_term(conditions, made, draw)
            terms["adversarial"] = lambda x: weights.adversarial * fool(x)
        return terms

    def _teach(self, conditions: Conditions, noises: Noises) -> list[Leg]:
        """Many steps from the same noise."""
        plain = nullcontext() if self.critic is None else self.critic.adapter.switched(False)
        with plain, self.lodger.visiting(), self.context.autocast():
            return self.way.teach(self.teacher, conditions, noises)

    def _matching_term(self, conditions: Conditions, like: Tensor, draw: Draw) -> Term:
        assert self.critic is not None
        critic, at = self.critic, self.way.scored(like, self.config.score_sigma, draw)
        blank = self._blank(conditions) if self.config.guidance else None

        def term(x: Tensor) -> Tensor:
            point = at(x)
            with self.context.autocast():
                real, fake = critic.scores(
                    point.noisy, point.level, conditions, blank, self.config.guidance
                )
            return matching_loss(point.line.end, point.end(real), point.end(fake)).float()

        return term

    def _adversarial_term(self, conditions: Conditions, like: Tensor, draw: Draw) -> Term:
        assert self.critic is not None
        critic, at = self.critic, self.way.scored(like, self.config.score_sigma, draw)

        def term(x: Tensor) -> Tensor:
            point = at(x)
            with self.context.autocast():
                return generator_loss(critic.logits(point.noisy, point.level, conditions))

        return term

    def _blank(self, conditions: Conditions) -> Conditions:
        """The same conditions without text."""
        with torch.no_grad(), self.context.autocast():
            hidden, mask = self.student.text.encode([""] * len(conditions.hidden))
        return replace(conditions, hidden=hidden, mask=mask)

    # -- critic --------------------------------------------------------------------------------
    def _critic_turn(
        self, window: Window, conditions: Conditions, noises: Noises, draw: Draw
    ) -> dict[str, Tensor]:
        made = self._sample(conditions, noises, self.way.stops(draw), differentiate=False)
        losses: dict[str, Callable[[], Tensor]] = {}
        losses["flow"] = self._follow(made, conditions, draw)
        if self.config.weights.adversarial:
            real = gather(self.data.latents, window.target)
            losses["heads"] = self._judge(made, real, conditions, draw)
        with self.lodger.visiting():
            values = backward_each(losses) if self.config.split_backward else backward_sum(losses)
        return {**values, "loss": torch.stack(list(values.values())).sum()}

    def _follow(self, made: Tensor, conditions: Conditions, draw: Draw) -> Callable[[], Tensor]:
        """The adapter learns the student's distribution by flow matching."""
        assert self.critic is not None
        critic, point = self.critic, self.way.scored(made, self.config.score_sigma, draw)(made)

        def loss() -> Tensor:
            with self.context.autocast():
                velocity = critic.velocity(point.noisy, point.level, conditions)
            return flow_loss(velocity, clean=point.line.end, noise=point.line.start).mean()

        return loss

    def _judge(
        self, made: Tensor, real: Tensor, conditions: Conditions, draw: Draw
    ) -> Callable[[], Tensor]:
        """The heads learn to tell samples from real latents, both noised alike."""
        at = self.way.scored(made, self.config.score_sigma, draw)
        truth, own = at(real), at(made)
        shake = self.config.shake * draw.normal(*truth.noisy.shape)
        weights = self.config.weights

        def loss() -> Tensor:
            assert self.critic is not None
            draws = [truth.noisy, own.noisy]
            if weights.smooth:
                draws.append(truth.noisy + shake)
            with self.context.autocast():
                of_real, of_made, *shaken = self.critic.verdicts(draws, truth.level, conditions)
            value = weights.heads * critic_loss(of_real, of_made)
            for logits in shaken:
                value = value + weights.heads * weights.smooth * smoothness(of_real, logits)
            return value

        return loss

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
