"""Captions, cards and fades on numpy frames, and sound where there is none."""

import wave

import numpy as np
import pygame
import pytest

from engine.director import Caption, Fade, PlaySound, TitleCard
from engine.present.api import Overlay
from engine.present.overlay import compose, patches
from engine.present.sound import Mixer, find_sound
from engine.scenes.effects import CaptionLine

FRAME = np.full((384, 640, 3), 120, np.uint8)


def over(effect, age: int = 20) -> Overlay:
    return Overlay(effect=effect, age=age)


def rows_changed(overlays, frame: np.ndarray = FRAME) -> np.ndarray:
    return np.flatnonzero((compose(frame, overlays) != frame).any((1, 2)))


def test_without_overlays_the_frame_itself_comes_back():
    assert compose(FRAME, ()) is FRAME


def test_the_frame_is_never_written_to():
    before = FRAME.copy()
    compose(FRAME, [over(TitleCard(text="x", frames=60)), over(Caption(text="y", frames=60))])
    np.testing.assert_array_equal(FRAME, before)


def test_captions_stand_at_the_foot_the_newest_lowest():
    old = over(Caption(text="old", frames=60))
    new = over(Caption(text="a much longer line that is newer", frames=60))
    both, alone = rows_changed([old, new]), rows_changed([new])
    assert alone.min() > 300
    assert both.min() < alone.min() - 20
    lowest = compose(FRAME, [old, new])[alone.min() :]
    np.testing.assert_array_equal(lowest, compose(FRAME, [new])[alone.min() :])


def test_a_caption_eases_in_and_out():
    strength = [
        int(np.abs(compose(FRAME, [over(Caption(text="hello", frames=40), age)]) - 120.0).sum())
        for age in (0, 3, 20, 36, 39)
    ]
    assert strength[0] < strength[1] < strength[2] > strength[3] > strength[4] > 0


@pytest.mark.parametrize("style", ["plain", "whisper", "warning"])
def test_every_style_of_a_scene_is_drawn_its_own_way(style):
    assert style in str(CaptionLine.__annotations__["style"])
    others = {"plain", "whisper", "warning"} - {style}
    mine = compose(FRAME, [over(Caption(text="hello", frames=60, style=style))])
    for other in others:
        theirs = compose(FRAME, [over(Caption(text="hello", frames=60, style=other))])
        assert (mine != theirs).any()
    with pytest.raises(ValueError, match="no caption style 'shout'"):
        compose(FRAME, [over(Caption(text="hello", frames=60, style="shout"))])


def test_fades_reach_the_colour_and_come_back():
    out = Fade(to="colour", frames=10, colour=(200, 0, 0))
    assert (compose(FRAME, [over(out, 9)]) == (200, 0, 0)).all()
    assert (compose(FRAME, [over(out, 500)]) == (200, 0, 0)).all()
    halfway = compose(FRAME, [over(out, 4)])
    assert (halfway == (160, 60, 60)).all()
    back = Fade(to="picture", frames=10, colour=(200, 0, 0))
    assert (compose(FRAME, [over(back, 9)]) == FRAME).all()


def test_a_card_stands_over_a_fade_and_a_caption_under_it():
    black = over(Fade(to="colour", frames=1, colour=(0, 0, 0)), 5)
    assert not compose(FRAME, [over(Caption(text="hello", frames=60)), black]).any()
    assert compose(FRAME, [over(TitleCard(text="Chapter", frames=60)), black]).max() > 200


@pytest.mark.parametrize("size", [(80, 128), (384, 640), (720, 1280), (2, 2)])
def test_pictures_of_every_size_keep_their_captions_inside(size):
    frame = np.full((*size, 3), 120, np.uint8)
    overlays = [
        over(Caption(text="A long line of text that has to be broken into several.", frames=60)),
        over(TitleCard(text="A title", frames=60)),
    ]
    height, width = size
    factor = {80: 5, 384: 1, 720: 1, 2: 180}[height]
    assert compose(frame, overlays).shape == (factor * height, factor * width, 3)
    for patch in patches(overlays, size[1], size[0]):
        if not patch.is_wash and size[1] > 100:
            assert patch.x >= 0
            assert patch.x + patch.picture.shape[1] <= size[1]


def test_captions_that_are_pushed_out_of_a_small_picture_are_left_out():
    lines = [over(Caption(text="A long line of text, broken into many.", frames=60))] * 16
    highest = patches(lines, 640, 384)[-1]
    assert highest.y + highest.picture.shape[0] < 0
    assert compose(FRAME, lines).shape == FRAME.shape


# ---- sound


def tone(path) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes((np.sin(np.arange(2205) / 10) * 9000).astype("<i2").tobytes())
    return str(path)


def test_cues_and_ambience_play(tmp_path):
    mixer = Mixer()
    assert not mixer.silent_because
    sound = tone(tmp_path / "cue.wav")
    mixer.play(PlaySound(file=sound, volume=0.5))
    mixer.play(PlaySound(file=sound, loop=True, volume=0.25))
    assert pygame.mixer.get_busy()
    assert mixer._ambience.get_volume() == pytest.approx(0.25, abs=0.01)
    mixer.pause(True)
    mixer.pause(False)
    mixer.close()


def test_cues_neither_dim_the_ambience_nor_keep_it_away(tmp_path):
    mixer = Mixer()
    sound = tone(tmp_path / "cue.wav")
    for _ in range(20):
        mixer.play(PlaySound(file=sound, volume=0.1))
    mixer.play(PlaySound(file=sound, loop=True, volume=0.5))
    mixer.play(PlaySound(file=sound, volume=0.1))
    ambience = mixer._ambience
    assert ambience.get_sound().get_volume() * ambience.get_volume() == pytest.approx(0.5, abs=0.01)
    mixer.close()


def test_another_world_begins_in_silence(tmp_path):
    mixer = Mixer()
    mixer.play(PlaySound(file=tone(tmp_path / "cue.wav"), loop=True))
    mixer.pause(True)
    mixer.stop()
    for _ in range(100):
        if not pygame.mixer.get_busy():
            break
        pygame.time.wait(50)
    assert not pygame.mixer.get_busy()
    mixer.close()


def test_no_sound_device_is_no_error_but_a_missing_file_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SDL_AUDIODRIVER", "no such driver")
    mixer = Mixer()
    assert "no sound device" in mixer.silent_because
    mixer.play(PlaySound(file=tone(tmp_path / "cue.wav")))
    with pytest.raises(ValueError, match=r"nowhere\.ogg: no such sound file"):
        mixer.play(PlaySound(file="nowhere.ogg"))
    mixer.close()


def test_a_file_that_is_no_sound_is_named(tmp_path):
    path = tmp_path / "noise.ogg"
    path.write_bytes(b"this is text")
    mixer = Mixer()
    with pytest.raises(ValueError, match=r"noise\.ogg: not a sound"):
        mixer.play(PlaySound(file=str(path)))
    mixer.close()
    assert find_sound(str(path)) == path
