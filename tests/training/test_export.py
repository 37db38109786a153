"""What a pack says of the game that it learned from: keys, licence, words."""

from dataclasses import replace

from engine.input.bindings import bindings_from
from engine.rollouts.reader import RolloutDataset
from helios_core.text.small import SmallTextConfig, SmallTextEncoder
from tests.training import tiny
from training import artifacts
from training.clips.recorder import RecordConfig, record
from training.data import shards
from training.data.clips import ClipsConfig, clips
from training.export import ExportConfig, make_manifest, said
from training.stages import world as worlds
from training.stages.base import BaseConfig, BaseStage
from training.trainer.loop import LoopConfig
from training.worlds.games.mapping import load_mapping

RAN = {
    "done.json": '{"samples": 0, "seconds": 0, "last": []}',
    "config.json": '{"starts": [{"device": "cpu", "git": ""}]}',
}


def _manifest(root, origin, captions=("red hills",), knew=("hills",), **settings):
    """The manifest of a tiny world that learned from clips of that origin."""
    tiny.data(root)
    for path in shards.listing(root / "latents"):
        made = shards.read(path)
        said_of = tuple((shards.Segment(0, captions),) for _ in made.info.captions)
        info = replace(made.info, origin=origin, captions=said_of)
        shards.write(path, shards.Clips(info, made.actions, latents=made.latents))
    base = BaseConfig(latents="latents", held="held", codec="codec", model=tiny.MODEL,
                      text=tiny.TEXT)  # fmt: skip
    (root / "world" / "final").mkdir(parents=True)
    world = BaseStage(base, tiny.context(root, "world"), LoopConfig()).world
    sizes = SmallTextConfig(**{**vars(tiny.TEXT), "vocabulary": knew})
    world.text = SmallTextEncoder(sizes)
    worlds.save(root / "world" / "final", world)
    for step in ("codec", "world"):
        for name, text in RAN.items():
            (root / step / name).write_text(text)
    config = ExportConfig(name="mine", world="world", codec="codec", latents="latents",
                          height=32, width=32, **settings)  # fmt: skip
    context = tiny.context(root, "export")
    modules = {
        "transformer": artifacts.load(root / "world" / "final", "transformer"),
        "text_encoder": artifacts.load(root / "world" / "final", "text"),
        "codec": artifacts.load(root / "codec" / "final", "codec"),
    }
    return make_manifest(config, context, modules)


def test_a_recorded_game_lends_its_keys_to_the_pack(tmp_path):
    mapping = load_mapping("car-racing")
    record(mapping, RecordConfig(out=str(tmp_path / "races"), episodes=1, frames=24))
    assert RolloutDataset.open(tmp_path / "races").spec.source["bindings"] == mapping.bindings
    cut = ClipsConfig(folders=(str(tmp_path / "races"),), height=32, width=32, frames=24, least=8)
    (tmp_path / "clips").mkdir()
    clips(cut, tiny.context(tmp_path, "clips"))
    [path] = shards.listing(tmp_path / "clips")
    origin = shards.read_info(path).origin
    made = _manifest(tmp_path, origin)
    assert bindings_from(mapping.spec, pack=made.bindings).unbound() == ()
    assert bindings_from(mapping.spec, pack={}).unbound() == ("steer", "gas", "brake")
    assert made.licence == "MIT" and made.about == "Learned from recordings of CarRacing-v3."


def test_what_a_recipe_says_goes_before_what_the_recording_says(tmp_path):
    origin = {"env": "X-v0", "licence": "MIT", "bindings": {"channels": {"jump": ["j"]}}}
    own = {"channels": {"jump": ["k"]}}
    made = _manifest(tmp_path, origin, about="Hills.", licence="CC0-1.0", bindings=own)
    assert (made.about, made.licence, made.bindings) == ("Hills.", "CC0-1.0", own)


def test_words_of_the_captions_are_known_beside_those_of_before(tmp_path):
    made = _manifest(tmp_path, {"world": "wilds"}, captions=("map 30", "red hills"), knew=("blue",))
    assert made.text_encoder.config["vocabulary"] == ["30", "blue", "hills", "map", "red"]
    assert made.licence == "unknown" and made.about == ""


def test_recordings_of_two_licences_name_both_once():
    origins = [{"licence": "MIT"}, {"licence": "CC0-1.0"}, {"licence": "MIT"}, {}]
    assert said(origins, "licence") == "MIT; CC0-1.0"
