"""A codec beside the transformer. Run: `pytest tests/helios_core/test_beside.py`."""

import numpy as np
import pytest
import torch

from helios_core.codecs.beside import BesideCodec, begin
from helios_core.codecs.tiny import TinyCodec, TinyCodecConfig

CONFIG = TinyCodecConfig(channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8))


def pair(device: str) -> tuple[TinyCodec, BesideCodec]:
    torch.manual_seed(0)
    codec = TinyCodec(CONFIG).to(device).eval().requires_grad_(False)
    return codec, BesideCodec(codec, torch.device(device))


def test_it_is_the_same_codec() -> None:
    codec, beside = pair("cpu")
    video, latents = torch.rand(1, 3, 8, 16, 16) * 2 - 1, torch.randn(1, 4, 3, 2, 2)
    assert torch.equal(beside.encode(video), codec.encode(video))
    begun = [beside.begin(latents[:, :, i : i + 2], new=1) for i in range(2)]
    for i, decoding in enumerate(begun):
        assert torch.equal(decoding.frames(), codec.decode(latents[:, :, i : i + 2], new=1))
    for name in ("layout", "spatial", "temporal", "channels", "context"):
        assert getattr(beside, name) == getattr(codec, name)


@pytest.mark.gpu
def test_it_decodes_while_the_device_does_other_work() -> None:
    codec, beside = pair("cuda")
    latents, square = torch.randn(1, 4, 3, 2, 2, device="cuda"), torch.randn(4096, 4096).cuda()
    wanted = codec.decode(latents, new=2)
    for _ in range(8):
        begun = beside.begin(latents.clone(), new=2)
        square = (square @ square).clamp(-1, 1)
        torch.testing.assert_close(begun.frames(), wanted)


def test_a_world_decodes_elsewhere() -> None:
    # Imported here: the tests above also run where only torch is installed (kernels/gpu_suite.sh).
    from helios_core.packs import load_world
    from helios_core.world import WorldModel

    plain, other = load_world("random"), load_world("random", codec_device="cpu")
    assert isinstance(other, WorldModel) and isinstance(other.parts.codec, BesideCodec)
    one, two = (w.advance(w.start(seed=3, prompt="a meadow"), None)[1] for w in (plain, other))
    assert np.array_equal(one, two)


def test_the_host_gets_frames_of_any_codec() -> None:
    codec, beside = pair("cpu")
    latents = torch.randn(1, 4, 3, 2, 2)
    for begun in (begin(codec, latents, new=2), begin(beside, latents, new=2)):
        assert begun.ready
        assert torch.equal(begun.on_host(torch.neg), -codec.decode(latents, new=2))


@pytest.mark.gpu
def test_the_host_waits_for_the_codec_alone() -> None:
    codec, beside = pair("cuda")
    latents, square = torch.randn(1, 4, 3, 2, 2, device="cuda"), torch.randn(8192, 8192).cuda()
    wanted = codec.decode(latents, new=2).cpu()
    begun = begin(beside, latents, new=2)
    assert not begun.ready
    for _ in range(100):
        square = (square @ square).clamp(-1, 1)
    torch.testing.assert_close(begun.on_host(torch.clone), wanted)
    assert not torch.cuda.current_stream().query(), "the other work was waited for too"
