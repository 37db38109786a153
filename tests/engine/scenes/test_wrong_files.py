"""Every mistake is named with its line, its column and the nearest valid name; all at once."""

import json
from itertools import pairwise

import pytest

from engine.cli import main
from engine.scenes.load import check_scene, load_scene
from engine.scenes.problems import SceneError
from engine.scenes.variables import MAX_REFERENCES
from tests.engine.scenes.playing import HEAD, write
from tests.engine.scenes.wrong_files import WRONG


@pytest.mark.parametrize(("body", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_message(tmp_path, body, message):
    path = tmp_path / "scene.yaml"
    path.write_text(body[1:] if body.startswith("%") else HEAD + body, encoding="utf-8")
    checked = check_scene(path)
    errors = [str(p) for p in checked.problems if p.level == "error"]
    assert errors == [f"{path}:{message}"]
    assert checked.file is None


def test_there_are_enough_of_them():
    assert len(WRONG) >= 60 and len({name for name, *_ in WRONG}) == len(WRONG)


def test_all_mistakes_of_a_file_come_at_once_in_its_order(tmp_path):
    body = "seed: -1\nstart: nowhere\nmacros: {a: jump}\ntriggers:\n  - {when: idel > 1}\n"
    with pytest.raises(SceneError) as error:
        load_scene(write(tmp_path, body))
    assert [p.line for p in error.value.problems] == [5, 6, 7, 9, 9]
    assert str(error.value).startswith("the scene has 5 mistakes:\n")


def test_mistakes_of_used_files_name_those_files(tmp_path):
    write(tmp_path, "", "good.yaml")
    (tmp_path / "shared.yaml").write_text("macros:\n  a: nonsense\nseed: 1\nseed: 2\n")
    checked = check_scene(write(tmp_path, "use: shared.yaml\n"))
    assert [str(p) for p in checked.problems] == [
        f"{tmp_path}/shared.yaml:4:1: 'seed' is here twice"
    ]
    (tmp_path / "shared.yaml").write_text("macros:\n  a: nonsense\n")
    checked = check_scene(write(tmp_path, "use: shared.yaml\nseed: x\n"))
    assert [str(p).partition(": ")[0] for p in checked.problems] == [
        f"{tmp_path}/scene.yaml:6:7",
        f"{tmp_path}/shared.yaml:2:6",
    ]


def test_a_link_out_of_the_folder_is_no_file_beside_it(tmp_path):
    folder = tmp_path / "scene"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text("author: secret\n")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    [problem] = check_scene(write(folder, "use: link.yaml\n")).problems
    assert problem.text == "use: link.yaml cannot be read: no such file or directory"
    (folder / "a.ogg").symlink_to(tmp_path / "secret.yaml")
    checked = check_scene(write(folder, "timeline: [{at: 1s, sound: a.ogg}]\n"))
    assert [p.text for p in checked.problems] == [
        "timeline[1].sound: a.ogg leads out of the scene's folder"
    ]
    assert checked.file is None


def test_doublings_are_counted_before_they_are_run(tmp_path):
    names = "abcdefghijklmnopqrst"
    lines = ["vars:", "  a: x"]
    lines += [f'  {n}: "${{vars.{m}}}${{vars.{m}}}"' for m, n in pairwise(names)]
    checked = check_scene(write(tmp_path, "\n".join([*lines, 'author: "${vars.t}"', ""])))
    assert {p.text for p in checked.problems} == {
        "variables refer to one another deeper than 6",
    }


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x", "expands through more than 500 references"),
        ("x" * 200, "expands to more than 4000 signs"),
    ],
)
def test_what_a_variable_expands_to_is_bounded(tmp_path, value, says):
    lines = ["vars:", f"  a: {value}", f'  b: "{"${vars.a}" * 30}"', f'  c: "{"${vars.b}" * 30}"']
    checked = check_scene(write(tmp_path, "\n".join([*lines, "author: ${vars.c}", ""])))
    assert says in {p.text for p in checked.problems}


def test_many_references_are_refused_too(tmp_path):
    hints = "".join("  - ${vars.a}\n" for _ in range(MAX_REFERENCES + 1))
    [problem] = check_scene(write(tmp_path, f"vars: {{a: b}}\nhints:\n{hints}")).problems
    assert problem.text == f"more than {MAX_REFERENCES} references in a scene"


def test_a_file_that_is_too_long_or_not_text(tmp_path):
    long = write(tmp_path, "author: " + "x" * 100_000 + "\n")
    assert [p.text for p in check_scene(long).problems] == ["longer than 100000 bytes"]
    long.write_bytes(b"title: a\nauthor: \xff\xfe\n")
    [problem] = check_scene(long).problems
    assert (problem.line, problem.text) == (2, "this is not UTF-8 text")
    many = "vars: [" + "1," * 9000 + "]\n"
    assert [p.text for p in check_scene(write(tmp_path, many)).problems] == [
        "more than 8000 values in a file"
    ]


def test_check_prints_every_mistake_and_exits_1(tmp_path, capsys):
    path = write(tmp_path, "seed: -1\nhud: 3\n")
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{path}:5:7: seed: -1 is outside 0 to 2147483647"
    assert out[-1] == "1 scene: 0 can be played, 2 errors, 0 warnings"


def test_check_as_json(tmp_path, capsys):
    path = write(tmp_path, "seed: -1\n")
    assert main(["check", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": str(path),
            "line": 5,
            "column": 7,
            "text": "seed: -1 is outside 0 to 2147483647",
            "level": "error",
        }
    ]


def test_a_good_scene_exits_0_and_strict_counts_warnings(tmp_path, capsys):
    path = write(tmp_path, 'macros: {a: "+1s: jump"}\n')
    assert main(["check", str(path)]) == 0
    assert "warning: macros.a: never used" in capsys.readouterr().out
    assert main(["check", "--strict", str(path)]) == 1


def test_check_of_nothing_is_one_sentence(capsys):
    assert main(["check"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("own", ["3", "", "[1]"])
def test_variables_that_are_replaced_whole_are_gone(tmp_path, own):
    (tmp_path / "shared.yaml").write_text("vars: {a: x}\n")
    body = f"vars: {own}\nuse: shared.yaml\nauthor: ${{vars.a}}\n"
    texts = [p.text for p in check_scene(write(tmp_path, body)).problems]
    assert "no variable 'a' under `vars`; this scene has none" in texts


def test_a_variable_of_three_question_marks_is_never_expanded(tmp_path):
    body = 'vars: {a: "???"}\nauthor: "${vars.a}"\n'
    [problem] = check_scene(write(tmp_path, body)).problems
    assert problem.text == "vars.a is ???, which is never expanded"


def test_a_command_given_by_motion_is_named_by_the_check(tmp_path):
    body = "bindings: {commands: {rewind: pad.left_x}}\n"
    [problem] = check_scene(write(tmp_path, body)).problems
    assert problem.column == 31 and "is motion and gives no command" in problem.text


def test_a_check_says_what_it_read_and_what_it_missed(tmp_path):
    (tmp_path / "shared.yaml").write_text("seed: x\n")
    path = write(tmp_path, "use: [shared.yaml, gone.yaml]\n")
    checked = check_scene(path)
    assert checked.file is None
    assert checked.files == (tmp_path / "shared.yaml", tmp_path / "gone.yaml", path)
