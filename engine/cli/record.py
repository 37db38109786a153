"""`helios record`: clips of any Gymnasium game, by a policy or by hand."""

import argparse
from typing import TYPE_CHECKING

from engine.cli.counting import Counting

if TYPE_CHECKING:
    from helios_core.actions import ActionSpec
    from training.clips.policies import Policy
    from training.clips.recorder import RecordConfig
    from training.worlds.games.mapping import GameMapping

EXAMPLE = """helios record --env freedoom --policy random --episodes 20 --out clips/doom
  helios record --env car-racing --play --frames 3000 --out clips/laps"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    game = parser.add_mutually_exclusive_group(required=True)
    game.add_argument("--env", default="", help="a shipped game's name, or its Gymnasium id")
    game.add_argument("--mapping", default="", help="YAML file that names a game and its channels")
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--policy", default="random", help="random, scripted, or a Python file (default: random)"
    )
    who.add_argument(
        "--play", action="store_true", help="play it yourself in a window; Escape ends and keeps"
    )
    parser.add_argument("--actions", default="", help="script file of the scripted policy")
    parser.add_argument("--episodes", type=int, default=10, help="episodes when done (default: 10)")
    parser.add_argument("--frames", type=int, default=600, help="frames per episode at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="folder of the data set; appended to")


def run(args: argparse.Namespace) -> int:
    from training.clips.recorder import RecordConfig, record
    from training.worlds.games.mapping import load_mapping

    if args.actions and (args.play or args.policy != "scripted"):
        raise ValueError("--actions is what --policy scripted plays; give both or neither")
    mapping = load_mapping(args.mapping or args.env)
    config = RecordConfig(
        out=args.out,
        episodes=args.episodes,
        frames=args.frames,
        policy=args.policy,
        seed=args.seed,
    )
    progress = Counting("record", "episodes")
    if args.play:
        frames = _by_hand(mapping, config, progress)
    else:
        player = _scripted(args.actions, mapping.spec) if args.policy == "scripted" else None
        frames = record(mapping, config, player=player, progress=progress)
    progress.close()
    print(f"{frames} frames recorded into {args.out}")
    return 0


def _by_hand(mapping: "GameMapping", config: "RecordConfig", progress: Counting) -> int:
    """Recorded while a human plays in a window."""
    from engine.cli.play import user_folder
    from engine.clock import RealClock
    from engine.hand import Hand, HandConfig, hand_bindings, layered_bindings
    from engine.input.bindings import read_user_bindings
    from engine.installation import check_installation

    check_installation()  # before pygame is imported, which two of its kind would break
    from engine.present.screen import ScreenConfig
    from engine.present.window import Window, WindowConfig
    from helios_core.world_api import WorldInfo
    from training.clips.recorder import record

    own = read_user_bindings(user_folder("config") / "bindings.yaml")
    bindings = hand_bindings(mapping.spec, game=mapping.bindings, user=own)
    height, width = mapping.height or 384, mapping.width or 640
    scale = max(1, min(1280 // width, 768 // height))
    screen = ScreenConfig(size=(width * scale, height * scale))
    clock = RealClock()
    window = Window(WindowConfig(screen=screen, sound=False), clock=clock.now)
    try:
        hand = Hand(
            window,
            bindings,
            HandConfig(spec=mapping.spec, fps=mapping.fps, name=mapping.env),
            clock=clock,
        )
        info = WorldInfo(
            name=mapping.env, fps=mapping.fps, chunk_frames=1, height=height, width=width,
            spec=mapping.spec, layout="streamed", pack_hash="",
        )  # fmt: skip
        defaults = layered_bindings(mapping.spec, game=mapping.bindings)
        window.enter_world(info, bindings, defaults=defaults, on_bindings=hand.mapper.rebind)
        return record(mapping, config, player=hand, progress=progress)
    finally:
        window.close()


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
