"""TinyCodec: shapes, causality, streaming without a seam, statistics, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_core.codecs.api import frames_of, latents_of
from helios_core.codecs.tiny import TinyCodec, TinyCodecConfig

SMALL = {
    "channels": 6,
    "encoder_widths": (8, 8, 16),
    "decoder_widths": (8, 8, 16),
    "encoder_blocks": (1, 1, 1),
    "decoder_blocks": (1, 1, 1),
}


def tiny(seed: int = 0, **changes: object) -> TinyCodec:
    torch.manual_seed(seed)
    codec = TinyCodec(TinyCodecConfig(**{**SMALL, **changes})).eval()
    codec.set_statistics(torch.randn(6) * 0.1, torch.rand(6) + 0.5)
    return codec


def clip(frames: int, height: int = 16, width: int = 24) -> torch.Tensor:
    return (
        torch.rand(2, 3, frames, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    )


@pytest.mark.parametrize("temporal", [1, 2, 4])
@torch.no_grad()
def test_shapes(temporal):
    codec = tiny(temporal=temporal)
    latents = codec.encode(clip(8))
    assert latents.shape == (2, 6, 8 // temporal, 2, 3)
    assert codec.decode(latents, new=1).shape == (2, 3, temporal, 16, 24)
    assert codec.decode(latents, new=8 // temporal).shape == (2, 3, 8, 16, 24)


@torch.no_grad()
def test_encode_needs_no_future_frames():
    codec, video = tiny(), clip(12)
    changed = video.clone()
    changed[:, :, 8:] = 0
    before, after = codec.encode(video), codec.encode(changed)
    assert torch.equal(before[:, :, :2], after[:, :, :2])
    assert not torch.equal(before[:, :, 2], after[:, :, 2])


@pytest.mark.parametrize("context", [0, 1, 2])
@torch.no_grad()
def test_decoding_chunk_by_chunk_is_decoding_the_whole(context):
    codec = tiny(context=context)
    latents = codec.encode(clip(20))
    whole = codec.decode(latents, new=5)
    for n in range(5):
        seen = latents[:, :, max(0, n - context) : n + 1]
        part = codec.decode(seen, new=1)
        torch.testing.assert_close(part, whole[:, :, 4 * n : 4 * n + 4], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_context_is_used_and_no_more_than_it():
    codec = tiny(context=1)
    latents = codec.encode(clip(12))
    alone, exact = codec.decode(latents[:, :, 2:], new=1), codec.decode(latents[:, :, 1:], new=1)
    assert (alone - exact).abs().max() > 1e-3
    torch.testing.assert_close(codec.decode(latents, new=1), exact)


@torch.no_grad()
def test_a_video_of_a_batch_codes_as_if_alone():
    codec, video = tiny(), clip(8)
    torch.testing.assert_close(codec.encode(video)[1:], codec.encode(video[1:]))


@torch.no_grad()
def test_statistics_normalise_and_undo():
    codec = tiny()
    raw, normal = codec.encode_raw(clip(8)), codec.encode(clip(8))
    restored = normal * codec.latent_std[:, None, None, None]
    torch.testing.assert_close(restored + codec.latent_mean[:, None, None, None], raw)
    torch.testing.assert_close(codec.decode(normal, new=2), codec.decode_raw(raw, new=2))
    with pytest.raises(ValueError, match="deviation"):
        codec.set_statistics(torch.zeros(6), torch.zeros(6))


def test_learns_a_clip():
    codec, video = tiny(decoder_widths=(16, 16, 32)), clip(4)[:1]
    video = torch.nn.functional.avg_pool3d(video, (1, 5, 5), 1, (0, 2, 2))
    optimizer = torch.optim.Adam(codec.parameters(), 3e-3)
    errors = []
    for _ in range(60):
        error = (codec.decode_raw(codec.encode_raw(video), new=1) - video).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"temporal": 0}, "temporal"), ({"context": -1}, "context"), ({"channels": 0}, "channels")],
)
def test_bad_configs_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        TinyCodecConfig(**changes)


@torch.no_grad()
def test_frames_and_sizes_that_do_not_fit_are_refused():
    codec = tiny()
    for shape in [(1, 3, 3, 16, 16), (1, 3, 4, 15, 16), (1, 3, 0, 16, 16)]:
        with pytest.raises(ValueError, match="multiples of 4 frames"):
            codec.encode(torch.zeros(shape))
    with pytest.raises(ValueError, match="last 3 of 2"):
        codec.decode(torch.zeros(1, 6, 2, 2, 2), new=3)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["streamed", "windowed"]), st.integers(1, 8), st.integers(-3, 80))
def test_lengths_round_trip_or_name_the_nearest(layout, temporal, frames):
    codec = tiny(temporal=1)
    codec.layout, codec.temporal = layout, temporal
    try:
        count = latents_of(codec, frames)
    except ValueError as error:
        named = [int(word.strip(",")) for word in str(error).split("take ")[1].split(" or ")]
        assert all(frames_of(codec, latents_of(codec, n)) == n for n in named)
        assert frames < named[0] or named[0] < frames < named[1]
        return
    assert frames_of(codec, count) == frames
