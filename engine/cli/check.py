"""`helios check`: every mistake of scene files with its line, for people and for editors."""

import argparse
import json
from pathlib import Path

EXAMPLE = "helios check demos/*.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="scene files")
    parser.add_argument("--json", action="store_true", help="problems as JSON, for editors")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of scenes")
    parser.add_argument("--keys", action="store_true", help="print all keys as Markdown tables")
    parser.add_argument("--pack", default="", help="check against this pack, not the scene's own")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")


def run(args: argparse.Namespace) -> int:
    """0 when every file can be played, 1 when one cannot."""
    if args.schema:
        from engine.scenes.schema import json_schema

        print(json.dumps(json_schema(), indent=1))
        return 0
    if args.keys:
        from engine.scenes.reference import reference

        print(reference(), end="")
        return 0
    if not args.files:
        raise ValueError("name the scene files to check, or ask for the --schema")
    from engine.scenes.load import check_scene, check_shared, is_shared
    from engine.scenes.packs import pack_facts

    problems, broken = [], 0
    shared = [path for path in args.files if is_shared(path)]
    scenes = [path for path in args.files if not is_shared(path)]
    for path in shared:
        problems += check_shared(path)
    for path in scenes:
        checked = check_scene(path, packs=lambda name: pack_facts(args.pack or name))
        problems += checked.problems
        broken += checked.file is None
    if args.json:
        print(json.dumps([problem.to_dict() for problem in problems], indent=1))
    else:
        for problem in problems:
            print(problem)
        print(_summary(len(scenes), len(shared), broken, problems))
    wrong = any(problem.level == "error" for problem in problems)
    return 1 if wrong or (args.strict and problems) else 0


def _summary(scenes: int, shared: int, broken: int, problems: list) -> str:
    doubts = sum(problem.level == "warning" for problem in problems)
    parts = [f"{_count(scenes, 'scene')}: {scenes - broken} can be played"]
    parts += [_count(shared, "file") + " shared by scenes"] if shared else []
    parts += [_count(len(problems) - doubts, "error"), _count(doubts, "warning")]
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
