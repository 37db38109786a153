"""Fine-tuning: what changes, what stays, and that a world learns new clips, actions and chunks."""

import pytest
import torch

from helios_core.actions import ActionSpec, Channel
from tests.training import tiny
from training import artifacts
from training.data import shards
from training.data.windows import LatentSet, WindowConfig, gather
from training.lora import AdapterConfig
from training.stages import world as worlds
from training.stages.finetune import FinetuneConfig, FinetuneStage
from training.stages.origin import Origin, open_world
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

WINDOWS = WindowConfig(history=7)
GAME = ActionSpec(
    channels=(
        Channel(name="attack", kind="button"),
        Channel(name="look_yaw", kind="axis", low=-360, high=360, unit="deg/s"),
    )
)


def game_clips():
    """The toy clips under another game's channels."""
    clips = tiny.latent_clips(seed=5)
    yaw = clips.actions[..., clips.info.spec.index("look_yaw")]
    actions = torch.stack([(yaw > 30).float(), yaw], -1)
    info = shards.ClipInfo(fps=20, spec=GAME, captions=clips.info.captions)
    return shards.Clips(info, actions, latents=clips.latents)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("finetune")
    tiny.data(root)
    shards.write(root / "game" / "0.safetensors", game_clips())
    data = LatentSet.load(root / "latents")
    for name, model in (
        ("start", tiny.MODEL),
        ("open", {**tiny.MODEL, "restrict_history": False}),
    ):
        torch.manual_seed(0)
        made = worlds.fresh(model, worlds.ActionPath(width=16), tiny.TEXT, data)
        with torch.no_grad():
            for p in made.parameters():  # nothing may be zero by accident
                p.add_(0.05 * torch.randn_like(p))
        (root / name / "final").mkdir(parents=True)
        worlds.save(root / name / "final", made)
    return root


def make(root, **changes):
    settings = {
        "latents": "game", "held": "game", "codec": "codec", "windows": WINDOWS, "batch": 16,
        "origin": Origin(step="start", actions=worlds.ActionPath(width=16)),
        "adapter": AdapterConfig(rank=4), "head_blocks": (0, 1), "head_width": 8,
        "optimiser": OptimiserConfig(lr=3e-3, warmup=0, decay=0, ema=0),
    }  # fmt: skip
    torch.manual_seed(1)
    config = FinetuneConfig(**{**settings, **changes})
    return FinetuneStage(config, tiny.context(root, "tuned"), LoopConfig())


def train(stage, steps, seed=0, same=False):
    losses = []
    for step in range(steps):
        draw = Draw(seed, 0 if same else step)
        values = stage.backward("world", draw, 0)
        stage.players()["world"].step(step, 10**6)
        losses.append(float(values["loss"]))
    return losses


def test_channels_are_matched_by_name(root):
    data = LatentSet.load(root / "game")
    origin = Origin(step="start", actions=worlds.ActionPath(width=16))
    fitted = open_world(origin, tiny.context(root), data).dit.actions.frame.weight
    old = worlds.load(root / "start" / "final", torch.device("cpu"))
    column = old.spec.index("look_yaw")
    assert torch.equal(fitted[:, 1], old.dit.actions.frame.weight[:, column])
    assert fitted.shape[1] == 2 and bool((fitted[:, 0] != 0).any())


def test_an_adapter_run_changes_adapter_and_action_path_alone(root):
    stage = make(root)
    before = {k: v.clone() for k, v in stage.world.state_dict().items()}
    train(stage, 3)
    changed = {k for k, v in stage.world.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all("action" in name for name in changed), changed


def test_one_window_is_overfitted(root):
    stage = make(root, adapter=None, own_share=0.0)
    losses = train(stage, 120, same=True)
    assert losses[-1] < 0.25 * losses[0]


def test_what_is_published_equals_the_adapted_world(root, tmp_path):
    stage = make(root)
    train(stage, 4)
    window = stage.data.sample(4, WINDOWS, Draw(0, 9))
    draw = Draw(0, 10)
    given = stage.world.conditions(window, gather(stage.data.latents, window.past), draw)
    x, sigma = draw.normal(4, 4, 1, 4, 4), torch.full((4,), 0.75)
    with torch.no_grad():
        expected = stage.world(x, sigma, given)
    stage.judge.picture = lambda path: None
    stage.publish(tmp_path)
    published = artifacts.load(tmp_path, "transformer")
    world = worlds.TrainWorld(published, stage.world.text, GAME)
    with torch.no_grad():
        assert torch.allclose(world(x, sigma, given), expected, atol=1e-5)


def test_restricted_history_is_adopted(root):
    plain = Origin(step="open", actions=worlds.ActionPath(width=16))
    adopted = Origin(
        step="open", changes={"restrict_history": True}, actions=worlds.ActionPath(width=16)
    )
    assert not make(root, origin=plain).world.dit.config.restrict_history
    stage = make(root, origin=adopted, adapter=None, own_share=0.0)
    assert stage.world.dit.config.restrict_history
    losses = train(stage, 40, same=True)
    assert losses[-1] < 0.6 * losses[0]


def test_longer_chunks_are_adopted(root):
    stage = make(root, windows=WindowConfig(history=7, targets=3), adapter=None, own_share=0.0)
    losses = train(stage, 40, same=True)
    assert losses[-1] < 0.7 * losses[0]


def test_caption_clips_hold_the_world_to_its_origin(root):
    drift = []
    for keep in (0.0, 30.0):
        stage = make(
            root, adapter=None, captions="latents", keep_share=0.5, keep=keep, own_share=0.0
        )
        train(stage, 40)
        window = stage.old_data.sample(16, WINDOWS, Draw(3, 0))
        draw = Draw(3, 1)
        past = gather(stage.old_data.latents, window.past)
        window = type(window)(window.target, window.past, window.actions[..., :2],
                              torch.zeros(16, dtype=torch.bool), window.texts)  # fmt: skip
        x, sigma = draw.normal(16, 4, 1, 4, 4), torch.ones(16)
        with torch.no_grad():
            given = stage.world.conditions(window, past, draw)
            gap = stage.world(x, sigma, given) - stage.origin(x, sigma, given)
        drift.append(float(gap.square().mean()))
    assert drift[1] < 0.5 * drift[0], drift


def test_heads_on_the_origin_take_turns(root):
    stage = make(root, adversarial=0.5)
    assert [stage.turn(i) for i in range(4)] == ["critic", "world"] * 2
    for turn in ("critic", "world"):
        stage.backward(turn, Draw(0, 0), 0)
        grads = [p.grad for p in stage.players()[turn].params.values() if p.grad is not None]
        assert any(float(g.abs().max()) > 0 for g in grads)
        assert all(p.grad is None for p in stage.origin.parameters())
        stage.players()[turn].step(0, 100)


def test_an_origin_that_does_not_fit_is_named(root):
    origin = Origin(step="start", changes={"ffn_dim": 64})
    with pytest.raises(ValueError, match=r"does not fit: .*ffn"):
        make(root, origin=origin)
    with pytest.raises(ValueError, match="either a step or a pack"):
        Origin()
