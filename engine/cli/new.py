"""`helios new scene NAME`: a commented scene to start from, with the schema for the editor."""

import argparse
import json
import re
from pathlib import Path

EXAMPLE = "helios new scene harbour"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["scene"], help="what to write")
    parser.add_argument("name", help="its name, also of the file")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to; here by default")


def run(args: argparse.Namespace) -> int:
    from engine.scenes.schema import json_schema

    name = args.name.removesuffix(".yaml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", name):
        raise ValueError(f"{args.name!r} is not a name; use letters, digits, _ and -")
    path = args.folder / f"{name}.yaml"
    if path.exists():
        raise ValueError(f"{path} is there already")
    starter = Path(__file__).resolve().parents[1] / "scenes" / "starter.yaml"
    title = name.replace("_", " ").replace("-", " ").capitalize()
    args.folder.mkdir(parents=True, exist_ok=True)
    path.write_text(starter.read_text(encoding="utf-8").replace("TITLE", title), encoding="utf-8")
    schema = args.folder / "scene.schema.json"
    if not schema.exists():
        schema.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}; play it with: helios play {path}")
    return 0
