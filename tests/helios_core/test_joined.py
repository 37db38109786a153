"""Joined groups: each leads over from the last, along the view's motion, and nothing is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helios_core.codecs.joined import JoinedCodec, Joining, join
from helios_core.codecs.motion import motion_of, moved
from helios_core.packs import manifest as manifests
from helios_core.packs.builtin import random_manifest
from helios_core.world import WorldModel
from tests.helios_core.test_codec import clip, tiny
from tests.helios_core.test_world import make_world, walk

HOW = Joining(shares=(0.5, 0.25))


def ramp(*values: float) -> torch.Tensor:
    """Frames of one colour each, [1, 3, F, 16, 16]."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, -1, 1, 1).expand(1, 3, -1, 16, 16)


def levels(frames: torch.Tensor) -> list[float]:
    return frames[0, 0, :, 0, 0].tolist()


def landscape(seed: int = 0) -> torch.Tensor:
    """Soft hills, [1, 3, 64, 96] in [-1, 1]."""
    rough = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(rough, (64, 96), mode="bicubic").clamp(-1, 1)


def walked(picture: torch.Tensor, motion: torch.Tensor, frames: int) -> torch.Tensor:
    """The same view going on, [1, 3, F, H, W]."""
    return torch.stack([moved(picture, k * motion) for k in range(frames)], 2)


@pytest.mark.parametrize(
    "motion", [(0.16, 0.0, 0.0), (-0.05, 0.02, 0.0), (0.0, 0.0, 0.02), (-0.1, 0.03, 0.01)]
)
def test_a_view_s_motion_is_found(motion):
    told = torch.tensor([motion])
    found = motion_of(walked(landscape(), told, 4))
    assert torch.allclose(found, told, atol=4e-3)


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_where_nothing_is_seen_nothing_moves(level):
    assert motion_of(torch.full((1, 3, 4, 64, 96), level)).abs().max() < 1e-4
    still = landscape()[:, :, None].expand(-1, -1, 4, -1, -1)
    assert motion_of(still).abs().max() < 1e-4


def test_motions_are_of_each_clip_its_own():
    clips = [walked(landscape(i), torch.tensor([[0.05 * i, 0.0, 0.0]]), 4) for i in range(3)]
    together = motion_of(torch.cat(clips))
    assert torch.allclose(together, torch.cat([motion_of(c) for c in clips]), atol=1e-5)


def test_the_first_frames_of_a_group_are_mixed_with_the_last_before_it():
    joined = join(ramp(*(0, 0, 0, 0), *(8, 8, 8, 8), *(0, 0, 0, 0)), HOW, 4)
    assert levels(joined) == pytest.approx([*(0, 0, 0, 0), *(4, 6, 8, 8), *(4, 2, 0, 0)])


def test_what_goes_on_evenly_stays_as_it_is():
    even = walked(landscape(), torch.tensor([[0.06, 0.0, 0.0]]), 8)
    joined = join(even, HOW, 4)
    inside = (..., slice(8, -8), slice(24, -8))  # what came into sight repeats the edge
    assert (joined - even)[inside].abs().max() < 0.03
    halted = even.clone()
    halted[:, :, 4:] = even[:, :, 4:5]
    assert (join(halted, HOW, 4) - halted)[inside].abs().max() > 0.1


def test_frames_are_not_written_over():
    frames = ramp(0, 0, 0, 0, 8, 8, 8, 8).clone()
    join(frames, HOW, 4)
    assert levels(frames)[4] == 8


@torch.no_grad()
def test_decoding_chunk_by_chunk_is_decoding_the_whole():
    codec = JoinedCodec(tiny(), HOW)
    latents = codec.encode(clip(20))
    assert codec.context == tiny().context + 1
    whole = codec.decode(latents, new=5)
    parts = [codec.decode(latents[:, :, max(0, n - 2) : n + 1], new=1) for n in range(5)]
    assert torch.allclose(torch.cat(parts, 2), whole, atol=1e-4)
    plain = tiny().decode(latents, new=5)
    mixed = (whole - plain).abs().amax((0, 1, 3, 4)) > 1e-3
    assert mixed.tolist() == [False] * 4 + [True, True, False, False] * 4


def played(world: WorldModel, chunks: int = 5) -> list[np.ndarray]:
    state, frames = world.start(seed=3, prompt="a meadow"), []
    for i in range(chunks):
        state, made = world.advance(state, walk(world, turn=10.0 * i))
        frames.append(made)
    return frames


def test_a_world_leads_over_from_its_second_chunk_on():
    joined, plain = played(make_world(joining=HOW)), played(make_world())
    assert np.array_equal(joined[0], plain[0])
    for one, other in zip(joined[1:], plain[1:], strict=True):
        assert np.abs(one[2:].astype(int) - other[2:]).max() <= 1
        assert np.abs(one[0].astype(int) - other[0]).mean() > 1


def test_worlds_in_one_batch_are_joined_each_to_its_own():
    world = make_world(joining=HOW)
    long, short = world.start(seed=3, prompt="a"), world.start(seed=4, prompt="b")
    for _ in range(3):
        long, _ = world.generate(long, walk(world))
    states, latents = world.generate_batch([long, short], [walk(world)] * 2, [None, None])
    both = world.decode_batch(states, latents)
    for i, state in enumerate(states):
        alone = world.decode(state, latents[i : i + 1])
        assert np.abs(both[i].astype(int) - alone).max() <= 1


def test_a_loaded_state_shows_the_same_next_frames():
    world = make_world(joining=HOW)
    state = world.start(seed=3, prompt="a")
    for _ in range(3):
        state, _ = world.generate(state, walk(world))
    loaded = world.load_state(world.save_state(state))
    frames, again = (world.advance(start, walk(world))[1] for start in (state, loaded))
    assert np.array_equal(frames, again)


@pytest.mark.parametrize("shares", [(), (0.5, 1.5), (-0.1,)])
def test_shares_are_checked(shares):
    with pytest.raises(ValueError, match="shares of 0 to 1"):
        Joining(shares=shares)


def test_a_group_keeps_a_frame_of_its_own():
    with pytest.raises(ValueError, match="with 2"):
        JoinedCodec(tiny(temporal=2), HOW)


def test_a_manifest_with_it_comes_back_and_hashes_it(tmp_path):
    plain, manifest = random_manifest(), random_manifest(joining=HOW)
    manifests.write(manifest, tmp_path)
    assert manifests.read(tmp_path) == manifest
    assert plain.hash({}) != manifest.hash({})
    assert manifest.hash({}) != replace(manifest, joining=Joining()).hash({})
