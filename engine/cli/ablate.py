"""`helios ablate`: one table of what each part of a recipe is worth, at equal training budget."""

import argparse

EXAMPLE = """helios ablate wilds-flow --samples 20000
  helios ablate wilds-flow --samples 2000 --variants full,no-anchor --out runs/ablation"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe whose latents and codec are made already")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="e.g. threads=1")
    parser.add_argument("--samples", type=int, default=20_000, help="windows per variant")
    parser.add_argument("--minutes", type=float, default=0.0, help="limit per variant; 0 = none")
    parser.add_argument("--variants", default="all", help="comma-separated, or all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="", help="folder of the report (default: runs/ablation)")


def run(args: argparse.Namespace) -> int:
    from training import recipe
    from training.evaluation.ablation import VARIANTS, AblationConfig, ablate
    from training.evaluation.report import Report

    chosen = tuple(VARIANTS) if args.variants == "all" else tuple(args.variants.split(","))
    config = AblationConfig(
        samples=args.samples, minutes=args.minutes, variants=chosen, seed=args.seed
    )
    loaded = recipe.load(args.recipe, args.settings)
    print(f"report: {ablate(loaded, config, Report(args.out or 'runs/ablation'))}")
    return 0
