"""The command line: one dispatcher, one module per command, imported only when it is named.

A command module has `EXAMPLE: str`, `add_arguments(parser)` and `run(args) -> int`. A ValueError
or an OSError from it becomes one sentence and exit code 2, Ctrl-C becomes 130. Not here: anything
that a library needs; libraries take dataclasses, never `args`.

    helios --help
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from engine.installation import missing_module

COMMANDS: dict[str, tuple[str, str]] = {
    "play": ("engine.cli.play", "walk through a world in a window, or render it headless"),
    "run": ("engine.cli.run", "render a scene to a video, the same one every time"),
    "check": ("engine.cli.check", "check scene files: every mistake with its line"),
    "new": ("engine.cli.new", "write a commented scene to start from"),
    "timeline": ("engine.cli.timeline", "draw a scene's timeline as a picture"),
    "packs": ("engine.cli.packs", "list, describe, import and verify packs"),
    "doctor": ("engine.cli.doctor", "say what this machine has and what is missing"),
    "record": ("engine.cli.record", "record clips of a Gymnasium game"),
    "clips": ("engine.cli.clips", "import, check and view action-labelled clips"),
    "rollouts": ("engine.cli.rollouts", "describe, check, export and generate recordings"),
    "replay": ("engine.cli.replay", "replay a recording, exactly or with other actions"),
    "train": ("engine.cli.train", "train, distil or fine-tune a world by a recipe"),
    "eval": ("engine.cli.eval", "measure how good a world is"),
    "ablate": ("engine.cli.ablate", "measure what each part of a recipe is worth"),
    "bench play": ("engine.cli.bench_play", "latency, pacing and engine cost of play"),
    "bench env": ("engine.cli.bench_env", "frames per second of the Gymnasium world"),
    "bench clips": ("engine.cli.bench_clips", "decoded frames per second of a recording"),
    "bench kernels": ("engine.cli.bench_kernels", "fused kernels against their references"),
    "bench dit": ("engine.cli.bench_dit", "one forward pass against the counted floor"),
    "bench context": ("engine.cli.bench_context", "a forward pass shared by several devices"),
    "bench pipeline": ("engine.cli.bench_pipeline", "whole chunks, against diffusers"),
    "bench eightbit": ("engine.cli.bench_eightbit", "8-bit products: time and quality of a pack"),
    "bench train": ("engine.cli.bench_train", "a training step by stage"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = _command_name(arguments)
    try:
        try:
            return _overview(arguments) if name is None else _run(name, arguments)
        finally:
            sys.stdout.flush()  # a reader who has left is noticed here, not when Python ends
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left would raise again at the end
        return 141
    except (ValueError, OSError) as error:
        print(f"helios {name}: {_sentence(error)}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"helios {name}: {missing_module(error)}", file=sys.stderr)
        return 2


def _run(name: str, arguments: Sequence[str]) -> int:
    module = importlib.import_module(COMMANDS[name][0])
    parser = _parser(name, module.EXAMPLE)
    module.add_arguments(parser)
    # Settings of a recipe may stand before and after its options; subcommands rule that out.
    parse = parser.parse_intermixed_args if name == "train" else parser.parse_args
    return int(module.run(parse(arguments[len(name.split()) :])))


def _sentence(error: ValueError | OSError) -> str:
    """What the system says of a file, without its number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror.lower()}"
    return str(error)


def _command_name(arguments: list[str]) -> str | None:
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if len(arguments) >= words and name in COMMANDS:
            return name
    return None


def _parser(name: str, example: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"helios {name}",
        description=COMMANDS[name][1].capitalize() + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _overview(arguments: list[str]) -> int:
    asked = not arguments or arguments[0] in ("-h", "--help", "help")
    if arguments and arguments[0] == "--version":
        from importlib.metadata import version

        print(version("helios-engine"))
        return 0
    out = sys.stdout if asked else sys.stderr
    if not asked:
        print(f"helios: no command {' '.join(arguments[:2])!r}", file=out)
    if asked:
        print("Walk through worlds that a video diffusion transformer is generating.\n")
    print("usage: helios COMMAND [options]      helios COMMAND --help explains one\n", file=out)
    for name, (_, line) in COMMANDS.items():
        print(f"  {name:<15} {line}", file=out)
    if asked:
        print("\nexample:\n  helios play")
    return 0 if asked else 2
