"""`helios record`: clips of any Gymnasium game, by a policy or by hand."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helios_core.actions import ActionSpec
    from training.clips.policies import Policy

EXAMPLE = "helios record --env freedoom --policy random --episodes 20 --out clips/doom"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help="a shipped game's name, or a Gymnasium id")
    parser.add_argument("--mapping", default="", help="YAML file that names the game's channels")
    parser.add_argument(
        "--policy", default="random", help="random, scripted, or a Python file (default: random)"
    )
    parser.add_argument("--actions", default="", help="script file of the scripted policy")
    parser.add_argument("--play", action="store_true", help="play it yourself in a window")
    parser.add_argument("--episodes", type=int, default=10, help="episodes when done (default: 10)")
    parser.add_argument("--frames", type=int, default=600, help="frames per episode at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="folder of the data set; appended to")


def run(args: argparse.Namespace) -> int:
    from training.clips.recorder import RecordConfig, record
    from training.worlds.games.mapping import load_mapping

    mapping = load_mapping(args.mapping or args.env)
    config = RecordConfig(
        out=args.out,
        episodes=args.episodes,
        frames=args.frames,
        policy=args.policy,
        seed=args.seed,
    )
    if args.play:
        from engine.present.hand import record_by_hand

        return record_by_hand(mapping, config)
    player = _scripted(args.actions, mapping.spec) if args.policy == "scripted" else None
    frames = record(mapping, config, player=player, progress=_show)
    print(f"\n{frames} frames recorded into {args.out}")
    return 0


def _show(done: int, total: int) -> None:
    bar = "#" * (24 * done // total)
    print(f"\rrecord [{bar:<24}] {done}/{total} episodes", end="", file=sys.stderr, flush=True)


def _scripted(path: str, spec: "ActionSpec") -> "Policy":
    """The script's track, repeated for ever."""
    from engine.input.scripted import ScriptedInput
    from training.clips.policies import repeat

    if not path:
        raise ValueError("the scripted policy wants --actions FILE")
    script = ScriptedInput.read(path, spec)
    track = spec.zeros(script.frames)
    for action in script.actions:
        end = action.first_frame + action.frames
        track[action.first_frame : end, spec.index(action.channel)] = action.value
    return repeat(track)
