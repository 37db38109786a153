"""A released checkpoint (a tiny look-alike) is fine-tuned by configuration alone."""

import pytest
import torch

from tests.training import tiny
from training.data import shards
from training.data.encode import EncodeConfig, encode
from training.data.windows import LatentSet, WindowConfig
from training.lora import AdapterConfig
from training.stages.finetune import FinetuneConfig, FinetuneStage
from training.stages.origin import Origin
from training.stages.world import ActionPath
from training.trainer.draw import Draw
from training.trainer.loop import LoopConfig
from training.trainer.player import OptimiserConfig

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An imported pack, and clips coded by its codec in chunks of 5 frames (2 latents)."""
    from helios_core.packs.importing import import_released
    from tests.helios_core.released import write_released

    root = tmp_path_factory.mktemp("released")
    write_released(root / "checkpoint")
    import_released(root / "checkpoint", root / "packs", name="lookalike", height=64, width=64)
    g = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 255, (1, 30, 64, 64, 3), generator=g, dtype=torch.uint8)
    clips = tiny.pixel_clips(clips=1, frames=30)
    shards.write(root / "frames" / "0.safetensors",
                 shards.Clips(clips.info, torch.randn(1, 30, clips.info.spec.size).clamp(0, 1)
                              .round(), frames=frames))  # fmt: skip
    pack = f"pack:{root / 'packs' / 'lookalike'}"
    encode(
        EncodeConfig(frames="frames", codec=pack, chunk_latents=2), tiny.context(root, "latents")
    )
    return root


def make(root, **changes):
    config = FinetuneConfig(
        latents="latents", held="latents", codec=f"pack:{root / 'packs' / 'lookalike'}",
        origin=Origin(pack=str(root / "packs" / "lookalike"), changes={"restrict_history": True},
                      actions=ActionPath(width=16)),
        adapter=AdapterConfig(rank=4), stages=2, sigmas=(0.999, 0.5), batch=2,
        windows=WindowConfig(targets=2), own_share=0.0,
        optimiser=OptimiserConfig(lr=1e-2, warmup=0, decay=0, ema=0), **changes,
    )  # fmt: skip
    torch.manual_seed(0)
    return FinetuneStage(config, tiny.context(root, "tuned"), LoopConfig())


def test_windowed_latents_keep_their_chunks_and_actions(root):
    data = LatentSet.load(root / "latents")
    assert data.align == 2 and data.latents.shape == (12, 16, 8, 8)
    assert data.actions.shape[:2] == (12, 4)
    assert (data.actions[::2, :1] == data.actions[::2]).all()  # one frame fills the first window
    window = data.sample(20, WindowConfig(targets=2), Draw(0, 0))
    assert (window.target[:, 0] % 2 == 0).all()


def test_a_released_look_alike_learns_actions_and_short_chunks(root, tmp_path):
    stage = make(root)
    assert stage.world.dit.config.restrict_history
    assert stage.world.dit.config.actions.channels == stage.data.spec.size
    losses = []
    for step in range(30):
        losses.append(float(stage.backward("world", Draw(0, 0), 0)["loss"]))
        stage.players()["world"].step(step, 10**6)
    assert losses[-1] < 0.8 * losses[0], losses
    assert stage.evaluate()["next"] > 0
    stage.publish(tmp_path)
    assert (tmp_path / "transformer.safetensors").exists()
