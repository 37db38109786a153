"""What presented frames set off: sinks, films, overlays, and what a full disk does."""

from pathlib import Path

import numpy as np
import pytest

from engine.chunk import FrameId
from engine.director import (
    Caption,
    Fade,
    PassThrough,
    PlaySound,
    StartRecording,
    StopRecording,
    TitleCard,
)
from engine.frame_hash import FrameHash
from engine.headless import play_headless
from engine.input.bindings import bindings_from
from engine.input.mapper import InputMapper
from engine.intake import Intake
from engine.maker import ChunkMaker, Place
from engine.overlays import OverlayTrack
from engine.recording import RolloutSink
from engine.stage import Stage
from engine.studio import Studio, StudioConfig
from engine.video import Film, png_bytes, read_clip, read_image
from helios_core.null_world import NullWorld


class Rig:
    """A stage with a maker that feeds it, without a clock."""

    def __init__(self, folder: Path) -> None:
        self.world = NullWorld(height=32, width=48)
        self.messages: list[str] = []
        self.stage = Stage(
            on_effect=lambda effect, chunk: self.studio.obey(effect, chunk),
            on_message=self.messages.append,
            draw=lambda frame, overlays: frame,
        )
        config = StudioConfig(folder=folder)
        self.studio = Studio(self.stage, self.world, config, say=self.messages.append)
        self.maker = ChunkMaker(self.world, PassThrough())
        self.maker.jump(Place(state=self.world.start(seed=0)))
        spec = self.world.info.spec
        self.intake = Intake(InputMapper(spec, bindings_from(spec), fps=20))

    def run(self, frames: int) -> None:
        play_headless(self.maker, self.intake, sources=[], stage=self.stage, frames=frames)


class Failing:
    """A sink whose disk is full after some chunks."""

    def __init__(self, chunks: int) -> None:
        self.left, self.closed = chunks, False

    def presented(self, chunk, offsets, ages_ms) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")

    def rewound(self, branch, parent) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_a_full_disk_stops_a_sink_with_a_message_and_play_goes_on(tmp_path):
    rig, sink, hashed = Rig(tmp_path), Failing(2), FrameHash()
    rig.stage.add_sink(sink)
    rig.stage.add_sink(hashed)
    rig.run(40)
    rig.stage.close()
    assert sink.closed and hashed.frames == 40
    assert any("No space left" in text for text in rig.messages)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_film_on_a_full_disk_stops_with_a_message(tmp_path):
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    rig = Rig(tmp_path)
    rig.stage.start_film(Film(tmp_path / "full.mp4", fps=20))
    rig.run(400)
    rig.stage.close()
    assert any("No space left" in text for text in rig.messages)


def test_a_film_holds_every_frame(tmp_path):
    rig = Rig(tmp_path)
    rig.studio.start_film(tmp_path / "a.mp4")
    rig.run(37)
    rig.stage.close()
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.shape == (37, 32, 48, 3)


def test_a_film_is_as_fast_as_what_is_shown(tmp_path):
    import av

    rig = Rig(tmp_path)
    config = StudioConfig(folder=tmp_path, fps=10.0)
    studio = Studio(rig.stage, rig.world, config, say=rig.messages.append)
    studio.start_film(tmp_path / "slow.mp4")
    rig.run(20)
    rig.stage.close()
    with av.open(str(tmp_path / "slow.mp4")) as film:
        assert film.streams.video[0].average_rate == 10


def test_a_clip_is_read_to_its_end_and_keeps_its_beginning(tmp_path):
    film = Film(tmp_path / "long.mp4", fps=20)
    for i in range(2200):
        film.write(np.full((16, 16, 3), 20 + i // 10, np.uint8))
    film.close()
    clip = read_clip(tmp_path / "long.mp4")
    assert clip.shape == (176, 16, 16, 3)
    shades = clip.mean((1, 2, 3))
    np.testing.assert_allclose(shades[:16], 20 + np.arange(16) // 10, atol=2)
    np.testing.assert_allclose(shades[16:], 20 + np.arange(2040, 2200) // 10, atol=2)
    assert len(read_clip(tmp_path / "long.mp4", first=3, last=5)) == 8


def test_odd_sizes_are_padded_and_other_sizes_refused(tmp_path):
    film = Film(tmp_path / "odd.mp4", fps=20)
    film.write(np.zeros((31, 47, 3), np.uint8))
    with pytest.raises(OSError, match="pictures are"):
        film.write(np.zeros((32, 48, 3), np.uint8))
    film.close()
    assert read_clip(tmp_path / "odd.mp4").shape == (1, 32, 48, 3)
    with pytest.raises(ValueError, match="mp4"):
        Film(tmp_path / "a.avi", fps=20)


def test_a_png_is_read_back_exactly(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (33, 47, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png_bytes(picture))
    assert np.array_equal(read_image(tmp_path / "a.png"), picture)
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"b\.png: not an image"):
        read_image(tmp_path / "b.png")
    with pytest.raises(ValueError, match="no such file"):
        read_clip(tmp_path / "c.mp4")


def test_recording_twice_into_one_folder_appends_episodes(tmp_path):
    from engine.rollouts.reader import RolloutDataset

    rig = Rig(tmp_path)
    rig.studio.start_recording(tmp_path / "roll")
    assert rig.studio.recording
    rig.run(10)
    rig.studio.toggle_recording()
    assert not rig.studio.recording
    rig.studio.toggle_recording()
    rig.run(8)
    rig.stage.close()
    dataset = RolloutDataset.open(tmp_path / "roll")
    assert [episode.length for episode in dataset.episodes] == [10, 8]


def test_a_scenes_recording_and_the_players_do_not_end_each_other(tmp_path):
    from engine.rollouts.reader import RolloutDataset

    rig = Rig(tmp_path)
    window, _ = rig.intake.latch(0.0, frames=4, first_frame=0)
    chunk = rig.maker.begin(window, typed_prompt=None, now=0).finish()
    rig.studio.start_recording(tmp_path / "mine")
    for effect in (StartRecording(dir="walk"), StopRecording()):
        rig.run(8)
        rig.studio.obey(effect, chunk)
        assert rig.studio.recording
    rig.run(8)
    rig.studio.obey(StartRecording(dir="walk"), chunk)
    rig.studio.toggle_recording()
    assert rig.studio.recording, "the scene's"
    rig.run(4)
    rig.studio.toggle_recording()
    rig.studio.obey(StopRecording(), chunk)
    rig.studio.toggle_recording()
    assert not rig.studio.recording
    rig.stage.close()
    lengths = {
        name: [e.length for e in RolloutDataset.open(tmp_path / name).episodes]
        for name in ("mine", "walk")
    }
    assert lengths == {"mine": [24], "walk": [8, 4]}
    assert not list(tmp_path.glob("rollout-*")), "F8 goes on with the player's own"


def test_a_rewind_ends_the_episode_and_names_the_parent_frame(tmp_path):
    from engine.rollouts.reader import RolloutDataset

    rig = Rig(tmp_path)
    rig.stage.add_sink(RolloutSink(tmp_path / "roll", rig.world))
    first = rig.world.start(seed=0)
    rig.run(18)
    rig.stage.leave(FrameId(0, 2, 3))
    state, _ = rig.world.advance(first, None)
    for _ in range(2):
        state, _ = rig.world.advance(state, None)
    rig.maker.jump(Place(state=state))
    rig.run(8)
    rig.stage.leave(FrameId(1, 3, 3))
    rig.maker.jump(Place(state=state))
    rig.run(4)
    rig.stage.leave(None)
    rig.maker.jump(Place(state=first))
    rig.run(4)
    rig.stage.close()
    episodes = RolloutDataset.open(tmp_path / "roll").episodes
    assert [episode.length for episode in episodes] == [18, 8, 4, 4]
    assert [e.header.parent for e in episodes] == [None, (0, 11), (1, 3), None]


def test_a_parent_frame_counts_the_frames_that_were_shown(tmp_path):
    """Policy `drop` shows a late chunk from a later frame on."""
    from engine.rollouts.reader import RolloutDataset

    rig = Rig(tmp_path)
    rig.stage.add_sink(RolloutSink(tmp_path / "roll", rig.world))
    for dropped in (1, 0, 2, 3):
        window, _ = rig.intake.latch(0.0, frames=4, first_frame=0)
        chunk = rig.maker.begin(window, typed_prompt=None, now=0).finish()
        for offset in range(dropped, 4):
            rig.stage.present(chunk, offset, age_ms=0.0)
    for last in (3, 2, 1, 0):
        rig.stage.leave(FrameId(0, last, 3))
        rig.maker.jump(Place(state=rig.world.start(seed=0)))
        rig.run(4)
    rig.stage.close()
    episodes = RolloutDataset.open(tmp_path / "roll").episodes
    assert [e.length for e in episodes] == [10, 4, 4, 4, 4]
    assert [e.header.parent for e in episodes[1:]] == [(0, 9), (0, 8), (0, 6), (0, 2)]


def test_a_bad_folder_is_a_message(tmp_path):
    rig = Rig(tmp_path)
    (tmp_path / "file").write_text("")
    window, _ = rig.intake.latch(0.0, frames=4, first_frame=0)
    chunk = rig.maker.begin(window, typed_prompt=None, now=0).finish()
    rig.studio.obey(StartRecording(dir=str(tmp_path / "file")), chunk)
    assert not rig.studio.recording and rig.messages
    with pytest.raises(OSError):
        rig.studio.start_film(tmp_path / "file" / "a.mp4")
    assert not rig.stage.filming
    in_a_file = Studio(
        rig.stage, rig.world, StudioConfig(folder=tmp_path / "file"), say=rig.messages.append
    )
    in_a_file.toggle_film()
    in_a_file.screenshot(chunk.frames[0])
    assert len(rig.messages) == 3


def test_recording_without_its_extra_is_a_message_with_the_remedy(tmp_path, monkeypatch):
    def bare(*arguments, **options) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    monkeypatch.setattr("engine.studio.RolloutSink", bare)
    rig = Rig(tmp_path)
    window, _ = rig.intake.latch(0.0, frames=4, first_frame=0)
    chunk = rig.maker.begin(window, typed_prompt=None, now=0).finish()
    rig.studio.toggle_recording()
    rig.studio.obey(StartRecording(dir="walk"), chunk)
    assert not rig.studio.recording
    assert len(rig.messages) == 2 == len(rig.stage.problems)
    assert all("pip install 'helios-engine[research]'" in text for text in rig.messages)


class Kept(Failing):
    """A recording whose disk is full when it is finished."""

    high_water = 0

    def close(self) -> None:
        raise OSError(28, "No space left on device")


def test_what_is_not_whole_is_not_announced_as_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.studio.RolloutSink", lambda *a, **b: Kept(chunks=100))
    rig = Rig(tmp_path)
    rig.studio.toggle_recording()
    rig.run(4)
    rig.studio.toggle_recording()
    rig.studio.toggle_film()
    rig.studio.toggle_film()  # as in a pause: no frame came between
    assert not any("saved" in text for text in rig.messages)
    assert "No space left" in rig.messages[1] and "no frame was filmed" in rig.messages[-1]
    assert not list(tmp_path.glob("*.mp4"))
    rig.studio.toggle_film()
    rig.run(4)
    rig.studio.toggle_film()
    assert rig.messages[-1] == "video saved" and list(tmp_path.glob("*.mp4"))


def test_pictures_of_one_name_are_numbered_and_overwritten_when_played_again(tmp_path):
    frame = np.zeros((4, 4, 3), np.uint8)
    for _ in range(2):
        rig = Rig(tmp_path)
        for name in ("walk", "tree", "walk", "walk"):
            rig.studio.screenshot(frame, name)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["tree.png", "walk-2.png", "walk-3.png", "walk.png"]


def test_overlays_live_as_long_as_they_should():
    track = OverlayTrack().begin(Caption(text="a", frames=3), 10)
    track = track.begin(PlaySound(file="x.ogg"), 10)
    assert [len(track.at(f)) for f in (9, 10, 12, 13)] == [0, 1, 1, 0]
    dark = track.begin(Fade(to="colour", frames=5), 20)
    assert dark.at(1000)[0].age == 980, "a fade to a colour stays"
    lit = dark.begin(Fade(to="picture", frames=5), 30)
    assert [len(lit.at(f)) for f in (30, 34, 35)] == [1, 1, 0]
    cards = track.begin(TitleCard(text="b", frames=9), 10).begin(TitleCard(text="c", frames=9), 11)
    assert [o.effect.text for o in cards.at(11)] == ["a", "c"]
    many = OverlayTrack()
    for n in range(9):
        many = many.begin(Caption(text=str(n), frames=100), n)
    assert [o.effect.text for o in many.at(9)] == ["5", "6", "7", "8"]
