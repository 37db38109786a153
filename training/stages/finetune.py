"""Stage `finetune`: new clips onto a few-step world, which stays few-step.

The world learns real chunks at the noise levels that its own sampler visits (`flow`), so that no
other level is touched; caption-only windows of older data hold it to what it made before from the
same noise (`keep`), which keeps text and steps alive; heads on a frozen copy of the origin may
compare its samples with the new clips (`adversarial`). Changes go into an adapter on any set of
layers, or into all weights; the action path and whatever a changed config added train in full.

Legend: B windows, C channels, T target latents, h w rows and columns.
"""

import copy
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import torch
from torch import Tensor, nn

from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.schedule import pyramid_stages
from training.data.bank import OwnBank
from training.data.corruption import CorruptionConfig, corrupt
from training.data.windows import LatentSet, Window, WindowConfig, gather
from training.lora import Adapter, AdapterConfig
from training.losses.adversarial import critic_loss, generator_loss
from training.losses.flow import clean_from_velocity, flow_loss, mix
from training.losses.pyramid import stage_line, stage_time
from training.rollout import FEW_STEPS, sample_chunk
from training.stages import world as worlds
from training.stages.context import StepContext, StepName
from training.stages.critic import Critic, frozen
from training.stages.judge import Judge
from training.stages.origin import NEW, Origin, open_world
from training.stages.world import Conditions, TrainWorld
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig, Player


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Data, origin, what may change, and the losses."""

    latents: StepName
    held: StepName
    codec: StepName
    """Step that published the codec, or `pack:NAME`."""
    origin: Origin
    adapter: AdapterConfig | None = None
    """None trains all weights of the DiT."""
    also: tuple[str, ...] = ()
    """Patterns of parameters that train in full beside an adapter; new ones always do."""
    train_text: bool = False
    """Train the text encoder too (a small one of ours)."""
    captions: StepName = ""
    """Step with latents of clips whose captions must keep working; their actions are dropped."""
    keep_share: float = 0.25
    """Share of each batch from those clips."""
    keep: float = 1.0
    """Weight of staying near the origin on them."""
    adversarial: float = 0.0
    critic: AdapterConfig = field(default_factory=AdapterConfig)
    head_blocks: tuple[int, ...] = (0,)
    head_width: int = 64
    sigmas: tuple[float, ...] = FEW_STEPS
    """Noise levels of the world's sampler; with a pyramid, local to each stage."""
    stages: int = 1
    """Stages of the world's pyramid; released distilled models have 3."""
    windows: WindowConfig = field(default_factory=WindowConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    own_share: float = 0.3
    """Share of windows whose history is the world's own predictions."""
    batch: int = 16
    checkpoint_blocks: bool = False
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=2e-4))
    critic_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=2e-4, ema=0.0)
    )

    def __post_init__(self) -> None:
        if self.stages > 1 and (self.captions or self.adversarial):
            raise ValueError("captions and adversarial work on worlds without a pyramid; leave out")


class FinetuneStage:
    """Trains one world on new clips."""

    def __init__(self, config: FinetuneConfig, context: StepContext, loop: LoopConfig) -> None:
        self.config, self.context = config, context
        self.batch = config.batch
        self.data = LatentSet.load(context.folder(config.latents), context.device)
        self.world = open_world(config.origin, context, self.data)
        self.world.dit.checkpoint_blocks = config.checkpoint_blocks
        self.old_data = None
        if config.captions:
            self.old_data = LatentSet.load(context.folder(config.captions), context.device)
        self.origin: TrainWorld | None = None
        if self.old_data is not None or config.adversarial:
            self.origin = self._frozen_copy()
        self.adapter = self._choose_trainable()
        self._players = {"world": Player(self._named(), config.optimiser)}
        self.critic: Critic | None = None
        if config.adversarial:
            assert self.origin is not None
            self.critic = Critic(self.origin, config.critic, config.head_blocks, config.head_width)
            named = self.critic.named_parameters()
            self._players["critic"] = Player(named, config.critic_optimiser)
        self.stages = pyramid_stages(config.stages)
        self.bank = OwnBank(self.data.latents)
        self.judge = Judge(
            context, self.world, config.held, config.codec, config.windows, sigmas=config.sigmas
        )

    # -- what trains ---------------------------------------------------------------------------
    def _frozen_copy(self) -> TrainWorld:
        """The origin as it is now; an encoder that does not train is shared, not copied."""
        text = copy.deepcopy(self.world.text) if self.config.train_text else self.world.text
        dit = copy.deepcopy(self.world.dit)
        return TrainWorld(dit, text, self.world.spec).requires_grad_(False)

    def _choose_trainable(self) -> Adapter | None:
        config = self.config
        if not config.train_text:
            _freeze(self.world.text)
        if config.adapter is None:
            return None
        for name, param in self.world.dit.named_parameters():
            new = any(part in name for part in NEW)
            param.requires_grad_(new or any(fnmatch(name, p) for p in config.also))
        return Adapter(self.world.dit, config.adapter).to(self.context.device)

    def _named(self) -> list[tuple[str, nn.Parameter]]:
        named = list(self.world.named_parameters())
        if self.adapter is not None:
            named += [(f"adapter.{n}", p) for n, p in self.adapter.named_parameters()]
        return named

    def modules(self) -> dict[str, nn.Module]:
        found = {"world": self.world, "adapter": self.adapter, "critic": self.critic}
        return {name: module for name, module in found.items() if module is not None}

    def players(self) -> dict[str, Player]:
        return self._players

    def turn(self, step: int) -> str:
        return "critic" if self.critic is not None and step % 2 == 0 else "world"

    # -- turns ---------------------------------------------------------------------------------
    def backward(self, turn: str, draw: Draw, samples: int) -> dict[str, Tensor]:
        kept = int(self.batch * self.config.keep_share) if self.old_data is not None else 0
        window = self.data.sample(self.batch - kept, self.config.windows, draw)
        past, _ = self.bank.mixed_history(
            self.data.latents, window.past, self.config.own_share, draw
        )
        past = corrupt(past, self.config.corruption, draw)
        given = self._conditions(self.world, window, past, draw)
        real = gather(self.data.latents, window.target)
        if turn == "critic":
            return self._critic_turn(given, real, draw)
        learn = self._flow if self.config.stages == 1 else self._pyramid_flow
        values = {"flow": learn(window, given, real, draw)}
        if kept:
            values["keep"] = self._keep(kept, draw)
        if self.critic is not None:
            values["adversarial"] = self._adversarial(given, real, draw)
        return {**values, "loss": torch.stack(list(values.values())).sum()}

    def _conditions(
        self, world: TrainWorld, window: Window, past: Tensor, draw: Draw
    ) -> Conditions:
        with self.context.autocast():
            return world.conditions(window, past, draw)

    def _flow(self, window: Window, given: Conditions, real: Tensor, draw: Draw) -> Tensor:
        """Real chunks at the sampler's noise levels."""
        levels = torch.tensor(self.config.sigmas)[
            draw.integers(0, len(self.config.sigmas), len(real))
        ]
        sigma, noise = levels.to(real), draw.normal(*real.shape)
        noisy = mix(real, noise, sigma)
        with self.context.autocast():
            velocity = self.world(noisy, sigma, given)
        loss = flow_loss(velocity, real, noise).mean()
        loss.backward()
        made = clean_from_velocity(noisy, velocity.detach(), sigma)
        good = sigma < 1  # a guess from pure noise is a blur
        self.bank.write(window.target[good].flatten(), made[good].transpose(1, 2).flatten(0, 1))
        return loss.detach()

    def _pyramid_flow(self, window: Window, given: Conditions, real: Tensor, draw: Draw) -> Tensor:
        """Real chunks on the line of one stage of the pyramid, at the sampler's local levels."""
        index = int(draw.integers(0, self.config.stages, 1))
        levels = torch.tensor(self.config.sigmas)[
            draw.integers(0, len(self.config.sigmas), len(real))
        ]
        sigma = levels.to(real)
        line = stage_line(real, draw.normal(*real.shape), self.stages, index)
        time = stage_time(self.stages[index], sigma) / 1000
        with self.context.autocast():
            velocity = self.world(line.at(sigma), time, given)
        loss = (velocity - line.velocity).square().mean()
        loss.backward()
        return loss.detach()

    def _keep(self, count: int, draw: Draw) -> Tensor:
        """On older captions without actions: what the origin predicts along its own steps."""
        assert self.old_data is not None and self.origin is not None
        window = _without_actions(self.old_data.sample(count, self.config.windows, draw), self.data)
        past = gather(self.old_data.latents, window.past)
        noise = draw.normal(*gather(self.old_data.latents, window.target).shape)
        stop = int(draw.integers(0, len(self.config.sigmas), 1))
        sigma = noise.new_full((count,), self.config.sigmas[stop])
        with self.context.autocast(), torch.no_grad():
            before = self.origin.conditions(window, past, draw)
            noisy = noise
            if stop:
                reached = sample_chunk(self.origin, before, noise, self.config.sigmas[:stop])
                noisy = mix(reached, noise, sigma)
            goal = self.origin(noisy, sigma, before)
        given = self._conditions(self.world, window, past, draw)
        with self.context.autocast():
            loss = self.config.keep * (self.world(noisy, sigma, given) - goal).square().mean()
        loss.backward()
        return loss.detach()

    def _adversarial(self, given: Conditions, real: Tensor, draw: Draw) -> Tensor:
        """One differentiated step of the world's own sampling, judged by the heads."""
        assert self.critic is not None
        made = self._own_sample(given, real, draw, differentiate=True)
        sigma, noise = draw.uniform(len(real)).clamp(0.05, 0.95), draw.normal(*real.shape)
        with frozen(self.critic), self.context.autocast():
            logits = self.critic.logits(mix(made, noise, sigma), sigma, _held(given))
        loss = self.config.adversarial * generator_loss(logits)
        loss.backward()
        return loss.detach()

    def _critic_turn(self, given: Conditions, real: Tensor, draw: Draw) -> dict[str, Tensor]:
        """The critic follows the samples and its heads tell them from real chunks."""
        assert self.critic is not None
        made = self._own_sample(given, real, draw, differentiate=False)
        sigma, noise = draw.uniform(len(real)).clamp(0.05, 0.95), draw.normal(*real.shape)
        held = _held(given)
        with self.context.autocast():
            of_real = self.critic.logits(mix(real, noise, sigma), sigma, held)
            of_made = self.critic.logits(mix(made, noise, sigma), sigma, held)
            velocity = self.critic.velocity(mix(made, noise, sigma), sigma, held)
        loss = critic_loss(of_real, of_made) + flow_loss(velocity, made, noise).mean()
        loss.backward()
        return {"loss": loss.detach()}

    def _own_sample(
        self, given: Conditions, real: Tensor, draw: Draw, *, differentiate: bool
    ) -> Tensor:
        noise, sigmas = draw.normal(*real.shape), self.config.sigmas
        stop = int(draw.integers(0, len(sigmas), 1))
        clean = noise
        for step, sigma in enumerate(sigmas[: stop + 1]):
            level = noise.new_full((len(noise),), sigma)
            with torch.set_grad_enabled(differentiate and step == stop), self.context.autocast():
                noisy = mix(clean.detach(), noise, level)
                velocity = self.world(noisy, level, _held(given))
            clean = clean_from_velocity(noisy, velocity, level)
        return clean

    # -- results -------------------------------------------------------------------------------
    def evaluate(self) -> dict[str, float]:
        if self.config.stages > 1:
            steps = (len(self.config.sigmas),) * self.config.stages
            return self.judge.pyramid_figures(SamplerPlan(solver="dmd", steps=steps))
        self.judge.picture(self.context.rundir.samples / "latest.png")
        return self.judge.figures()

    def extra_state(self) -> dict[str, Tensor]:
        return self.bank.state()

    def load_extra_state(self, tensors: dict[str, Tensor]) -> None:
        self.bank.load(tensors)

    def publish(self, folder: Path) -> None:
        """The adapter is merged, so that what is published is an ordinary world; ends the stage."""
        if self.config.stages == 1:
            self.judge.picture(self.context.rundir.samples / "final.png")
        if self.adapter is not None:
            self.adapter.merge(self.world.dit)
        worlds.save(folder, self.world)


def _freeze(text: object) -> None:
    if isinstance(text, nn.Module):
        text.requires_grad_(False)


def _held(given: Conditions) -> Conditions:
    """Conditions through which no gradient flows back into the text encoder."""
    return Conditions(
        given.hidden.detach(), given.mask, given.history, given.actions, given.action_mask
    )


def _without_actions(window: Window, like: LatentSet) -> Window:
    """Null actions in the shape that the new data's channels have."""
    batch, targets = window.target.shape
    blank = torch.zeros(batch, targets, *like.actions.shape[1:], device=like.device)
    dropped = torch.zeros(batch, dtype=torch.bool, device=like.device)
    return Window(window.target, window.past, blank, dropped, window.texts)
