"""Game mappings: values to actions and back, and every mistake named."""

import numpy as np
import pytest
from gymnasium import spaces

from training.worlds.games.mapping import FOLDER, load_mapping, names, parse

CHANNELS = [
    {"name": "strafe", "kind": "axis", "low": -1.0, "high": 1.0},
    {"name": "use", "kind": "button"},
]


def table_game(**more):
    body = {"env": "X-v0", "fps": 10, "channels": CHANNELS}
    return parse(body | {"discrete": [{}, {"use": 1}, {"strafe": 1}, {"strafe": -1}]} | more, "x")


@pytest.mark.parametrize("name", names())
def test_every_shipped_mapping_loads(name: str) -> None:
    mapping = load_mapping(name)
    assert mapping.licence != "unknown" and mapping.prompt
    assert load_mapping(mapping.env).spec == mapping.spec


@pytest.mark.parametrize("choice", range(4))
def test_a_discrete_action_means_its_row_and_back(choice: int) -> None:
    mapping = table_game()
    assert mapping.to_env(mapping.from_env(choice)) == choice


def test_an_analog_wish_takes_the_nearest_row() -> None:
    mapping = table_game()
    assert mapping.to_env(np.array([0.7, 0.0])) == 2
    assert mapping.to_env(np.array([0.2, 0.0])) == 0


def test_a_multi_discrete_action_has_a_table_per_component() -> None:
    body = {"env": "X-v0", "fps": 10, "channels": CHANNELS}
    rows = [[{"strafe": -1}, {}, {"strafe": 1}], [{}, {"use": 1}]]
    mapping = parse(body | {"multi_discrete": rows}, "x")
    assert mapping.to_env(np.array([1.0, 1.0])).tolist() == [2, 1]
    assert mapping.from_env([0, 1]).tolist() == [-1.0, 1.0]


def test_a_box_scales_and_shifts() -> None:
    body = {"env": "X-v0", "fps": 10, "channels": CHANNELS}
    box = ["strafe", {"channel": "use", "scale": 2.0, "offset": -1.0}, {"channel": "", "offset": 3}]
    mapping = parse(body | {"box": box}, "x")
    action = mapping.to_env(np.array([0.5, 1.0]))
    assert action.tolist() == [0.5, 1.0, 3.0]
    assert mapping.from_env(action).tolist() == [0.5, 1.0]


BOX = spaces.Box(-1, 1, (2,))


@pytest.mark.parametrize(
    ("action", "space", "fits"),
    [
        ({"discrete": [{}, {"use": 1}]}, spaces.Discrete(2), True),
        ({"discrete": [{}, {"use": 1}]}, spaces.Discrete(1), False),
        ({"discrete": [{}, {"use": 1}]}, BOX, False),
        ({"box": ["strafe", "use"]}, BOX, True),
        ({"box": ["strafe"]}, BOX, False),
        ({"box": ["strafe", "use"]}, spaces.Discrete(2), False),
        ({"multi_discrete": [[{}, {"use": 1}]]}, spaces.MultiDiscrete([2]), True),
        ({"multi_discrete": [[{}, {"use": 1}]]}, spaces.MultiBinary(1), True),
        ({"multi_discrete": [[{}, {"use": 1}]]}, spaces.MultiDiscrete([2, 2]), False),
        ({"multi_discrete": [[{}, {"use": 1}]]}, spaces.Discrete(2), False),
    ],
)
def test_a_mapping_fits_the_environments_actions(action: dict, space, fits: bool) -> None:
    mapping = parse({"env": "X-v0", "fps": 10, "channels": CHANNELS} | action, "x")
    if fits:
        mapping.check(space)
    else:
        with pytest.raises(ValueError, match="but X-v0 takes"):
            mapping.check(space)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_rate": 3}, "unknown key 'frame_rate'"),
        ({"env": None, "fps": None}, ""),
        ({"box": ["strafe"]}, "exactly one of"),
        ({"discrete": [{"strafe": 2}]}, "outside"),
        ({"discrete": [{"straf": 1}]}, "did you mean 'strafe'"),
    ],
)
def test_a_wrong_mapping_says_why(change: dict, message: str) -> None:
    body = {"env": "X-v0", "fps": 10, "channels": CHANNELS, "discrete": [{}]} | change
    body = {key: value for key, value in body.items() if value is not None}
    with pytest.raises(ValueError, match=message or "is missing"):
        parse(body, "game.yaml")


def test_an_unknown_game_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'freedoom'"):
        load_mapping("freedom")


def test_mappings_ship_beside_their_reader() -> None:
    assert (FOLDER / "freedoom.yaml").exists()


GOOD = (
    "env: X-v0\nfps: 20\nchannels: [{name: strafe, kind: axis, low: -1, high: 1}]\n"
    "discrete: [{}, {strafe: 1}]\n"
)
FILES = {
    "broken": ("env: [\n", "cannot be read"),
    "no kind": (GOOD.replace("kind: axis, ", ""), "channels[0]: kind missing"),
    "channels as text": (GOOD.replace("[{name: strafe, ", "strafe #"), "channels is 'strafe'"),
    "fps as text": (GOOD.replace("20", "fast"), "fps is 'fast'; give a int"),
    "no hold": (GOOD + "hold: 0\n", "hold is 0; give at least 1"),
    "null row": (GOOD.replace("[{},", "[null,"), "choice 0"),
}


@pytest.mark.parametrize("mistake", FILES)
def test_a_mistaken_file_ends_record_with_one_sentence_and_code_2(mistake, tmp_path, capsys):
    from engine.cli import main

    text, message = FILES[mistake]
    path = tmp_path / "game.yaml"
    path.write_text(text)
    assert main(["record", "--env", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said and str(path) in said and said.count("\n") == 1
