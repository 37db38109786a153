"""Released checkpoints: imported in place, loaded shard by shard, played; their parts agree.

The checkpoint is a tiny random one written by diffusers (tests.helios_core.released).
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.cli import main
from engine.warm_up import get_ready
from helios_core.actions import WALK_SPEC
from helios_core.conditioning import ActionConditioning
from helios_core.packs import build, load_world
from helios_core.packs import manifest as manifests
from helios_core.packs.importing import import_released, sampler
from helios_core.sampling.plan import BASE, DISTILLED, MID
from kernels.attention import forget
from tests.helios_core.released import HEIGHT, WIDTH, write_released
from tests.parity.reference import random_model

pytest.importorskip("diffusers")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    return write_released(tmp_path_factory.mktemp("released") / "tiny")


@pytest.fixture(scope="module")
def pack(released, tmp_path_factory) -> Path:
    packs = tmp_path_factory.mktemp("packs")
    return import_released(released, packs, height=HEIGHT, width=WIDTH)


@pytest.fixture(scope="module")
def world(pack):
    return load_world(pack)


@pytest.fixture
def copy(released, tmp_path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "copy"))


def test_the_pack_names_the_weights_and_copies_none(pack, released):
    assert sorted(p.name for p in pack.iterdir()) == ["pack.yaml", "tensors.json"]
    manifest = manifests.read(pack)
    assert Path(manifest.source) == released and manifest.spec.size == 0
    assert (manifest.layout, manifest.fps, manifest.chunk_latents) == ("windowed", 24, 9)
    assert len(manifest.transformer.files) > 2
    assert manifest.sampler["amplify_first"] and manifest.sampler["steps"] == [2, 2, 2]


def test_every_weight_of_the_transformer_arrives(world, released):
    index = json.loads(
        (released / "transformer" / "diffusion_pytorch_model.safetensors.index.json").read_text()
    )
    state = world.parts.transformer.state_dict()
    assert set(index["weight_map"]) == set(state)
    for shard in set(index["weight_map"].values()):
        for name, tensor in load_file(released / "transformer" / shard).items():
            assert torch.equal(state[name], tensor)


def test_it_plays_by_text_for_ever_the_same(world):
    assert world.info.chunk_frames == 33 and world.info.known_words is None
    state = world.start(seed=1, prompt="a red balloon")
    for _ in range(2):
        state, frames = world.advance(state, None)
    assert frames.shape == (33, HEIGHT, WIDTH, 3) and frames.std() > 1
    again = world.load_state(world.save_state(state))
    one, two = world.advance(state, None, "a blue one"), world.advance(again, None, "a blue one")
    assert np.array_equal(one[1], two[1])
    other = world.advance(state, None, "a bird", crossfade=1)
    assert not np.array_equal(one[1], other[1])


def test_pictures_and_clips_start_it(world):
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    state = world.start(seed=1, prompt="a", image=picture)
    assert state.valid == 1 and state.anchored
    plain = world.parts.codec.encode(torch.full((1, 3, 1, HEIGHT, WIDTH), 90 / 127.5 - 1))
    share = (state.anchor - plain).std() / plain.std().clamp(min=1e-6)
    assert 0 < share < 2 and not torch.equal(state.anchor, plain)
    clip = world.start(seed=1, prompt="a", clip=np.stack([picture] * 70))
    assert clip.valid == 18
    with pytest.raises(ValueError, match="33 or more"):
        world.start(seed=1, prompt="a", clip=np.stack([picture] * 32))


@torch.no_grad()
def test_the_codec_is_the_pipelines(world, released):
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan.from_pretrained(released / "vae").eval()
    codec = world.parts.codec
    video = torch.rand(1, 3, 9, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = codec.encode(video)
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    scale = 1 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    raw = vae.encode(video).latent_dist.mode()
    torch.testing.assert_close(latents, (raw - mean) * scale)
    theirs = vae.decode(latents / scale + mean).sample
    # Channels last, convolutions add in another order.
    torch.testing.assert_close(codec.decode(latents, new=3), theirs, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="1 \\+ a multiple of 4"):
        codec.encode(video[:, :, :8])


@pytest.fixture
def traced(monkeypatch) -> Iterator[list[Any]]:
    """What is asked to be compiled, and every program traced of it; the compiler is left out."""
    found, real = [], torch.nn.Module.compile

    def backend(program, example):
        found.append(program)
        return program.forward

    def compile_(module, **given):
        found.append(module)
        real(module, **given, backend=backend)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    yield found
    torch.compiler.reset()
    forget()


def test_its_decoder_is_compiled_when_asked_for(pack, world, traced):
    compiled: Any = load_world(pack, compile=True, codec_device="cpu")
    assert traced == [compiled.parts.codec.codec.vae.decoder]
    modes = [one.info.fingerprint["compile"] for one in (world, compiled)]
    assert modes == ["none", "codec"]


@pytest.mark.full
def test_it_is_compiled_while_the_world_warms_up(pack, world, traced, tmp_path):
    compiled = build.load(pack, compile=True)
    get_ready(compiled, on_progress=lambda *_: None, folder=tmp_path, timed=lambda call: 1.0)
    assert len(traced) == 1 + 3
    plain, other = (w.advance(w.start(seed=1, prompt="a"), None)[1] for w in (world, compiled))
    assert np.abs(plain.astype(int) - other).max() <= 1
    assert len(traced) == 1 + 3  # nothing is left for play to compile


def test_a_codec_of_our_own_is_not_compiled():
    with pytest.raises(ValueError, match=r"pack random .* without compile"):
        load_world("random", compile=True)


@torch.no_grad()
def test_tiling_is_nearly_the_same(released):
    from helios_core.codecs.wan import WanCodec

    codec = WanCodec.load(released / "vae", device="cpu", dtype=torch.float32)
    latents = torch.randn(1, 16, 1, 34, 34, generator=torch.Generator().manual_seed(0)) * 0.3
    whole = codec.decode(latents, new=1)
    codec.tile()
    tiled = codec.decode(latents, new=1)
    assert tiled.shape == whole.shape
    assert 0 < (tiled - whole).abs().mean() < 0.2 * whole.std()


@torch.no_grad()
def test_the_text_encoder_is_the_pipelines(world, released):
    from diffusers import HeliosPyramidPipeline

    pipeline = HeliosPyramidPipeline.from_pretrained(
        released, transformer=None, vae=None, local_files_only=True
    )
    prompts = ["a  red &amp; blue balloon", ""]
    theirs, _ = pipeline._get_t5_prompt_embeds(prompts, max_sequence_length=512, device="cpu")
    ours, mask = world.parts.text_encoder.encode(prompts)
    assert mask is None and ours.shape == (2, 512, 32)
    torch.testing.assert_close(ours, theirs)


def test_the_sampler_follows_the_released_pipeline():
    dmd = {"_class_name": "HeliosDMDScheduler", "stages": 3, "use_dynamic_shifting": True}
    assert sampler({"_class_name": "HeliosPyramidPipeline"}, dmd) == DISTILLED
    unipc = {"_class_name": "HeliosScheduler", "stages": 3, "time_shift_type": "exponential"}
    assert sampler({"_class_name": "HeliosPyramidPipeline"}, unipc) == MID
    assert sampler({"_class_name": "HeliosPipeline"}, {**unipc, "stages": 1}) == BASE
    plain = sampler({"is_distilled": True}, {"stages": 2, "use_dynamic_shifting": False})
    assert plain.steps == (2, 2) and plain.shift == "none"


def test_an_older_name_is_accepted(copy, tmp_path):
    index = next((copy / "transformer").glob("*.index.json"))
    names = json.loads(index.read_text())
    shard = names["weight_map"].pop("norm_out.scale_shift_table")
    names["weight_map"]["scale_shift_table"] = shard
    index.write_text(json.dumps(names))
    tensors = load_file(copy / "transformer" / shard)
    tensors["scale_shift_table"] = tensors.pop("norm_out.scale_shift_table")
    save_file(tensors, copy / "transformer" / shard)
    pack = import_released(copy, tmp_path, name="old", height=HEIGHT, width=WIDTH)
    world = build.load(pack)
    wanted = tensors["scale_shift_table"]
    assert torch.equal(world.parts.transformer.norm_out.scale_shift_table, wanted)


def test_importing_says_how_to_play_it(released, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HELIOS_HOME", str(tmp_path))
    asked = ["packs", "import", str(released), "--height", str(HEIGHT), "--width", str(WIDTH)]
    assert main(asked) == 0 and "`helios play --pack tiny`" in capsys.readouterr().out
    assert main([*asked, "--into", str(tmp_path / "own")]) == 0
    assert f"`helios play --pack {tmp_path / 'own' / 'tiny'}`" in capsys.readouterr().out


def test_importing_spares_a_pack_with_weights_of_its_own(released, tmp_path):
    (tmp_path / "trained").mkdir()
    save_file({"w": torch.ones(1)}, tmp_path / "trained" / "transformer-01-of-01.safetensors")
    (tmp_path / "trained" / "pack.yaml").write_text("format: 1")
    with pytest.raises(ValueError, match="weights of its own; give the imported one another name"):
        import_released(released, tmp_path, name="trained", height=HEIGHT, width=WIDTH)
    assert (tmp_path / "trained" / "pack.yaml").read_text() == "format: 1"
    for _ in range(2):  # once more is no harm
        import_released(released, tmp_path, name="again", height=HEIGHT, width=WIDTH)


def first(folder: Path) -> Path:
    return sorted(folder.glob("*00001*.safetensors"))[0]


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "model_index.json").unlink(), "no released checkpoint"),
        (lambda d: (d / "transformer" / "config.json").write_text("{"), "cannot be read"),
        (lambda d: (d / "scheduler" / "scheduler_config.json").unlink(), "is missing"),
        (lambda d: first(d / "transformer").unlink(), "shard .* is missing"),
        (lambda d: truncate(first(d / "transformer")), "truncated"),
        (lambda d: truncate(first(d / "vae")), "truncated"),
        (lambda d: first(d / "text_encoder").write_bytes(b"nonsense" * 9), "no safetensors file"),
        (lambda d: shutil.rmtree(d / "text_encoder"), "no safetensors"),
        (lambda d: save_file({"new": torch.ones(1)}, first(d / "transformer")), "no tensor"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_one_sentence(copy, tmp_path, capsys, damage, message):
    damage(copy)
    into = tmp_path / "packs"
    code = main(["packs", "import", str(copy), "--into", str(into)])
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and not into.exists()
    assert said[-1].startswith("helios packs: ") and "Traceback" not in "".join(said)
    assert re.search(message, said[-1])


def test_a_checkpoint_that_moved_away_is_named(copy, tmp_path, capsys):
    pack = import_released(copy, tmp_path, name="gone", height=HEIGHT, width=WIDTH)
    shutil.rmtree(copy)
    with pytest.raises(ValueError, match="is gone: import it again"):
        load_world(pack)
    assert main(["packs", "verify", str(pack)]) == 2


def test_a_released_folder_is_told_to_be_imported(released):
    with pytest.raises(ValueError, match="helios packs import"):
        load_world(released)


@pytest.mark.parametrize("size", [(96, 160), (60, 64)])
def test_a_size_that_the_pyramid_cannot_show_is_refused(released, tmp_path, size):
    with pytest.raises(ValueError, match="multiple"):
        import_released(released, tmp_path, height=size[0], width=size[1])
    assert not list(tmp_path.iterdir())


def test_a_windowed_world_takes_actions_for_every_frame_of_its_chunk(world, pack):
    """As after fine-tuning a released checkpoint: one frame for the first latent, then four."""
    spec = WALK_SPEC
    model = world.parts.transformer
    config = replace(model.config, actions=ActionConditioning(channels=spec.size, window=4))
    tuned = random_model(config)
    modules = {
        "transformer": tuned,
        "codec": world.parts.codec,
        "text_encoder": world.parts.text_encoder,
    }
    manifest = replace(manifests.read(pack), actions=tuple(spec.to_dict()))
    walking = build.assemble(manifest, {}, modules, device=torch.device("cpu"), dtype=torch.float32)
    state = walking.start(seed=1, prompt="a")
    still = spec.zeros(33)
    base, _ = walking.generate(state, still)
    for frame, first in ((0, 0), (1, 1), (32, 8)):
        moved = still.copy()
        moved[frame, 0] = 1
        other, _ = walking.generate(state, moved)
        gap = (other.groups[-1] - base.groups[-1]).abs().amax((0, 1, 3, 4))
        assert gap[first] > 0
    with pytest.raises(ValueError, match="a chunk takes 33"):
        walking.generate(state, spec.zeros(36))
