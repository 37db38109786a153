"""The schema and the tables follow the dataclasses, and the shipped copies are current."""

import json
import re
from typing import Any

import pytest
import yaml

from engine.cli import main
from engine.scenes.load import check_scene
from engine.scenes.packs import pack_facts
from engine.scenes.reference import BEGIN, END, reference, sections, table
from engine.scenes.schema import json_schema
from tests.engine.scenes.test_demos import DEMOS, FOLDER, NAMES

README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_shipped_schema_is_current():
    shipped = json.loads((FOLDER / "scene.schema.json").read_text(encoding="utf-8"))
    assert shipped == json_schema(), "helios check --schema > demos/scene.schema.json"


def test_the_tables_in_the_readme_are_current():
    begin, end = README.index(BEGIN), README.index(END) + len(END)
    assert README[begin:end] + "\n" == reference(), "put the output of helios check --keys there"


def test_every_key_of_every_section_is_explained():
    for kind in sections():
        for key, what, _, doc in table(kind):
            assert what and doc.endswith("."), f"{kind.__name__}.{key}"


def test_the_readme_names_every_demo():
    assert set(re.findall(r"^\| `(\w+)\.yaml`", README, re.M)) == set(NAMES)


def test_the_example_in_the_readme_is_right():
    example = re.search(r"^```yaml\n(.*?)^```", README, re.M | re.S)
    assert example is not None
    checked = check_scene(
        FOLDER / "example.yaml", text=example[1], packs=lambda name: pack_facts("null")
    )
    assert [str(problem) for problem in checked.problems] == []


@pytest.mark.parametrize("path", DEMOS, ids=NAMES)
def test_demos_agree_with_the_schema(path):
    assert mistakes(yaml.safe_load(path.read_text(encoding="utf-8")), json_schema()) == []


@pytest.mark.parametrize(
    "body",
    [
        "promts: {}",
        "seed: lucky",
        "timeline: [{at: 12, end: true}]",
        "timeline: [{at: 1s, caption: {for: 1s}}]",
        "timeline: [{at: 1s, fade: black}]",
        "prompts: {Big Storm: x}",
        "limits: {jump: {scale: 9}}",
        "pack: ../mine",
        "phases: {a: {timelin: []}}",
    ],
)
def test_the_schema_refuses_what_the_validator_refuses(body):
    assert mistakes(yaml.safe_load(body), json_schema())


def test_schema_and_keys_are_printed(capsys):
    assert main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Helios scene"
    assert main(["check", "--keys"]) == 0
    assert "| `brightness` |" in capsys.readouterr().out


def mistakes(value: Any, schema: dict, root: dict | None = None, path: str = "") -> list[str]:
    """The part of JSON Schema that scenes use: enough to see that schema and demos agree."""
    root = root or schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return mistakes(value, root["$defs"][name], root, path)
    if "anyOf" in schema:
        tries = [mistakes(value, option, root, path) for option in schema["anyOf"]]
        return [] if [] in tries else min(tries, key=len)
    if not _fits(value, schema):
        return [f"{path}: {value!r}"]
    if isinstance(value, list):
        return [
            m
            for i, v in enumerate(value)
            for m in mistakes(v, schema["items"], root, f"{path}/{i}")
        ]
    if not isinstance(value, dict):
        return []
    found = [f"{path}: {key} missing" for key in schema.get("required", ()) if key not in value]
    for key, item in value.items():
        inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        names = schema.get("propertyNames", {})
        bad = inner is False or mistakes(key, names, root, path) if names else inner is False
        found += [f"{path}/{key}"] if bad else mistakes(item, inner, root, f"{path}/{key}")
    return found


def _fits(value: Any, schema: dict) -> bool:
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, name) for name in types):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return False
    low, high = schema.get("minimum", -1e99), schema.get("maximum", 1e99)
    return not isinstance(value, int | float) or isinstance(value, bool) or low <= value <= high


def _is(value: Any, name: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "string": isinstance(value, str),
        "number": number,
        "integer": number and isinstance(value, int),
        "boolean": isinstance(value, bool),
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
    }[name]


def test_this_file_knows_every_word_of_the_schema():
    known = {"$ref", "anyOf", "type", "enum", "pattern", "maxLength", "minimum", "maximum", "items"}
    known |= {"properties", "additionalProperties", "propertyNames", "required"}
    known |= {"description", "examples", "title", "$schema", "$defs"}
    text = json.dumps(json_schema())
    used = set(re.findall(r'"(\$?\w+)": ', text))
    keys = {key for kind in sections() for key, *_ in table(kind)}
    names = {kind.__name__ for kind in sections()} | {"Variable"}
    assert used - keys - names <= known
