"""Stage `sharpen`: a world that makes a chunk in very few steps, sharp again on its own pictures.

A few-step guess is a mean, and a mean of means is fog. A small critic of convolutions looks at
three latents in a row, the two before and the new one, with what was typed and pressed, and says
place by place how much more real they are than the true ones. Half of the windows are ordinary
ones, half are runs of the world's own (training.data.streams), so that what must look real is what
it makes after seconds; some runs are told another text midway and have no truth to go by. A reader
(`reader`) says whether the actions and the text can be read off what was made as off the truth.
World and critic take turns on the same windows: first the world learns, then the critic from what
the world has made.
Not distillation from a many-step teacher: that is `distill`.

Legend: B windows, C channels, h w rows and columns, E width of what the critic is told.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training import artifacts
from training.data.bank import OwnBank
from training.data.streams import Runs, StreamConfig, Streams
from training.data.windows import LatentSet, Window, WindowConfig, gather, join
from training.losses.adversarial import pair_loss, smoothness
from training.losses.flow import clean_from_velocity, mix
from training.rollout import sample_chunk
from training.stages import world as worlds
from training.stages.context import StepContext, StepName
from training.stages.critic import frozen
from training.stages.judge import Judge
from training.stages.origin import Origin, open_world
from training.stages.readings import Deeds, Readings, Words
from training.stages.sharpen_critic import Critic, Shown
from training.stages.sharpen_lesson import Learned, Lesson, Trust, Wish, bounded, trusted_error
from training.stages.world import Given
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player

SHOWN = ("shown.real", "shown.real_told", "shown.fake", "shown.fake_told")
"""Names in a checkpoint that lies between the world's turn and the critic's."""
HEAVIEST = 0.3
"""Most that the critic's wish may weigh: one that is still at chance has no gradient to balance."""
FROM_NOTHING = 0.25
"""How far the truth is a goal where there is nothing but text to go by: many pictures are as true,
but without any goal such windows run away from the critic."""


@dataclass(frozen=True, kw_only=True)
class SharpenConfig:
    """The world, its critic and how both are trained."""

    latents: StepName
    """Step whose folder holds training latents."""
    held: StepName
    """Step whose folder holds held-out latents."""
    codec: StepName
    """Step that published the codec; used for pictures."""
    origin: StepName
    """Step that published the world to begin with, or `pack:NAME`."""
    actions: worlds.ActionPath | None = field(
        default_factory=lambda: worlds.ActionPath(cross_attention=False)
    )
    """As in `base`: fits a world of other action channels."""
    taught: tuple[str, ...] = ("",)
    """How the names of the DiT's parameters that learn begin; all of them by default."""
    near_only: bool = False
    """The convolutions around the tokens alone, as a start for the whole (see `base`)."""
    sigmas: tuple[float, ...] = (1.0,)
    """Noise levels of the steps; the last one learns."""
    windows: WindowConfig = field(default_factory=WindowConfig)
    streams: StreamConfig = field(default_factory=lambda: StreamConfig(count=16, length=24))
    faith: float = 12.0
    """Chunks of its own in which it moved after which the truth counts a third as a goal: the two
    have parted. Who stands still parts from nothing, and what is seen then should stay."""
    faith_in_means: float = 24.0
    """The same for the mean of each row of a picture: sky, horizon and ground keep their places
    long after trees and rocks have parted."""
    reader: StepName = ""
    """Step that published a reader; empty = none, and then `readings` count nothing."""
    readings: tuple[float, float] = (0.5, 0.5)
    """As `adversarial`, for what is read: the actions, the text."""
    batch: int = 32
    """Windows per pair of steps, streams among them."""
    adversarial: float = 1.0
    """Size of the critic's gradient at the last layer, over that of the error to the truth."""
    blind: float = 0.5
    """Share of runs of whose three latents the critic sees the newest alone: the two before may be
    blurred beyond mending, which would tell it everything and the world nothing."""
    shake: float = 0.1
    """Size of the disturbance by which the critic's smoothness is measured."""
    smooth: float = 1.0
    """Weight of that smoothness, at what is real and at what is made."""
    smoothed: float = 0.25
    """Share of the critic's turns in which it is measured, and then weighs as many times more."""
    mismatched: float = 0.5
    """Weight of true latents under another window's text or actions, which the critic learns to
    tell from the same latents under their own."""
    critic: tuple[int, int] = (128, 4)
    """Width and blocks of the critic."""
    graphs: bool = False
    """Launch each turn's kernels at once, as CUDA graphs: a small world leaves a GPU waiting."""
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=2e-4, betas=(0.5, 0.95), warmup=2000)
    )
    critic_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=4e-4, betas=(0.5, 0.95), warmup=2000, ema=0.0)
    )

    def __post_init__(self) -> None:
        if not 0 < self.streams.count < self.batch or self.windows.targets != 1:
            raise ValueError("give fewer streams than batch, and windows of one latent")
        if not 0 < self.smoothed <= 1:
            raise ValueError(f"smoothed is {self.smoothed}; give more than 0, at most 1")


class SharpenStage:
    """World and critic take turns."""

    def __init__(self, config: SharpenConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch // 2  # two steps, the world's and the critic's, share them
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        moving = self.data.actions.flatten(1).abs().amax(1) > 0
        self.moves = functional.pad(moving.long().cumsum(0), (1, 0))  # [M + 1] before each latent
        self.starts = self.data.starts.to(context.device)
        self.world = open_world(Origin.named(config.origin, config.actions), context, self.data)
        self.world.requires_grad_(False)
        self.world.dit.near_only = config.near_only
        taught = dict(self._taught())
        if not taught:
            raise ValueError(f"sharpen.taught = {config.taught}: this world has no such parts")
        if not any(name.startswith("dit.local.") for name in taught):
            raise ValueError(
                "sharpen: what the critic wishes is weighed at the last local convolution; begin "
                "with a world that has `local`, and teach it"
            )
        actions = self.data.actions.shape[1] * self.data.actions.shape[2]
        shape = self.world.dit.config
        self.critic = Critic(
            shape.in_channels, shape.text_dim, actions, *config.critic
        ).to(context.device)  # fmt: skip
        self._players = {
            "world": Player(taught.items(), config.optimiser),
            "critic": Player(self.critic.named_parameters(), config.critic_optimiser),
        }
        self.readings = self._readings()
        self._learn, self._examine = self._turns()
        self.shown: tuple[Shown, Shown] | None = None
        """What is real and what the world has made of it, until the critic has had its turn."""
        self.streams = Streams(self.data, OwnBank(self.data.latents), config.streams, 1)
        self.judge = Judge(
            context, self.world, config.held, config.codec, config.windows, sigmas=config.sigmas
        )

    def _taught(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in self.world.named_parameters():
            if any(name.startswith(f"dit.{part}") for part in self.config.taught):
                parameter.requires_grad_(True)
                yield name, parameter

    def _turns(self) -> tuple[Callable[..., Learned], Callable[..., dict[str, Tensor]]]:
        """The two turns, as graphs where they are asked for."""
        if not self.config.graphs:
            return self._learn_from, self._examine_all
        graphed, players = self.context.graphed, self._players
        learn = graphed(self._learn_from, players["world"].params.values())
        return learn, graphed(self._examine_all, players["critic"].params.values())

    def _readings(self) -> Readings | None:
        if not self.config.reader:
            return None
        folder = self.context.final(self.config.reader)
        reader = artifacts.load(folder, "reader", self.context.device)
        return Readings(reader, self.data, self.world, self.context)  # type: ignore[arg-type]

    def modules(self) -> dict[str, nn.Module]:
        return {"world": self.world, "critic": self.critic}

    def players(self) -> dict[str, Player]:
        return self._players

    def turn(self, step: int) -> str:
        return "world" if self.shown is None else "critic"

    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        return self._critic_turn(draw) if turn == "critic" else self._world_turn(draw)

    def _world_turn(self, draw: Draw) -> dict[str, Tensor]:
        """Makes the next chunk of ordinary windows and of the world's own runs, and learns."""
        runs, lesson = self._lesson(draw)
        values, made, three = self._learn(lesson)
        self.shown = lesson.real, Shown(three, lesson.told)
        self.streams.advance(runs, made[-self.config.streams.count :])
        return values

    def _lesson(self, draw: Draw) -> tuple[Window, Lesson]:
        """The windows of the runs, and what the world learns from in all windows."""
        config, latents = self.config, self.data.latents
        plain = self.data.sample(config.batch - config.streams.count, config.windows, draw)
        runs = self.streams.window(config.windows, draw)
        window, asked = join(plain, runs), join(plain, self.streams.retold(runs, draw))
        past = torch.cat([gather(latents, plain.past), self.streams.history(runs)])
        truth = gather(latents, window.target)
        noise = draw.normal(*truth.shape)
        seen = self._seen(draw)
        before = gather(latents, window.past[:, -2:])
        with self.context.autocast():
            told = self.world.told(asked, past, draw)
        lesson = Lesson(
            asked=told, noise=noise, seen=seen,
            real=Shown(torch.cat([before * seen, truth], 2), self._told(window)),
            told=self._told(asked), trust=self._trust(plain),
            deeds=self._deeds(asked), words=self._words(asked, plain, draw),
        )  # fmt: skip
        return runs, lesson

    def _learn_from(self, lesson: Lesson) -> Learned:
        """One turn of the world: the same operations every time, on tensors alone."""
        own, truth = lesson.asked.past[:, :, -2:], lesson.real.three[:, :, 2:]
        with self.context.autocast():
            conditions = self.world.conditions_from(lesson.asked)
            made = self._made(self.world.given(conditions, 1), lesson.noise)
        fake = Shown(torch.cat([own * lesson.seen, made], 2), lesson.told)
        wishes = self._wishes(lesson, own, made)
        error = trusted_error(made, truth, lesson.trust)
        values = self._please(lesson.real, fake, made, error, wishes)
        return Learned(values, made.detach(), fake.three.detach())

    def _made(self, given: Given, noise: Tensor) -> Tensor:
        """The clean end of the last step; the steps before it are not differentiated."""
        *before, last = self.config.sigmas
        level = noise.new_full((len(noise),), last)
        noisy = noise
        if before:
            noisy = mix(sample_chunk(self.world, given, noise, before), noise, level)
        return clean_from_velocity(noisy, self.world(noisy, level, given), level)

    def _seen(self, draw: Draw) -> Tensor:
        """[B,1,1,1,1]: 0 where the critic does not see what came before."""
        plain = self.config.batch - self.config.streams.count
        hidden = draw.chance(self.config.blind, self.config.streams.count)
        shown = torch.cat([hidden.new_zeros(plain), hidden]).logical_not()
        return shown.float().view(-1, 1, 1, 1, 1)

    @torch.no_grad()
    def _told(self, window: Window) -> Tensor:
        """Text and actions as the critic reads them [B,E]."""
        return torch.cat([self.world.gist(window.texts), window.actions.flatten(1)], 1)

    def _deeds(self, asked: Window) -> Deeds | None:
        if self.readings is None or not self.config.readings[0]:
            return None
        return self.readings.deeds(asked)

    def _words(self, asked: Window, plain: Window, draw: Draw) -> Words | None:
        """With latents of which it is true what each window is told."""
        if self.readings is None or not self.config.readings[1]:
            return None
        told = self.streams.runs.text.to(self.data.device, non_blocking=True)
        own = asked.target[len(plain.target) :, 0]
        says = torch.cat([plain.target[:, 0], torch.where(told >= 0, told, own)])
        return self.readings.words(asked, says, draw)

    def _wishes(self, lesson: Lesson, own: Tensor, made: Tensor) -> dict[str, Wish]:
        """What the reader wants of the world."""
        if self.readings is None:
            return {}
        wishes = {}
        of_actions, of_text = self.config.readings
        if lesson.deeds is not None:
            read = self.readings.actions(lesson.deeds, own, made)
            wishes["actions"] = Wish(of_actions, read)
        if lesson.words is not None:
            wishes["text"] = Wish(of_text, self.readings.text(lesson.words, made))
        return wishes

    def _please(
        self, real: Shown, fake: Shown, made: Tensor, error: Tensor, wishes: dict[str, Wish]
    ) -> dict[str, Tensor]:
        """Gradients of the world, from the truth, the critic and the reader."""
        with frozen(self.critic):
            with torch.no_grad():
                above = self._judged(real)
            wanted = pair_loss(self._judged(fake), above)
            wishes = {"adversarial": Wish(self.config.adversarial, wanted), **wishes}
            weights = self._weigh(error, list(wishes.values()), made)
        values = {name: wish.loss.detach() for name, wish in wishes.items()}
        weighed = {f"weight_{name}": w for name, w in zip(wishes, weights, strict=True)}
        return {"loss": error.detach(), **values, **weighed}

    def _judged(self, *shown: Shown) -> Tensor:
        """Logits [B,places] of the critic."""
        with self.context.autocast():
            three, told = (torch.cat(parts) for parts in zip(*shown, strict=True))
            return self.critic(three, told).flatten(1)

    def _trust(self, plain: Window) -> Trust:
        """How far the truth is a goal: little where there is nothing to go by, not at all where a
        run was told another text; less the longer a run has been its own."""
        config, device = self.config, self.data.device
        runs = Runs(*torch.stack(self.streams.runs).to(device, non_blocking=True))
        fresh = torch.zeros(len(plain.target), device=device)
        known = torch.cat([plain.past[:, -1] >= 0, runs.begun < runs.start])
        age = torch.cat([fresh, self._moved(runs)])
        untold = torch.cat([fresh + 1, (runs.text < 0).float()])
        of_details = torch.where(known, 1.0, FROM_NOTHING)
        return Trust(
            details=of_details * untold * torch.exp(-age / config.faith),
            means=untold * torch.exp(-age / config.faith_in_means),
        )

    def _moved(self, runs: Runs) -> Tensor:
        """[S] chunks that each run has made while it was told to move."""
        first = self.starts[runs.clip]
        return (self.moves[first + runs.now] - self.moves[first + runs.start]).float()

    def _weigh(self, error: Tensor, wishes: Sequence[Wish], made: Tensor) -> list[Tensor]:
        """Backward through all; returns what each wish weighs.

        Its gradient gets `weight` times the size that the error's has, at the last layer.
        """
        assert self.world.dit.local is not None
        last = self.world.dit.local.leave.weight

        def size(slope: Tensor) -> Tensor:
            return torch.autograd.grad(made, last, slope, retain_graph=True)[0].norm()

        (slope,) = torch.autograd.grad(error, made)
        of_error, weights = size(slope), []
        for wish in wishes:
            pull = bounded(torch.autograd.grad(wish.loss, made)[0])
            share = (of_error / (size(pull) + 1e-6)).clamp(max=HEAVIEST)
            weights.append(wish.weight * share)
            slope = slope + weights[-1] * pull
        made.backward(slope)
        return weights

    def _critic_turn(self, draw: Draw) -> dict[str, Tensor]:
        assert self.shown is not None, "the world goes first"
        (real, fake), self.shown = self.shown, None
        other = Shown(real.three, self._mismatched(real.told, draw))
        moved = []
        if float(draw.host_uniform(1)) < self.config.smoothed:
            moved = [self._shaken(shown, draw) for shown in (real, fake)]
        return self._examine(real, fake, other, *moved)

    def _examine_all(self, *shown: Shown) -> dict[str, Tensor]:
        """One turn of the critic: real, made and mismatched ones, and at times the first two moved
        a little."""
        of_real, of_fake, of_other, *of_moved = self._judged(*shown).chunk(len(shown))
        loss = pair_loss(of_real, of_fake) + self.config.mismatched * pair_loss(of_real, of_other)
        if of_moved:
            weight = self.config.smooth / self.config.smoothed
            loss = loss + weight * smoothness([of_real, of_fake], of_moved)
        loss.backward()
        return {"loss": loss.detach(), "right": (of_real > of_fake).float().mean()}

    def _shaken(self, shown: Shown, draw: Draw) -> Shown:
        noise = draw.normal(*shown.three.shape)
        return Shown(shown.three + self.config.shake * noise, shown.told)

    def _mismatched(self, told: Tensor, draw: Draw) -> Tensor:
        """Every row with the next row's text, or its actions."""
        text = self.world.dit.config.text_dim
        texts, actions = told[:, :text], told[:, text:]
        swapped = draw.chance(0.5, len(told), 1)
        return torch.cat(
            [
                torch.where(swapped, texts.roll(1, 0), texts),
                torch.where(swapped, actions, actions.roll(1, 0)),
            ],
            1,
        )

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The judge's figures, and how much fine detail is left at the end of its rollouts."""
        run = self.judge.rollout()
        self.judge.picture(self.context.rundir.samples / "latest.png", run)
        truth, made, _ = run
        share = float(detail(made[:, :, -1]) / detail(truth[:, :, -1]))
        return {**self.judge.figures(run), "detail": share, "score": abs(1 - share)}

    def extra_state(self) -> dict[str, Tensor]:
        shown = [] if self.shown is None else [tensor for part in self.shown for tensor in part]
        return {
            **self.streams.bank.state(self.streams.alive()),
            **self.streams.state(),
            **dict(zip(SHOWN, shown, strict=False)),
        }

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        self.streams.bank.load(tensors)
        self.streams.load(tensors)
        if SHOWN[0] in tensors:
            three, told, *fake = (tensors[name].to(self.context.device) for name in SHOWN)
            self.shown = Shown(three, told), Shown(*fake)

    def publish(self, folder: Path) -> None:
        worlds.save(folder, self.world)
        self.judge.picture(self.context.rundir.samples / "final.png")


def detail(latents: Tensor) -> Tensor:
    """Energy of latents [B,C,h,w] around their local means."""
    return (latents - functional.avg_pool2d(latents, 3, 1, 1)).square().mean()
