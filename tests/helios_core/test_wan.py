"""The codec of the released models, tiny and random. Run: `pytest tests/helios_core/test_wan.py`.

The compiler is left out: its tracer runs, what it traced is called as it is.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helios_core.codecs.wan import WanCodec
from helios_core.products import count_products

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def vae() -> Any:
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    tiny: Any = AutoencoderKLWan(base_dim=3, num_res_blocks=1)
    return tiny.eval().requires_grad_(False)


@pytest.fixture
def traced(monkeypatch) -> Iterator[list[int]]:
    """Sizes of the programs that were traced."""
    programs, real = [], nn.Module.compile

    def backend(program, example):
        programs.append(len(program.graph.nodes))
        return program.forward

    def compile_(module: nn.Module, **options: Any) -> None:
        real(module, **options, backend=backend)

    monkeypatch.setattr(nn.Module, "compile", compile_)
    yield programs
    torch.compiler.reset()


def codec_of(vae: Any, dtype: torch.dtype = torch.float32) -> WanCodec:
    return WanCodec(copy.deepcopy(vae).to(dtype))


def latents_of(batch: int = 1, count: int = 3) -> Tensor:
    noise = torch.randn(batch, 16, count, 6, 8, generator=torch.Generator().manual_seed(1))
    return noise * 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_channels_last_is_the_same_codec(vae, dtype) -> None:
    """Held against fp32, it rounds no worse than the plain one does."""
    plain, codec = copy.deepcopy(vae).to(dtype), codec_of(vae, dtype)
    video = torch.rand(1, 3, 9, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    raw = latents_of() * codec._std + codec._mean
    frames, latents = codec.decode(latents_of(), new=3), codec.encode(video)
    for exact, theirs, ours in (
        (vae.decode(raw), plain.decode(raw.to(dtype)), frames),
        (vae.encode(video), plain.encode(video.to(dtype)), latents * codec._std + codec._mean),
    ):
        wanted = values(exact)
        assert ours.shape == wanted.shape and wanted.std() > 0.01
        worst = 1.3 * (values(theirs) - wanted).abs().mean() + 1e-5
        assert (ours - wanted).abs().mean() <= worst


def values(coded: Any) -> Tensor:
    """Frames or latents of what the library returns."""
    found = coded.sample if "sample" in coded else coded.latent_dist.mode()
    return found.float()


@torch.inference_mode()
def test_every_convolution_is_channels_last_and_gets_it(vae) -> None:
    codec, seen = codec_of(vae), []
    for module in codec.vae.modules():
        if isinstance(module, nn.Conv3d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last_3d)
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
    for name in ("quant_conv", "post_quant_conv"):
        codec.vae.get_submodule(name).register_forward_pre_hook(
            lambda module, given: seen.append(given[0])
        )
    codec.decode(latents_of(), new=3)
    assert [x.is_contiguous(memory_format=torch.channels_last_3d) for x in seen] == [True]


@torch.inference_mode()
def test_three_programs_decode_clips_of_any_batch(vae, traced) -> None:
    plain, codec, other = codec_of(vae), codec_of(vae), codec_of(vae)
    codec.compile()
    assert traced == []
    for latents in (latents_of(), latents_of(batch=2)):
        wanted = plain.decode(latents, new=3)
        assert (codec.decode(latents, new=3) - wanted).abs().max() < 1e-3
        assert len(traced) == 3
    other.compile()
    other.decode(latents_of(), new=3)
    assert len(traced) == 3  # another of its kind takes them over


@torch.inference_mode()
def test_products_of_a_compiled_codec_are_counted(vae, traced) -> None:
    plain, codec = codec_of(vae), codec_of(vae)
    codec.compile()
    flops = [
        count_products(lambda one=one: one.decode(latents_of(), new=3)).flops
        for one in (plain, codec)
    ]
    assert flops[0] == flops[1] > 0 and traced == []


def test_tiles_are_not_compiled(vae) -> None:
    codec = codec_of(vae)
    codec.tile()
    with pytest.raises(ValueError, match=r"works in tiles.*without compile"):
        codec.compile()
