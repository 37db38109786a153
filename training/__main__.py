"""Run a frozen recipe: `python -m training FROZEN.json [--only base] [--resume] [key=value ...]`.

Needs torch, numpy, einops and safetensors only. `helios train` is the same with YAML recipes.
"""

import argparse
import sys

from training import recipe, steps
from training.trainer.loop import TrainingDivergedError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipe", help="frozen JSON (or YAML where OmegaConf is installed)")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    parser.add_argument("--only", default="", help="comma-separated steps to run")
    parser.add_argument("--resume", action="store_true", help="continue unfinished steps")
    args = parser.parse_intermixed_args(argv)
    try:
        loaded = recipe.load(args.recipe, args.settings)
        only = [name for name in args.only.split(",") if name]
        reason = steps.run(loaded, only=only, resume=args.resume)
    except TrainingDivergedError as error:
        print(error, file=sys.stderr)
        return 3
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 130 if reason == "stopped" else 0


if __name__ == "__main__":
    sys.exit(main())
