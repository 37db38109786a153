"""Bindings: layers, conflicts and mistakes that are named, and the user's file."""

import pytest
import yaml

from engine.input import names
from engine.input.bindings import (
    DEFAULT_CHANNELS,
    DEFAULT_COMMANDS,
    Binding,
    bindings_from,
    read_user_bindings,
    write_user_bindings,
)
from engine.opening import hands_for
from helios_core.actions import WALK_SPEC
from helios_core.null_world import NullWorld


def bound(bindings, target) -> list[str]:
    return [str(b) for b in {**bindings.channels, **bindings.commands}[target]]


def test_every_default_names_an_input_and_no_input_drives_two_things():
    seen: dict[str, str] = {}
    for target, texts in {**DEFAULT_CHANNELS, **DEFAULT_COMMANDS}.items():
        for text in texts:
            name = Binding.parse(text).input
            assert seen.setdefault(name, target) == target


def test_a_later_layer_replaces_a_channel_and_takes_the_inputs_it_claims():
    bindings = bindings_from(
        WALK_SPEC,
        pack={"channels": {"jump": ["j"]}},
        user={"channels": {"run": ["space"], "jump": ["k", "w"]}, "tuning": {"curve": 1.0}},
        scene={"channels": {"strafe": ["k"]}},
    )
    assert bound(bindings, "jump") == ["w"]
    assert bound(bindings, "run") == ["space"]
    assert bound(bindings, "strafe") == ["k"]
    assert bound(bindings, "move_forward") == ["-s", "pad.left_y"]
    assert bindings.tuning.curve == 1.0
    assert bindings.notes == (
        "your bindings: 'w' moved from move_forward to jump",
        "the scene's bindings: 'k' moved from jump to strafe",
    )
    assert bindings.owner("w") == "jump"


def test_a_channel_may_take_a_window_key_and_then_has_it():
    bindings = bindings_from(WALK_SPEC, scene={"channels": {"jump": ["return"]}})
    assert bindings.command("return") is None
    assert bindings.command("enter") == "prompt"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"channels": {"jmp": ["w"]}}, "no channel 'jmp'; did you mean 'jump'"),
        ({"channels": {"jump": ["x"], "run": "x"}}, "'x' is bound to jump and to run"),
        ({"channels": {"jump": ["left shft"]}}, "jump: no input is called 'left shft'; did you"),
        ({"channels": {"jump": ["d*fast"]}}, "'fast' is not a number"),
        ({"channels": {"jump": ["d*0"]}}, "above 0"),
        ({"channels": {"jump": [True]}}, "write it in quotes"),
        ({"channels": {"jump": {"a": 1}}}, "expected a list of inputs"),
        ({"channels": ["jump"]}, "expected `name:"),
        ({"comands": {}}, "unknown key 'comands'; did you mean 'commands'"),
        ({"commands": {"rewnd": ["r"]}}, "unknown key 'rewnd'; did you mean 'rewind'"),
        ({"tuning": {"curv": 2}}, "unknown key 'curv'; did you mean 'curve'"),
        ({"tuning": {"curve": 9}}, r"curve: 9 is outside \[0.2, 5\]"),
        ({"tuning": {"curve": "hard"}}, "'hard' is not a number"),
        ({"tuning": {"invert_look": 1}}, "neither true nor false"),
    ],
)
def test_a_mistake_is_named_with_its_layer(layer, message):
    with pytest.raises(ValueError, match=message) as error:
        bindings_from(WALK_SPEC, user=layer, user_name="my.yaml")
    assert "my.yaml" in str(error.value)


def test_the_users_file_may_speak_of_other_worlds_a_pack_may_not():
    layer = {"channels": {"use": ["w"]}}
    bindings = bindings_from(WALK_SPEC, user=layer)
    assert "use is not a channel of this world" in bindings.notes[0]
    assert "w" in bound(bindings, "move_forward")
    with pytest.raises(ValueError, match="pack's bindings: this world has no channel 'use'"):
        bindings_from(WALK_SPEC, pack=layer)


def test_remapping_takes_the_key_from_its_owner_and_says_so():
    bindings = bindings_from(WALK_SPEC).bind("jump", Binding(input="w"))
    assert bound(bindings, "jump") == ["w"]
    assert bindings.owner("w") == "jump"
    assert "'w' moved from move_forward to jump" in bindings.notes[-1]
    assert bindings_from(WALK_SPEC).bind("jump").unbound() == ("jump",)


def test_the_users_file_keeps_what_it_says_of_other_worlds(tmp_path):
    path = tmp_path / "config" / "bindings.yaml"
    base = bindings_from(WALK_SPEC)
    assert read_user_bindings(path) == {}
    path.parent.mkdir()
    path.write_text("channels: {attack: [x], jump: [j]}\n")
    before = bindings_from(WALK_SPEC, user=read_user_bindings(path))
    changed = before.bind("run", Binding(input="r", scale=1.0)).tuned(invert_look=True)
    write_user_bindings(path, before, changed, base)
    layer = read_user_bindings(path)
    assert layer == {
        "channels": {"attack": ["x"], "jump": ["j"], "run": ["r"]},
        "tuning": {"invert_look": True},
    }
    again = bindings_from(WALK_SPEC, user=layer)
    assert again.channels == changed.channels
    assert again.tuning == changed.tuning


@pytest.mark.parametrize(
    "own",
    [
        "channels: {jump: [j], attack: [x]}\ntuning: {curve: 2.5}\n",
        "channels: {jump: [space, w], attack: [x]}\ncommands: {save: [k]}\n",
        "channels: {jump: [], attack: [x]}\n",
    ],
)
def test_back_to_the_defaults_leaves_only_what_is_of_other_worlds(tmp_path, own):
    path, base = tmp_path / "bindings.yaml", bindings_from(WALK_SPEC)
    path.write_text(own)
    before = bindings_from(WALK_SPEC, user=read_user_bindings(path))
    assert before.to_dict() != base.to_dict()
    write_user_bindings(path, before, base, base)
    again = bindings_from(WALK_SPEC, user=read_user_bindings(path))
    assert again.to_dict() == base.to_dict()
    assert read_user_bindings(path)["channels"]["attack"] == ["x"]


def rewritten(path, change, **scene) -> dict:
    """The user's file after a change that was made while a scene played."""
    base = bindings_from(WALK_SPEC, scene=scene)
    before = bindings_from(WALK_SPEC, user=read_user_bindings(path), scene=scene)
    write_user_bindings(path, before, change(before), base)
    layer = read_user_bindings(path)
    bindings_from(WALK_SPEC, user=layer)
    return layer


def test_what_a_scene_binds_leaves_the_users_file_alone(tmp_path):
    path = tmp_path / "bindings.yaml"
    own = {"channels": {"move_forward": ["up", "-down"]}, "tuning": {"curve": 1.0}}
    path.write_text(yaml.safe_dump(own))
    scene = {"channels": {"move_forward": ["w", "-s"]}, "tuning": {"curve": 2.0}}
    after = rewritten(path, lambda b: b.tuned(mouse_sensitivity=0.2), **scene)
    assert after == {**own, "tuning": {"curve": 1.0, "mouse_sensitivity": 0.2}}
    after = rewritten(path, lambda b: b.bind("run", Binding(input="w")), **scene)
    assert after["channels"] == {**own["channels"], "run": ["w"]}, "the scene's w, not the user's"
    after = rewritten(path, lambda b: b.bind("jump", Binding(input="up")), **scene)
    assert after["channels"] == {"move_forward": ["-down"], "run": ["w"], "jump": ["up"]}


def test_what_is_as_it_was_before_the_user_came_leaves_the_file(tmp_path):
    path = tmp_path / "bindings.yaml"
    path.write_text("channels: {attack: [x], jump: [j]}\n")
    plain = bindings_from(WALK_SPEC).channels["jump"]
    assert rewritten(path, lambda b: b.bind("jump", *plain)) == {"channels": {"attack": ["x"]}}
    assert rewritten(path, lambda b: b.bind("jump", Binding(input="x"))) == {
        "channels": {"attack": [], "jump": ["x"]}
    }
    assert rewritten(path, lambda b: b.bind("jump"))["channels"]["jump"] == []


@pytest.mark.parametrize(
    "text",
    [b"channels: [", b"- w", b"keys: {}", b"\0" * 9, b"# \xe9", b"commands: {jmp: [w]}"],
)
def test_a_broken_users_file_is_named(tmp_path, text):
    path = tmp_path / "bindings.yaml"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"bindings\.yaml"):
        hands_for(NullWorld().info, None, path)


def test_a_users_file_may_be_of_any_unicode(tmp_path):
    path = tmp_path / "bindings.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text("channels: {jump: [é]}", encoding=encoding)
        assert read_user_bindings(path) == {"channels": {"jump": ["é"]}}, encoding


def test_a_layer_written_out_reads_back_the_same():
    bindings = bindings_from(WALK_SPEC, user={"channels": {"jump": [1, "é", "-minus*0.25"]}})
    text = yaml.safe_dump(bindings.to_dict(), allow_unicode=True)
    again = bindings_from(WALK_SPEC, scene=yaml.safe_load(text))
    assert again.to_dict() == bindings.to_dict()


def test_labels_read_like_key_caps():
    assert names.label("left shift") == "Shift"
    assert names.label("w") == "W"
    assert names.label("pad.left_shoulder") == "Pad Left Shoulder"
    assert bindings_from(WALK_SPEC).label("jump") == "Space  Pad A"
    assert bindings_from(WALK_SPEC).bind("jump").label("jump") == "not bound"


@pytest.mark.parametrize("motion", ["mouse.x", "pad.left_y"])
def test_motion_gives_no_command(motion):
    with pytest.raises(ValueError, match=f"rewind: '{motion}' is motion and gives no command"):
        bindings_from(WALK_SPEC, user={"commands": {"rewind": [motion]}})
