"""Latents in a recording: they decode to the logged frames and survive what those survive."""

import shutil
import time

import numpy as np
import pytest
import torch

from engine.cli import main
from engine.rollouts.check import check
from engine.rollouts.generate import GenerateConfig, generate
from engine.rollouts.journal import read_journal
from engine.rollouts.latents import latent_array, write_latents
from engine.rollouts.layout import Layout
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.record import frame_hashes
from engine.rollouts.replay import replay
from engine.rollouts.writer import RolloutWriter
from helios_core.packs import load_world
from tests.engine.rollouts.scenes import CHUNK, small_spec, small_world

SHAPE = (2, 1, 3, 4)


@pytest.fixture(scope="module")
def world():
    return load_world("random", threads=1)


def _record(writer: RolloutWriter, chunks: int, *, first: float = 0.0) -> None:
    """Frames of the null world, and latents that count."""
    plain = small_world()
    state, none = plain.start(seed=0), plain.info.spec.zeros(CHUNK)
    writer.begin_episode(prompt="", seed=0)
    for k in range(chunks):
        state, frames = plain.advance(state, none)
        latents = np.full(SHAPE, first + k, np.float32)
        writer.write(frames, none, none, prompt="", chunk=k, latents=latents)


def _decoded_again(world, data: RolloutDataset, episode: int) -> bool:
    """Whether the stored latents decode to the frames whose hashes were logged."""
    stored = data.latents(episode)
    for chunk in replay(world, data, episode):
        latents = torch.from_numpy(stored[chunk.logged.index])[None]
        frames = world.decode(chunk.state_after, latents)[chunk.logged.offsets]
        if not np.array_equal(frame_hashes(frames), chunk.logged.hashes):
            return False
    return True


def _made_again(world, data: RolloutDataset, episode: int) -> bool:
    """Whether the stored latents are those of the replay but for rounding, which differs between
    a batch and one world alone on some processors."""
    stored = data.latents(episode)
    pairs = [
        (stored[chunk.logged.index], chunk.state_after.groups[-1][0].numpy())
        for chunk in replay(world, data, episode)
    ]
    return len(pairs) == len(stored) and all(np.allclose(a, b, atol=1e-3) for a, b in pairs)


def test_a_headless_recording_keeps_latents_that_decode_to_its_frames(world, tmp_path, capsys):
    play = ["play", "--headless", "--pack", "random", "--frames", "10"]
    play += ["--dtype", "fp32", "--threads", "1"]
    assert main([*play, "--record", str(tmp_path / "a"), "--latents"]) == 0
    data = RolloutDataset.open(tmp_path / "a")
    assert data.spec.latents == world.info.latents and sorted(data.latents(0)) == [0, 1, 2]
    assert _decoded_again(world, data, 0)
    assert main(["rollouts", "info", str(tmp_path / "a")]) == 0
    assert "latents of 3 chunks, each " in capsys.readouterr().out
    assert main(["rollouts", "check", str(tmp_path / "a")]) == 0
    assert main([*play, "--record", str(tmp_path / "a")]) == 2
    assert "latents are" in capsys.readouterr().err


def test_generated_rollouts_keep_theirs_through_batch_and_merge(world, tmp_path):
    settings = GenerateConfig(pack="random", episodes=3, chunks=2, batch=2, latents=True)
    generate(tmp_path / "a", settings)
    data = RolloutDataset.open(tmp_path / "a")
    assert len(data.episodes) == 3 and list(check(tmp_path / "a")) == []
    assert all(_made_again(world, data, e.index) for e in data.episodes)


def test_a_world_without_latents_says_so(tmp_path, capsys):
    play = ["play", "--headless", "--pack", "null", "--frames", "4", "--latents"]
    assert main([*play, "--record", str(tmp_path / "a")]) == 2
    assert "the world null has no latents" in capsys.readouterr().err
    with RolloutWriter.open(tmp_path / "b", small_spec()) as writer:
        _record(writer, 1)  # this spec keeps none, so these are left out
    with pytest.raises(ValueError, match="without latents"):
        RolloutDataset.open(tmp_path / "b").latents(0)


def test_a_chunk_in_two_parts_has_its_latents_once(tmp_path):
    plain = small_world()
    state, none = plain.start(seed=0), plain.info.spec.zeros(2)
    _, frames = plain.advance(state, plain.info.spec.zeros(CHUNK))
    with RolloutWriter.open(tmp_path / "a", small_spec(latents=SHAPE)) as writer:
        writer.begin_episode(prompt="", seed=0)
        for half in (0, 2):
            part = frames[half : half + 2]
            latents = np.full(SHAPE, half, np.float32)
            offsets = [half, half + 1]
            writer.write(
                part, none, none, prompt="", chunk=0, offsets=offsets, latents=latents
            )  # fmt: skip
        with pytest.raises(ValueError, match="came without"):
            writer.write(part, none, none, prompt="", chunk=1)
        with pytest.raises(ValueError, match="takes \\(2, 1, 3, 4\\)"):
            writer.write(part, none, none, prompt="", chunk=1, latents=np.zeros((1, 2)))
    data = RolloutDataset.open(tmp_path / "a")
    assert data.episodes[0].length == 4
    assert list(data.latents(0)) == [0] and (data.latents(0)[0] == 0).all()


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_torn_latents_leave_whole_chunks(tmp_path, keep):
    writer = RolloutWriter.open(tmp_path / "a", small_spec(latents=SHAPE))
    _record(writer, 2)
    writer.end_episode()
    _record(writer, 6, first=100)
    while writer.status.chunks_stored < 8:
        time.sleep(0.001)
    torn = tmp_path / "torn"
    shutil.copytree(tmp_path / "a" / "journal", torn)
    writer.close()
    whole = (torn / "latents.arrow").read_bytes()
    (torn / "latents.arrow").write_bytes(whole[: int(len(whole) * keep)])
    view = read_journal(torn)
    if view is None:
        assert keep == 0.0
        return
    assert view.rows.num_rows % CHUNK == 0 and view.rows.num_rows < 8 * CHUNK
    assert sum(len(batch) for batch in view.latents()) == view.rows.num_rows // CHUNK


def test_the_journal_is_readable_and_published_as_it_was(tmp_path):
    writer = RolloutWriter.open(tmp_path / "a", small_spec(latents=SHAPE))
    _record(writer, 2)
    writer.end_episode()
    _record(writer, 20, first=100)
    while writer.status.chunks_stored < 22:
        time.sleep(0.001)
    live = RolloutDataset.open(tmp_path / "a")
    during = [live.latents(e.index) for e in live.episodes]
    writer.close()
    data = RolloutDataset.open(tmp_path / "a")
    after = [data.latents(e.index) for e in data.episodes]
    assert [sorted(x) for x in after] == [[0, 1], list(range(20))]
    assert all((after[1][k] == 100 + k).all() for k in range(20))
    for one, other in zip(during, after, strict=True):
        assert all(np.array_equal(one[k], other[k]) for k in one)


def test_check_misses_latents_that_are_gone_or_no_numbers(tmp_path):
    with RolloutWriter.open(tmp_path / "a", small_spec(latents=SHAPE)) as writer:
        _record(writer, 2, first=float("nan"))
    assert any("latents of chunk 0 are not numbers" in text for text in check(tmp_path / "a"))
    write_latents(Layout(tmp_path / "a").latents(0), SHAPE, [])
    assert any("2 of 2 chunks lack latents" in text for text in check(tmp_path / "a"))
    Layout(tmp_path / "a").latents(0).unlink()
    assert any("latents cannot be read" in text for text in check(tmp_path / "a"))


def test_float32_holds_every_dtype_of_a_state():
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        values = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0)).to(dtype)
        stored = torch.from_numpy(latent_array(values, SHAPE).copy())
        assert torch.equal(stored.to(dtype), values[0])
