"""`helios train`: run a recipe, or freeze it to one JSON for a bare machine.

A recipe's steps run in order; finished ones are skipped. Not here: what a step does (training).
"""

import argparse
from pathlib import Path

EXAMPLE = """helios train wilds-nano
  helios train wilds-nano near.loop.budget_minutes=60 --only near --resume
  helios train wilds --resolve wilds.json && python -m training wilds.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    given = "a shipped recipe's name, a YAML file or a frozen JSON"
    parser.add_argument("recipe", nargs="?", default="", help=given)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="e.g. near.loop.seed=1")
    parser.add_argument("--only", default="", help="steps to run, separated by commas")
    parser.add_argument("--resume", action="store_true", help="continue an unfinished step")
    parser.add_argument(
        "--resolve", metavar="FILE", help="write the resolved recipe, train nothing"
    )
    parser.add_argument("--list", action="store_true", help="show the steps and what is done")


def run(args: argparse.Namespace) -> int:
    from training import recipe, steps

    loaded = recipe.load(args.recipe, args.settings)
    if args.resolve:
        recipe.freeze(loaded, Path(args.resolve))
        print(f"wrote {args.resolve}; run it with: python -m training {args.resolve}")
        return 0
    if args.list:
        for name, step in loaded.steps.items():
            context = steps.make_context(loaded, name)
            state = "done" if context.rundir.done else "to do"
            print(f"{name:16} {step.stage:10} {state:6} {context.rundir.path}")
        return 0
    only = [name for name in args.only.split(",") if name]
    return 130 if steps.run(loaded, only=only, resume=args.resume) == "stopped" else 0
