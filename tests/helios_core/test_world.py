"""WorldModel: pure, deterministic, constant in size, faithful to its prompts, anchors and cuts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helios_core.packs.build import assemble
from helios_core.packs.builtin import random_manifest, random_modules
from helios_core.state import WorldState
from helios_core.world import WorldModel


def make_world(**changes) -> WorldModel:
    manifest = random_manifest(**changes)
    modules = random_modules(manifest)
    return assemble(manifest, {}, modules, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def world() -> WorldModel:
    return make_world()


def walk(world: WorldModel, forward: float = 1.0, turn: float = 30.0) -> np.ndarray:
    return world.info.spec.build(world.info.chunk_frames, move_forward=forward, look_yaw=turn)


def tensors(state: WorldState) -> list[torch.Tensor]:
    return [*state.groups, state.anchor]


def same(one: WorldState, two: WorldState) -> bool:
    pairs = zip(tensors(one), tensors(two), strict=True)
    plain = [(s.chunk, s.seed, s.prompt, s.valid, s.anchored) for s in (one, two)]
    return plain[0] == plain[1] and all(torch.equal(a, b) for a, b in pairs)


def test_fifty_chunks_leave_every_tensor_at_constant_size(world):
    state = world.start(seed=3, prompt="a meadow")
    sizes = [(t.shape, t.dtype, t.untyped_storage().nbytes()) for t in tensors(state)]
    blob = len(world.save_state(state))
    for i in range(50):
        state, _ = world.generate(state, walk(world, turn=i), f"prompt {i}" if i % 7 == 0 else None)
        now = [(t.shape, t.dtype) for t in tensors(state)]
        assert now == [size[:2] for size in sizes]
    held = sum(t.untyped_storage().nbytes() for t in tensors(state))
    assert held == sum(t.nbytes for t in tensors(state))
    assert abs(len(world.save_state(state)) - blob) < 1000
    assert len(world._prompts._hidden) <= 32 and len(world._prompts._blends) <= 4


def test_the_same_state_and_inputs_give_the_same_bits(world):
    state = world.start(seed=3, prompt="a meadow")
    for _ in range(3):
        state, _ = world.generate(state, walk(world))
    before = [t.clone() for t in tensors(state)]
    one, first = world.advance(state, walk(world), "snow", crossfade=4)
    two, second = world.advance(state, walk(world), "snow", crossfade=4)
    loaded = world.load_state(world.save_state(state))
    three, third = world.advance(loaded, walk(world), "snow", crossfade=4)
    assert same(one, two) and same(one, three)
    assert np.array_equal(first, second) and np.array_equal(first, third)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(state), strict=True))


def test_a_long_session_equals_itself_reloaded_half_way(world):
    state = world.start(seed=9, prompt="a meadow")
    for i in range(6):
        state, _ = world.generate(state, walk(world, turn=10 * i))
    other = make_world().load_state(world.save_state(state))
    for i in range(6):
        state, frames = world.advance(state, walk(world, turn=-10 * i), "dusk" if i == 1 else None)
        other, again = world.advance(other, walk(world, turn=-10 * i), "dusk" if i == 1 else None)
    assert same(state, other) and np.array_equal(frames, again)


def test_prepared_history_changes_nothing_and_must_fit(world):
    state, _ = world.generate(world.start(seed=1, prompt="a"), walk(world))
    plain, _ = world.generate(state, walk(world))
    with_it, _ = world.generate(state, walk(world), prepared=world.prepare(state))
    assert same(plain, with_it)
    retold = replace(state, seed=2)
    world.generate(retold, walk(world), prepared=world.prepare(state))
    with pytest.raises(ValueError, match="another state"):
        world.generate(plain, walk(world), prepared=world.prepare(state))
    with pytest.raises(ValueError, match="another state"):
        world.generate(world.reanchor(state), walk(world), prepared=world.prepare(state))


@pytest.mark.parametrize(
    "change",
    ["seed", "actions", "null", "prompt", "anchor", "history"],
)
def test_everything_that_should_matter_does(world, change):
    state = world.start(seed=1, prompt="a meadow")
    for _ in range(2):
        state, _ = world.generate(state, walk(world))
    base, _ = world.generate(state, walk(world))
    variants = {
        "seed": lambda: world.generate(replace(state, seed=2), walk(world)),
        "actions": lambda: world.generate(state, walk(world, turn=-30)),
        "null": lambda: world.generate(state, None),
        "prompt": lambda: world.generate(state, walk(world), "a stormy sea", crossfade=1),
        "anchor": lambda: world.generate(replace(state, anchor=-state.anchor), walk(world)),
        "history": lambda: world.generate(world.cut(state, keep_anchor=True), walk(world)),
    }
    other, _ = variants[change]()
    assert (base.groups[-1] - other.groups[-1]).abs().max() > 1e-3


def test_standing_still_is_not_the_null_action(world):
    state = world.start(seed=1, prompt="a")
    still, _ = world.generate(state, world.info.spec.zeros(4))
    null, _ = world.generate(state, None)
    assert not torch.equal(still.groups[-1], null.groups[-1])


def test_a_batch_is_its_worlds_one_by_one(world):
    played, _ = world.generate(world.start(seed=5, prompt="a meadow"), walk(world))
    played, _ = world.generate(played, walk(world))
    other, _ = world.generate(world.start(seed=6, prompt="a meadow"), walk(world, turn=-90))
    before = [world.start(seed=4, prompt="dusk"), played, other]
    actions, prompts = [walk(world), None, walk(world, turn=-60)], [None, "snow", None]
    after, latents = world.generate_batch(before, actions, prompts, crossfade=3)
    frames = world.decode_batch(after, latents)
    for i, state in enumerate(before):
        alone, alone_latents = world.generate(state, actions[i], prompts[i], crossfade=3)
        assert after[i].prompt == alone.prompt and after[i].chunk == alone.chunk
        torch.testing.assert_close(latents[i : i + 1], alone_latents, atol=1e-4, rtol=1e-4)
        gap = frames[i].astype(int) - world.decode(alone, alone_latents)
        assert abs(gap).max() <= 1
    with pytest.raises(ValueError, match="one each"):
        world.generate_batch([], [], [])


def test_decoding_reads_the_latents_before_and_is_pure(world):
    state = world.start(seed=1, prompt="a")
    for _ in range(3):
        state, latents = world.generate(state, walk(world))
    frames = world.decode(state, latents)
    assert frames.shape == (4, 64, 96, 3) and frames.dtype == np.uint8
    assert np.array_equal(frames, world.decode(state, latents))
    fresh = replace(state, valid=1)
    assert not np.array_equal(frames, world.decode(fresh, latents))


def seam(world, chunks):
    """Largest difference in grey levels between decoding chunk by chunk and all at once."""
    state, latents, frames = world.start(seed=1, prompt="a meadow"), [], []
    for _ in range(chunks):
        state, new = world.generate(state, walk(world))
        latents.append(new)
        frames.append(world.decode(state, new))
    together = torch.cat(latents, 2)
    video = world.parts.codec.decode(together, new=together.shape[2])
    whole = video[0].permute(1, 2, 3, 0).add(1).mul(127.5).round().clamp(0, 255).byte().numpy()
    return abs(whole.astype(int) - np.concatenate(frames)).max()


def test_chunk_by_chunk_decoding_equals_decoding_the_session(world):
    assert seam(world, chunks=4) <= 1


def test_a_history_shorter_than_a_chunk_leaves_no_seam():
    """What decoding reads is kept even where the model itself looks back less far."""
    manifest = random_manifest(chunk_latents=3)
    config = {**manifest.transformer.config, "history_sizes": [1, 1, 1]}
    short = make_world(chunk_latents=3, transformer=replace(manifest.transformer, config=config))
    assert seam(short, chunks=3) <= 1


def test_the_anchor_is_the_first_frame_until_a_crossfade_completes(world):
    state = world.start(seed=1, prompt="a meadow")
    assert not state.anchored
    state, first = world.generate(state, walk(world))
    assert torch.equal(state.anchor, first[:, :, :1])
    for step in range(4):
        state, latents = world.generate(
            state, walk(world), "snow" if step == 0 else None, crossfade=3
        )
        arrived = step >= 2
        assert torch.equal(state.anchor, first[:, :, :1]) != arrived
        if step == 2:
            renewed = latents[:, :, -1:]
    assert torch.equal(state.anchor, renewed)


def test_a_crossfade_moves_from_its_first_chunk_and_starts_from_the_blend(world):
    state = world.start(seed=1, prompt="a")
    state, _ = world.generate(state, None, "b", crossfade=4)
    assert state.prompt.blend == (("a", 0.75), ("b", 0.25))
    state, _ = world.generate(state, None)
    state, _ = world.generate(state, None, "c", crossfade=2)
    assert dict(state.prompt.blend) == {"a": 0.25, "b": 0.25, "c": 0.5}
    state, _ = world.generate(state, None, "d", crossfade=1)
    assert state.prompt.blend == (("d", 1.0),)


def test_a_blend_lies_between_its_prompts(world):
    cache = world._prompts
    ends = [cache.hidden(text)[0] for text in ("a meadow at noon", "a stormy sea here")]
    mixed = cache._mix((("a meadow at noon", 0.25), ("a stormy sea here", 0.75)))[0]
    torch.testing.assert_close(mixed, 0.25 * ends[0] + 0.75 * ends[1])


def test_reanchor_and_cut(world):
    state = world.start(seed=1, prompt="a")
    assert not world.reanchor(state).anchored
    for _ in range(4):
        state, _ = world.generate(state, walk(world))
    renewed = world.reanchor(state)
    assert torch.equal(renewed.anchor, state.groups[-1][:, :, -1:])
    assert renewed.groups is state.groups
    shot = world.cut(state)
    assert not shot.anchored and shot.valid == 0 and not any(g.any() for g in shot.groups)
    assert (shot.chunk, shot.prompt) == (state.chunk, state.prompt)
    kept = world.cut(state, keep_anchor=True, keep_last=2)
    assert torch.equal(kept.anchor, state.anchor) and kept.valid == 2
    assert torch.equal(kept.frames(2), state.frames(2)) and not kept.frames(3)[:, :, :1].any()
    with pytest.raises(ValueError, match="keep_last"):
        world.cut(state, keep_last=1000)


def picture(height: int = 64, width: int = 96) -> np.ndarray:
    rows = np.linspace(0, 255, height)[:, None, None]
    return np.broadcast_to(rows, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (200, 150), (30, 30)])
def test_a_start_image_becomes_anchor_and_history(world, size):
    state = world.start(seed=1, prompt="a", image=picture(*size))
    assert state.anchored and state.valid == 1 and state.chunk == 0
    assert torch.equal(state.anchor, state.groups[-1])
    after, frames = world.advance(state, walk(world))
    assert torch.equal(after.anchor, state.anchor) and frames.shape == (4, 64, 96, 3)


def test_a_start_clip_becomes_history(world):
    clip = np.stack([picture() // (i + 1) for i in range(14)])
    state = world.start(seed=1, prompt="a", clip=clip)
    assert state.valid == 3 and state.anchored
    still = world.start(seed=1, prompt="a", clip=np.stack([picture()] * 400))
    assert still.valid == 19 and all(g.any() for g in still.groups)
    assert not torch.equal(state.anchor, state.groups[-1])


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"image": picture().astype(float)}, "uint8"),
        ({"image": picture()[0]}, r"\[H, W, 3\]"),
        ({"clip": picture()}, r"\[F, H, W, 3\]"),
        ({"clip": picture()[None][:0]}, "empty"),
        ({"clip": picture()[None]}, "4 or more"),
        ({"clip": picture()[None], "image": picture()}, "not from both"),
    ],
)
def test_bad_starts_are_refused(world, start, message):
    with pytest.raises(ValueError, match=message):
        world.start(seed=1, **start)


def test_bad_actions_and_crossfades_are_refused(world):
    state = world.start(seed=1)
    with pytest.raises(ValueError, match="look_yaw = 999"):
        world.generate(state, np.full((4, 6), 999, np.float32) * [0, 0, 1, 0, 0, 0])
    with pytest.raises(ValueError, match="a chunk takes 4"):
        world.generate(state, world.info.spec.zeros(5))
    with pytest.raises(ValueError, match="at least 1 chunk"):
        world.generate(state, None, "b", crossfade=0)


def test_a_pack_without_actions_plays_by_text():
    manifest = random_manifest(actions=())
    config = {**manifest.transformer.config, "actions": None}
    world = make_world(actions=(), transformer=replace(manifest.transformer, config=config))
    state, frames = world.advance(world.start(seed=1, prompt="a"), None)
    assert frames.shape == (4, 64, 96, 3)
    assert world.info.spec.size == 0
    world.generate(state, np.zeros((4, 0), np.float32))
    with pytest.raises(ValueError, match="plays by text"):
        world.generate(state, np.zeros((4, 2), np.float32))


def test_unrestricted_history_and_guidance_play_too():
    manifest = random_manifest()
    config = {**manifest.transformer.config, "restrict_history": False}
    sampler = {**manifest.sampler, "guidance": 3.0}
    spec = replace(manifest.transformer, config=config)
    guided = make_world(transformer=spec, sampler=sampler, negative_prompt="blurred")
    plain = make_world(transformer=spec)
    state = guided.start(seed=1, prompt="a meadow")
    after, _ = guided.generate(state, walk(guided), prepared=guided.prepare(state))
    other, _ = plain.generate(state, walk(plain))
    assert not torch.equal(after.groups[-1], other.groups[-1])
    both, _ = guided.generate_batch([state, after], [None, None], [None, None])
    assert [s.chunk for s in both] == [1, 2]


def test_several_latents_a_chunk(world):
    wide = make_world(chunk_latents=3)
    state = wide.start(seed=1, prompt="a", image=picture())
    assert wide.info.chunk_frames == 12 and state.groups[0].shape[2] == 3 and state.valid == 1
    for _ in range(9):
        state, frames = wide.advance(state, walk(wide))
    assert frames.shape[0] == 12 and state.valid == 21
    assert torch.equal(state.frames(19), torch.cat(state.groups, 2)[:, :, 2:])
    assert same(wide.load_state(wide.save_state(state)), state)
