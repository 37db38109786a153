"""Start pictures: true ones, of the pack's size, named by its presets."""

import numpy as np
import pytest

from engine.video import read_image
from helios_core.packs.manifest import PresetSpec
from tests.training import tiny
from training import recipe, steps
from training.data import shards
from training.pictures import png_bytes
from training.starts import Start, picture, presets

MEADOW = Start(prompt="a meadow at noon", biome="meadow", hour=12)


def test_a_picture_shows_what_its_start_says():
    day = picture(MEADOW, height=32, width=48)
    night = picture(Start(prompt="", biome="meadow", hour=0), height=32, width=48)
    assert day.shape == (32, 48, 3) and day.dtype == np.uint8
    assert day.mean() > 2 * night.mean()
    assert np.array_equal(day, picture(MEADOW, height=32, width=48))


def test_presets_name_the_pictures_that_are_written(tmp_path):
    specs, files = presets([Start(prompt="anything"), MEADOW], height=32, width=48)
    assert specs == (
        PresetSpec(prompt="anything"),
        PresetSpec(prompt="a meadow at noon", image="start-2.png"),
    )
    (tmp_path / "start-2.png").write_bytes(files["start-2.png"])
    read = read_image(tmp_path / "start-2.png")
    assert np.array_equal(read, picture(MEADOW, height=32, width=48))


def test_every_shipped_recipe_starts_from_a_picture():
    for name in ("wilds", "wilds-nano"):
        export, _ = steps.configure(recipe.load(name).steps["export"], "export")
        assert export.presets[0].biome and len(export.presets) > 1


def test_a_start_may_be_the_first_frame_of_a_recording(tmp_path):
    clips = tiny.pixel_clips(clips=2)
    shards.write(tmp_path / "0.safetensors", clips)
    shards.write(tmp_path / "1.safetensors", tiny.pixel_clips(clips=1, seed=5))
    starts = (Start(prompt="one", clip=1), Start(prompt="two", clip=2), Start(prompt="three"))
    specs, files = presets(starts, height=32, width=32, clips=tmp_path)
    assert [s.image for s in specs] == ["start-1.png", "start-2.png", ""]
    assert files["start-1.png"] == png_bytes(clips.frames[1, 0].numpy())
    with pytest.raises(ValueError, match="has no clip 3; it has 3"):
        presets((Start(prompt="four", clip=3),), height=32, width=32, clips=tmp_path)
    with pytest.raises(ValueError, match="say in `clips` whose"):
        presets((Start(prompt="one", clip=1),), height=32, width=32)
