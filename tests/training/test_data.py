"""Shards, windows and corruption: what a model is shown is what the clips say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.rollouts.reader import RolloutDataset
from helios_core.actions import ActionSpec
from tests.training import tiny
from training.data import shards
from training.data.bank import OwnBank
from training.data.clips import ClipsConfig, Piece, _alike, _clip, chosen, pieces
from training.data.clips import clips as make_clips
from training.data.corruption import CorruptionConfig, corrupt
from training.data.encode import EncodeConfig, encode_clips
from training.data.windows import LatentSet, WindowConfig, gather
from training.trainer.draw import Draw

WHOLE = WindowConfig(
    history=7, text_to_video=0, image_to_video=0, partial=0, anchor_dropped=0,
    text_dropped=0, action_dropped=0,
)  # fmt: skip


@pytest.fixture
def latents(tmp_path):
    tiny.data(tmp_path)
    return LatentSet.load(tmp_path / "latents")


def test_a_shard_returns_what_was_written(tmp_path):
    clips = tiny.pixel_clips()
    shards.write(tmp_path / "a.safetensors", clips)
    back = shards.read(tmp_path / "a.safetensors")
    assert torch.equal(back.frames, clips.frames)
    assert back.info == clips.info


def test_frames_are_read_from_everywhere(tmp_path):
    for i in range(2):
        shards.write(tmp_path / f"{i}.safetensors", tiny.pixel_clips(seed=i))
    reader = shards.FrameReader(tmp_path)
    got = reader.sample(200, 4, torch.Generator().manual_seed(0))
    assert got.shape == (200, 4, 32, 32, 3)
    assert len({tuple(c.flatten()[:3].tolist()) for c in got}) > 40  # clips and starts vary


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="no shards here"):
        shards.listing(tmp_path)


def test_history_ends_right_before_the_target_within_one_clip(latents):
    window = latents.sample(64, WHOLE, Draw(0, 0))
    clip_of = torch.arange(4).repeat_interleave(24)
    assert torch.equal(window.past[:, -1][window.past[:, -1] >= 0] + 1,
                       window.target[:, 0][window.past[:, -1] >= 0])  # fmt: skip
    for past, target in zip(window.past, window.target, strict=True):
        seen = past[past >= 0]
        assert (clip_of[seen] == clip_of[target]).all()
        assert (seen < target).all()
        assert (past[1:][past[1:] >= 0].diff() == 1).all()


def test_starts_of_sessions_are_drawn_as_asked(latents):
    first = latents.sample(64, replace(WHOLE, text_to_video=1.0), Draw(0, 1))
    assert (first.past == -1).all()
    image = latents.sample(64, replace(WHOLE, image_to_video=1.0), Draw(0, 2))
    begun = image.past[:, -1] >= 0
    assert (image.past[begun, 1:] >= 0).sum(1).eq(1).all()
    assert torch.equal(image.past[begun, 0], image.past[begun, -1])  # one frame, its own anchor


def test_anchors_are_old_and_young(latents):
    window = latents.sample(400, WHOLE, Draw(0, 3))
    has = window.past[:, 0] >= 0
    age = (window.target[:, 0] - window.past[:, 0])[has]
    assert (age >= 1).all() and (age <= 3).any() and (age >= 15).any()
    dropped = latents.sample(400, replace(WHOLE, anchor_dropped=1.0), Draw(0, 3))
    long_run = dropped.past[:, -2] >= 0
    assert (dropped.past[long_run, 0] == -1).all()


def test_a_switched_past_is_another_clips_up_to_the_switch(latents):
    own = latents.sample(400, WHOLE, Draw(0, 7))
    window = latents.sample(400, replace(WHOLE, switched=0.3), Draw(0, 7))
    clip_of = torch.cat([torch.arange(4).repeat_interleave(24), torch.tensor([-1])])
    ours = clip_of[window.past] == clip_of[window.target]  # [B, 1 + K]; absent ones are not ours
    changed = (window.past != own.past).any(1)
    assert 60 <= changed.sum() <= 160
    assert torch.equal(window.past[~changed], own.past[~changed])
    assert torch.equal(window.target, own.target)
    for row in ours[changed][:, 1:]:
        assert (row[:-1] <= row[1:]).all()  # once switched, the past stays with the target's clip
    assert (~ours[changed][:, -1]).any() and ours[changed][:, -1].any()


def test_texts_follow_their_segments_and_actions_their_latents(latents):
    window = latents.sample(64, WHOLE, Draw(0, 4))
    for target, text, actions in zip(
        window.target[:, 0], window.texts, window.actions, strict=True
    ):
        clip, offset = divmod(int(target), 24)
        words = {"later"} if offset * 2 >= 20 else {f"world {clip}", f"the world number {clip}"}
        assert text in words
        assert torch.equal(actions[0], latents.actions[target])
    none = latents.sample(64, replace(WHOLE, text_dropped=1.0, action_dropped=1.0), Draw(0, 4))
    assert set(none.texts) == {""} and not none.action_mask.any()


def test_a_past_too_short_for_a_switch_is_switched_whole(latents):
    config = replace(WHOLE, switched=1.0, partial=1.0)
    window = latents.sample(800, config, Draw(0, 8))
    clip_of = torch.cat([torch.arange(4).repeat_interleave(24), torch.tensor([-1])])
    clips = clip_of[window.past[:, 1:]]
    for seen in clips:  # nothing is missing between two moments of a past
        there = (seen >= 0).nonzero().flatten()
        assert len(there) == 0 or (seen[there[0] :] >= 0).all()


@pytest.mark.parametrize(("chunk", "first"), [(9, 8), (1, 20)])
def test_captions_of_windowed_chunks_begin_at_their_own_frames(tmp_path, chunk, first):
    """A chunk of 9 latents is 33 frames; one of a single latent is a single frame."""
    clips = tiny.latent_clips(length=27)
    temporal, frames = 4, 27 // chunk * (1 + 4 * (chunk - 1))
    origin = {"layout": "windowed", "chunk_latents": chunk, "temporal": temporal}
    start = 1 + 4 * (first - 1) if chunk == 9 else first
    captions = ((shards.Segment(0, ("old",)), shards.Segment(start, ("new",)),
                 shards.Segment(frames - 1, ("end",))),) * 4  # fmt: skip
    info = replace(clips.info, captions=captions, origin=origin)
    actions = torch.zeros(4, frames, clips.actions.shape[2])
    shards.write(tmp_path / "0.safetensors", shards.Clips(info, actions, latents=clips.latents))
    loaded = LatentSet.load(tmp_path)
    said = [loaded.texts[i][0] for i in loaded.text_of[:27].tolist()]
    if chunk == 9:  # the last latent's first frame is before the last caption
        assert said == ["old"] * first + ["new"] * (27 - first)
    else:
        assert said == ["old"] * first + ["new"] * (26 - first) + ["end"]


@pytest.mark.parametrize("other", [{"fps": 10}, {"spec": ActionSpec(channels=())}])
def test_latents_of_other_actions_or_rates_are_refused(tmp_path, other):
    clips = tiny.latent_clips()
    for i, change in enumerate(({}, other)):
        info = replace(clips.info, **change)
        values = clips.actions[..., : info.spec.size]
        shards.write(tmp_path / f"{i}.safetensors", replace(clips, info=info, actions=values))
    with pytest.raises(ValueError, match="other actions or another frame rate"):
        LatentSet.load(tmp_path)


SPEC = SimpleNamespace(actions=tiny.WALK_SPEC, fps=20, source={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 10}, "b has 10 frames/s, a 20; set fps"),
        ({"actions": ActionSpec(channels=())}, "b has other action channels than a"),
    ],
)
def test_recordings_of_other_actions_or_rates_are_refused(tmp_path, monkeypatch, change, message):
    specs = {"a": SPEC, "b": SimpleNamespace(**{**vars(SPEC), **change})}
    monkeypatch.setattr(
        RolloutDataset, "open", lambda p: SimpleNamespace(spec=specs[p.name], episodes=[])
    )
    config = ClipsConfig(folders=("a", "b"), height=32, width=32)
    with pytest.raises(ValueError, match=message):
        make_clips(config, tiny.context(tmp_path))


def test_recordings_of_two_rates_meet_at_a_rate_that_divides_both():
    specs = [SPEC, SimpleNamespace(**{**vars(SPEC), "fps": 10})]
    config = ClipsConfig(folders=("a", "b"), height=32, width=32, fps=10)
    _alike([(n, SimpleNamespace(spec=s)) for n, s in zip("ab", specs, strict=True)], config)


def _pieces(*places):
    return [Piece(episode, start, 9, episode) for episode, start in places]


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (
            _pieces(*((e, s) for e in (0, 2, 3, 5) for s in (0, 9))),
            _pieces((2, 0), (2, 9), (5, 0), (5, 9)),
        ),
        (_pieces((4, 0), (4, 9), (4, 18)), _pieces((4, 9))),
    ],
)
def test_whole_episodes_are_held_out_where_there_are_enough(found, held):
    config = ClipsConfig(folders=("a",), height=32, width=32, held_every=2)
    assert chosen(found, replace(config, held=True)) == held
    assert sorted(chosen(found, config) + held) == found


GAME, VIDEO, PLAY = {"env": "X-v0"}, {"layout": "x"}, {"pack": "null"}


def _recording(*episodes):
    """Of (length, source, seed, digest) each."""
    headers = [
        SimpleNamespace(source=source, seed=seed, extra={"digest": digest} if digest else {})
        for _, source, seed, digest in episodes
    ]
    return SimpleNamespace(episodes=[
        SimpleNamespace(index=i, length=length, header=header)
        for i, ((length, *_), header) in enumerate(zip(episodes, headers, strict=True))
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("episodes", "held"),
    [
        # Cut off, and recorded or imported anew.
        ([(20, GAME, 0, ""), (15, GAME, 1, ""), (20, GAME, 1, ""), (20, GAME, 2, "")],
         [(1, 0), (2, 0), (2, 10)]),
        ([(20, VIDEO, 0, "a"), (15, VIDEO, 0, "b"), (20, VIDEO, 0, "b"), (20, VIDEO, 0, "c")],
         [(1, 0), (2, 0), (2, 10)]),
        ([(25, GAME, 0, ""), (40, GAME, 0, "")], [(0, 10), (1, 10), (1, 30)]),  # too few to hold
        # Of play, one seed begins many walks.
        ([(10, PLAY, 0, ""), (10, PLAY, 0, ""), (10, PLAY, 0, "")], [(1, 0)]),
    ],
)  # fmt: skip
def test_what_was_recorded_twice_falls_on_one_side(episodes, held):
    config = ClipsConfig(folders=("a",), height=32, width=32, frames=10, least=8, held_every=2)
    found = list(pieces(_recording(*episodes), config, 1))
    kept = [chosen(found, replace(config, held=side)) for side in (False, True)]
    assert [(p.episode, p.start) for p in kept[1]] == held
    assert sorted(kept[0] + kept[1], key=found.index) == found


def test_frames_without_a_prompt_have_no_caption(tmp_path):
    """The earlier caption does not go on over them."""
    window = SimpleNamespace(
        frames=np.zeros((24, 32, 32, 3), np.uint8),
        applied=np.zeros((24, tiny.WALK_SPEC.size), np.float32),
        prompts=["a field"] * 8 + [""] * 8 + ["a lake"] * 8,
    )
    config = ClipsConfig(folders=("a",), height=32, width=32)
    clip = _clip(window, SPEC, config, 1)
    assert [s.start for s in clip.info.captions[0]] == [0, 8, 16]
    latents = torch.zeros(1, 12, 4, 4, 4)
    shards.write(tmp_path / "0.safetensors", shards.Clips(clip.info, clip.actions, latents=latents))
    loaded = LatentSet.load(tmp_path)
    said = [loaded.texts[i][0] for i in loaded.text_of.tolist()]
    assert said == ["a field"] * 4 + [""] * 4 + ["a lake"] * 4


@pytest.mark.parametrize("channels", [tiny.WALK_SPEC.channels, ()])
def test_at_fewer_frames_a_second_a_tap_stays_and_a_turn_is_the_mean(channels):
    """A clip that shows a jump must not say that nothing was pressed."""
    spec = SimpleNamespace(actions=ActionSpec(channels=channels), fps=20, source={})
    applied = spec.actions.zeros(12)
    if channels:
        applied[5, spec.actions.index("jump")] = 1
        applied[4:8, spec.actions.index("look_yaw")] = 0, 40, 80, 80
    frames = np.zeros((12, 32, 32, 3), np.uint8)
    window = SimpleNamespace(frames=frames, applied=applied, prompts=[""] * 12)
    clip = _clip(window, spec, ClipsConfig(folders=("a",), height=32, width=32), 4)
    wanted = spec.actions.zeros(3)
    if channels:
        wanted[1, [spec.actions.index("jump"), spec.actions.index("look_yaw")]] = 1, 50
    assert clip.actions[0].tolist() == wanted.tolist()


@pytest.mark.parametrize("key", ["held_every", "frames", "least"])
def test_nothing_is_counted_by_zero(key):
    with pytest.raises(ValueError, match=f"{key} is 0; give at least 1"):
        ClipsConfig(folders=("a",), height=32, width=32, **{key: 0})


def test_absent_frames_are_zero(latents):
    index = torch.tensor([[-1, 3]])
    got = gather(latents.latents, index)
    assert (got[:, :, 0] == 0).all()
    assert torch.equal(got[0, :, 1], latents.latents[3].float())


def test_corruption_has_the_promised_statistics():
    frames = torch.ones(4000, 4, 2, 2, 2)
    frames[:, :, 1] = 0  # an absent frame
    config = CorruptionConfig(clean=0.25, noise=0.3, exposure=0, saturation=0, blur=0)
    out = corrupt(frames, config, Draw(0, 0))
    assert (out[:, :, 1] == 0).all()
    clean = (out == frames).flatten(1).all(1).float().mean()
    assert abs(float(clean) - 0.25) < 0.03
    dirty = out[(out != frames).flatten(1).any(1)][:, :, 0]
    # x = (1 - s) + s e with s ~ U(0, .3): mean 1 - .15, variance E[s^2] + var(1 - s)
    assert abs(float(dirty.mean()) - 0.85) < 0.01
    assert abs(float(dirty.var()) - (0.03 + 0.0075)) < 0.004


@pytest.mark.parametrize("kind", ["exposure", "saturation", "blur"])
def test_each_corruption_touches_its_share(kind):
    frames = torch.randn(2000, 4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    none = {"clean": 0.0, "noise": 0.0, "exposure": 0.0, "saturation": 0.0, "blur": 0.0}
    config = CorruptionConfig(**{**none, kind: 0.4}, blur_range=(0.5, 0.5))
    out = corrupt(frames, config, Draw(0, 1))
    touched = (out - frames).abs().flatten(1).amax(1) > 1e-6
    assert abs(float(touched.float().mean()) - 0.4) < 0.04
    if kind == "saturation":  # the mean over channels stays
        assert torch.allclose(out.mean(1), frames.mean(1), atol=1e-5)


def test_own_predictions_stand_in_histories_but_not_in_targets(latents):
    bank = OwnBank(latents.latents)
    bank.write(torch.arange(96), torch.full((96, 4, 4, 4), 7.0))
    window = latents.sample(200, WHOLE, Draw(0, 5))
    past, own = bank.mixed_history(latents.latents, window.past, 0.5, Draw(0, 6))
    share = own.any(1).float().mean()
    assert 0.35 < float(share) < 0.65
    assert (past[own.any(1)][0] == 7.0).any()
    assert torch.equal(past[~own.any(1)], gather(latents.latents, window.past)[~own.any(1)])
    again = OwnBank(latents.latents)
    again.load(bank.state())
    assert torch.equal(again.values, bank.values) and torch.equal(again.known, bank.known)


def test_encoding_in_spans_equals_encoding_at_once(tmp_path):
    codec, clips = tiny.codec().eval(), tiny.pixel_clips(frames=24)
    config = EncodeConfig(frames="frames", codec="", span=5, batch=1)
    got = encode_clips(codec, clips.frames, config, tiny.context(tmp_path))
    video = clips.frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with torch.no_grad():
        whole = codec.encode(video).transpose(1, 2)
    assert torch.allclose(got.float(), whole, atol=2e-3)
