"""How free play begins: as asked for, else as the pack's first preset says, picture included."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.opening import OpeningConfig, first_state, open_play
from engine.render import RenderConfig, render
from engine.rollouts.generate import GenerateConfig, generate
from engine.rollouts.reader import RolloutDataset
from engine.scenes.memory import SceneMemory
from engine.session_file import DEMOS, InputHistory, SavedSession, scene_name, write_session
from engine.video import png_bytes
from helios_core.packs import load_world
from helios_core.packs.builtin import random_manifest, random_modules
from helios_core.packs.manifest import PresetSpec
from helios_core.packs.write import write_pack

PRESETS = (
    PresetSpec(prompt="a meadow at noon", image="start-1.png"),
    PresetSpec(prompt="a desert at dusk"),
)


def picture(red: int) -> np.ndarray:
    image = np.zeros((64, 96, 3), np.uint8)
    image[..., 0], image[32:, :, 1] = red, 200
    return image


def same(one, two) -> bool:
    alike = (one.seed, one.prompt, one.anchored) == (two.seed, two.prompt, two.anchored)
    pairs = zip((*one.groups, one.anchor), (*two.groups, two.anchor), strict=True)
    return alike and all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A random pack whose first preset starts from a picture."""
    manifest = random_manifest(name="meadow", presets=PRESETS)
    weights = {name: module.state_dict() for name, module in random_modules(manifest).items()}
    folder = tmp_path_factory.mktemp("packs") / "meadow"
    write_pack(folder, manifest, weights, pictures={"start-1.png": png_bytes(picture(90))})
    return folder


@pytest.fixture
def other(tmp_path):
    """Another picture, handed over by the player."""
    path = tmp_path / "other.png"
    path.write_bytes(png_bytes(picture(220)))
    return path


@pytest.mark.parametrize(
    ("asked", "prompt", "red"),
    [
        ({}, "a meadow at noon", 90),
        ({"prompt": "a stormy sea"}, "a stormy sea", None),
        ({"image": True}, "a meadow at noon", 220),
        ({"prompt": "snow", "image": True}, "snow", 220),
    ],
    ids=["nothing said", "a prompt", "a picture", "both"],
)
def test_play_starts_from_the_presets_picture_unless_told_otherwise(
    pack, other, asked, prompt, red
):
    asked = {**asked, **({"image": other} if "image" in asked else {})}
    opening = open_play(OpeningConfig(pack=str(pack), seed=5, **asked))
    world = opening.world
    image = None if red is None else picture(red)
    wanted = world.start(seed=5, prompt=prompt, image=image)
    assert same(opening.place.state, wanted)
    assert opening.hands.presets == ("a meadow at noon", "a desert at dusk")


def test_a_world_is_used_again_by_the_next_scene_if_it_is_of_the_pack_in_the_folder(pack, tmp_path):
    config = OpeningConfig(pack=str(pack))
    world = open_play(config).world
    assert open_play(config, world=world).world is world
    moved = shutil.copytree(pack, tmp_path / "elsewhere" / "meadow")
    assert open_play(OpeningConfig(pack=str(moved)), world=world).world is world
    other = random_manifest(name="meadow", fps=10)
    weights = {name: module.state_dict() for name, module in random_modules(other).items()}
    write_pack(tmp_path / "meadow", other, weights)
    changed = open_play(OpeningConfig(pack=str(tmp_path / "meadow")), world=world).world
    assert changed is not world and changed.info.fps == 10


def test_a_pack_without_presets_starts_from_nothing():
    world = load_world("random")
    world.info = replace(world.info, presets=())
    assert first_state(world, seed=0).prompt.text == ""


def test_generated_rollouts_start_from_the_presets_in_turn(pack, tmp_path):
    config = GenerateConfig(pack=str(pack), episodes=2, chunks=1, batch=2)
    generate(tmp_path / "walks", config, workers=1)
    data = RolloutDataset.open(tmp_path / "walks")
    world = load_world(pack, threads=1)
    starts = [world.load_state(data.state(i) or b"") for i in range(2)]
    wanted = [
        world.start(seed=0, prompt="a meadow at noon", image=picture(90)),
        world.start(seed=1, prompt="a desert at dusk"),
    ]
    assert all(same(start, want) for start, want in zip(starts, wanted, strict=True))


SCENE = "title: A test\nprompts: {meadow: a meadow at noon}\n"


def saved_in(tmp_path, scene, *, director=None):
    """A session that was saved in a scene of the null world, at its beginning."""
    world = load_world("null")
    info = world.info
    nothing = np.zeros((0, info.chunk_frames, info.spec.size), np.float32)
    history = InputHistory(
        chunk=np.zeros(0, np.int64), latch_time=np.zeros(0), requested=nothing, applied=nothing
    )
    path = tmp_path / "s.helios"
    write_session(path, SavedSession(
        pack=info.name, pack_hash=info.pack_hash, spec=info.spec,
        state=world.save_state(world.start(seed=0, prompt="a meadow at noon")),
        director=director, history=history, thumbnail=b"", scene=scene, source={},
    ))  # fmt: skip
    return path


@pytest.mark.parametrize("harm", ["unknown", "missing", "odd"])
def test_a_session_with_another_kind_of_memory_is_refused_in_one_sentence(tmp_path, harm):
    scene = tmp_path / "scene.yaml"
    scene.write_text(SCENE)
    memory = SceneMemory().to_json()
    damaged = {
        "unknown": memory | {"colour": 3},
        "missing": {name: value for name, value in memory.items() if name != "fuses"},
        "odd": memory | {"variables": 5},
    }
    path = saved_in(tmp_path, str(scene), director=damaged[harm])
    with pytest.raises(ValueError, match="no memory of a scene: "):
        open_play(OpeningConfig(what=str(path)))
    open_play(OpeningConfig(what=str(saved_in(tmp_path, str(scene), director=memory))))


def test_a_session_finds_its_scene_from_elsewhere(tmp_path, monkeypatch):
    there, away = tmp_path / "there", tmp_path / "away"
    there.mkdir(), away.mkdir()
    (there / "scene.yaml").write_text(SCENE)
    monkeypatch.chdir(there)
    named = scene_name(Path("scene.yaml"))
    monkeypatch.chdir(tmp_path)
    session = saved_in(away, named)
    assert open_play(OpeningConfig(what=str(session))).title == "A test"
    (there / "scene.yaml").rename(away / "scene.yaml")
    assert open_play(OpeningConfig(what=str(session))).title == "A test", "both were moved"
    assert open_play(OpeningConfig(what=str(saved_in(away, r"C:\w\scene.yaml")))).title == "A test"
    (away / "scene.yaml").unlink()
    with pytest.raises(ValueError, match=r"not at .*there.* or .*away"):
        open_play(OpeningConfig(what=str(saved_in(away, named))))
    shipped = scene_name(DEMOS / "postcards.yaml")
    assert shipped == "demos/postcards.yaml"
    assert open_play(OpeningConfig(what=str(saved_in(away, shipped)))).title == "Postcards"


def test_a_prompt_or_a_picture_is_for_the_first_scene_only(tmp_path, other, monkeypatch):
    for name, rest in (("one", "timeline: [{at: 0s, jump: two.yaml}]"), ("two", "")):
        (tmp_path / f"{name}.yaml").write_text(SCENE.replace("noon", name) + rest)
    begun = []

    def noting(config, **options):
        opening = open_play(config, **options)
        begun.append((opening.place.state.prompt.text, config.image, opening.place.state.seed))
        return opening

    monkeypatch.setattr("engine.render.open_play", noting)
    config = OpeningConfig(
        what=str(tmp_path / "one.yaml"), pack="null", prompt="a sea", image=other, seed=3
    )
    render(config, RenderConfig(frames=8))
    assert begun == [("a sea", other, 3), ("a meadow at two", None, 3)]
