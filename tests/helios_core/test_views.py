"""Views: a world with nothing but a text begins from the picture whose words are nearest."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from helios_core.packs import load_world
from helios_core.packs.builtin import random_manifest, random_modules
from helios_core.packs.manifest import ViewsSpec
from helios_core.packs.verify import verify
from helios_core.packs.view_files import FILE, digest, views_bytes
from helios_core.packs.write import write_pack
from helios_core.stillness import Stillness
from helios_core.views import Views
from helios_core.world import WorldModel

TEXTS = (("a green meadow at noon", "a meadow"), ("a red canyon",), ("a red canyon",))


def pictures(height: int = 64, width: int = 96) -> np.ndarray:
    """One colour each."""
    colours = np.array([[30, 200, 40], [200, 60, 30], [150, 40, 20]], np.uint8)
    return np.tile(colours[:, None, None], (1, height, width, 1))


def write(folder, shown: np.ndarray):
    manifest = random_manifest(name=folder.name)
    spec = ViewsSpec(file=FILE, sha256=digest(shown), texts=TEXTS)
    weights = {n: m.state_dict() for n, m in random_modules(manifest).items()}
    write_pack(folder, replace(manifest, views=spec), weights, pictures={FILE: views_bytes(shown)})
    return folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write(tmp_path_factory.mktemp("packs") / "seen", pictures())


@pytest.fixture(scope="module")
def world(pack):
    return load_world(pack)


def frames(world, state, prompt=None):
    return world.advance(state, world.info.spec.zeros(world.info.chunk_frames), prompt)


def test_the_nearest_words_win_and_the_seed_says_which_of_equals(world):
    encoder = world.parts.text_encoder
    views = Views(pictures(), TEXTS, encoder)
    assert views.nearest("a meadow", seed=5) == 0
    assert [views.nearest("a red canyon", seed=seed) for seed in range(4)] == [1, 2, 1, 2]
    assert [views.nearest(" ", seed=seed) for seed in range(4)] == [0, 1, 2, 0]
    with pytest.raises(ValueError, match="3 views and words for 1"):
        Views(pictures(), TEXTS[:1], encoder)


def test_a_start_from_text_is_a_start_from_its_view(world):
    by_text = frames(world, world.start(seed=1, prompt="a red canyon"))
    shown = world.start(seed=1, prompt="a red canyon", image=pictures()[2])
    by_image = frames(world, shown)
    assert np.array_equal(by_text[1], by_image[1])
    assert by_text[0].anchored and by_text[0].valid == by_image[0].valid
    alone = world.from_text_alone()
    assert not np.array_equal(
        frames(alone, alone.start(seed=1, prompt="a red canyon"))[1], by_text[1]
    )


def test_what_the_text_says_is_painted_in_before_the_world_rests(world):
    patient = WorldModel(replace(world.parts, stillness=Stillness(told=2)), world.info)
    state, rests = patient.start(seed=1, prompt="a meadow in fog"), []
    for _ in range(4):
        state, _ = patient.generate(state, patient.info.spec.zeros(patient.info.chunk_frames))
        rests.append(state.rest.moment is not None)
    assert rests == [False, False, False, True]


def test_a_cut_to_nothing_begins_from_the_view_of_the_new_prompt(world):
    state, _ = frames(world, world.start(seed=0, prompt="a meadow"))
    cut = world.cut(state)
    after, _ = world.generate(cut, None, "a red canyon", crossfade=1)
    early = world.generate(cut, None, "a red canyon", crossfade=1, prepared=world.prepare(cut))
    begun = world.start(seed=0, prompt="", image=pictures()[1])
    assert np.array_equal(after.groups[-2], begun.groups[-1])
    assert np.array_equal(early[0].groups[-1], after.groups[-1])
    kept = world.cut(state, keep_anchor=True)
    assert world.generate(kept, None, "a red canyon")[0].valid == world.parts.chunk_latents


def test_a_batch_begins_as_each_alone(world):
    begun = [
        world.start(seed=i, prompt=text) for i, text in enumerate(("a meadow", "a red canyon"))
    ]
    still = world.info.spec.zeros(world.info.chunk_frames)
    many, _ = world.generate_batch(begun, [still, still], [None, None])
    for state, row in zip(begun, many, strict=True):
        single, _ = world.generate(state, still)
        assert np.allclose(single.groups[-1], row.groups[-1], atol=1e-4)
        assert np.array_equal(single.groups[-2], row.groups[-2])


def test_views_are_part_of_what_a_pack_is(pack, tmp_path, world):
    other = write(tmp_path / "seen", pictures()[::-1])
    assert load_world(other).info.pack_hash != world.info.pack_hash
    assert verify(pack)


def marked(blob: bytes, local: int, central: int, value: int) -> bytes:
    """A zip with a byte of its entry's two headers set."""
    data = bytearray(blob)
    data[local] = data[data.rfind(b"PK\x01\x02") + central] = value
    return bytes(data)


DAMAGES = {
    "missing": (lambda b: None, {}, "are missing"),
    "cut short": (lambda b: b[:200], {}, "is no file of views"),
    "one bit": (lambda b: b[:150] + bytes([b[150] ^ 4]) + b[151:], {}, "is no file of views"),
    "no archive": (lambda b: b"nothing", {}, "is no file of views"),
    "encrypted": (lambda b: marked(b, 6, 8, 1), {}, "is no file of views"),
    "packed oddly": (lambda b: marked(b, 8, 10, 99), {}, "is no file of views"),
    "others": (lambda b: views_bytes(pictures() // 2), {}, "holds other pictures"),
    "a bomb": (lambda b: views_bytes(np.zeros((9999, 64, 96, 3), np.uint8)), {}, "are not 3 x"),
    "elsewhere": (lambda b: b, {"file": "../views.npz"}, "name a file in the pack's folder"),
    "too few": (lambda b: b, {"texts": [["a"], ["b"]]}, "are not 2 x 64 x 96 x 3 bytes"),
    "too many": (
        lambda b: b,
        {"texts": [["a"] for _ in range(9)]},
        "are not 9 x 64 x 96 x 3 bytes",
    ),
    "no words": (lambda b: b, {"texts": [["a"], [], ["b"]]}, "give each some"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_broken_views_are_refused_with_one_sentence(tmp_path, pack, damage):
    act, changes, message = DAMAGES[damage]
    folder = shutil.copytree(pack, tmp_path / "seen")
    blob = act((folder / FILE).read_bytes())
    (folder / FILE).unlink()
    if blob is not None:
        (folder / FILE).write_bytes(blob)
    values = yaml.safe_load((folder / "pack.yaml").read_text())
    values["views"] |= changes
    (folder / "pack.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ValueError) as caught:
        load_world(folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)
