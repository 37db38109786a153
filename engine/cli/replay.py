"""`helios replay`: a recording made again, exactly or with something else done."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.rollouts.counterfactual import Change
    from engine.rollouts.reader import RolloutDataset

EXAMPLE = """helios replay runs/first --verify
  helios replay runs/first --edit edits.yaml --out runs/edited
  helios replay runs/first --branch 3 --vary seed --from 40 --out runs/branched"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("rollout", type=Path, help="folder of a recording")
    add("--episode", type=int, metavar="N", help="one episode (default: all, or 0 for a change)")
    add("--pack", default="", help="the pack it was recorded with, if not found by its name")
    add("--device", default="cpu", help="cpu or cuda")
    add("--verify", action="store_true", help="fail if a frame differs under the same fingerprint")
    add("--edit", type=Path, metavar="FILE.yaml", help="make it again with these edits")
    add("--actions", type=Path, metavar="FILE", help="... with these actions, .npy or .csv")
    add("--from", type=int, metavar="FRAME", dest="frame", help="frame at which a change begins")
    add("--branch", type=int, default=0, metavar="N", help="make N alternatives")
    add("--vary", choices=["seed", "action"], default="seed", help="by what they differ")
    add("--out", type=Path, metavar="DIR", help="record changes there, not in the same dataset")
    add("--video", type=Path, metavar="FILE.mp4", help="parent and changes side by side")


def run(args: argparse.Namespace) -> int:
    from engine.rollouts.counterfactual import check_target
    from engine.rollouts.reader import RolloutDataset

    _check_names(args)
    data = RolloutDataset.open(args.rollout)
    if not data.episodes:
        raise ValueError(f"{args.rollout} has no episodes yet")
    if sum([args.edit is not None, args.actions is not None, args.branch > 0]) > 1:
        raise ValueError("choose one of --edit, --actions and --branch")
    first = 0 if args.episode is None else args.episode
    data.columns(first)  # an episode that is not there is an error before a pack is loaded
    if args.edit or args.actions or args.branch:
        check_target(args.out or args.rollout, data)
        return _change(args, data, _changes(args, data, first), first)
    if args.frame is not None:
        raise ValueError("--from says where a change begins: add --edit, --actions or --branch")
    world = _world(args, data, first)
    episodes = range(len(data.episodes)) if args.episode is None else [args.episode]
    return max(_verify(args, data, world, episode) for episode in episodes)


def _check_names(args: argparse.Namespace) -> None:
    """What is wrong with the arguments themselves, before an episode is made and kept."""
    if args.branch < 0:
        raise ValueError(f"--branch {args.branch}: ask for at least 1")
    if args.video is not None:
        from engine.video import check_name

        check_name(args.video)


def _world(args: argparse.Namespace, data: "RolloutDataset", episode: int) -> Any:
    from engine.cli.counting import loading_bar
    from engine.warm_up import warm_up
    from helios_core.packs import load_world

    source = data.episodes[episode].header.source
    pack = args.pack or source.get("pack")
    if not pack:
        raise ValueError("this episode names no pack, so nothing can replay it")
    then = dict(source.get("fingerprint", {}))  # the same bits want the same dtype and threads
    threads = str(then.get("threads", ""))
    world = load_world(
        pack,
        device=args.device,
        dtype=then.get("dtype") if pack != "null" else None,
        threads=int(threads) if threads.isdigit() else None,
        eight_bits=then.get("products"),
        # Compiling makes the bits of the GPU that it was done for; a CPU has others either way.
        compile=then.get("compile") == "codec" and args.device.startswith("cuda"),
    )
    warm_up(world, on_progress=loading_bar())  # its attention, too, is then the one of play
    return world


def _verify(args: argparse.Namespace, data: "RolloutDataset", world: Any, episode: int) -> int:
    from engine.rollouts.replay import verify

    result = verify(world, data, episode)
    if result.identical:
        print(f"episode {episode}: {result.frames} frames, all identical")
        return 0
    print(
        f"episode {episode}: {result.differing} of {result.frames} frames differ, the first is "
        f"{result.first_difference}; lowest PSNR against the video {result.psnr:.1f} dB"
    )
    for name, (then, now) in result.fingerprint.items():
        print(f"  {name} was {then}, is {now}: identical bits are not to be expected")
    return 1 if args.verify and result.comparable else 0


def _change(
    args: argparse.Namespace, data: "RolloutDataset", changes: "list[Change]", episode: int
) -> int:
    from engine.cli.counting import Counting
    from engine.rollouts.counterfactual import branch, open_writer, side_by_side

    world = _world(args, data, episode)
    progress = Counting("branch", "changes")
    made = []
    with open_writer(args.out or args.rollout, data, world) as writer:
        for i, change in enumerate(changes):
            progress(i, len(changes))
            made.append(branch(world, data, episode, change=change, writer=writer))
    progress(len(changes), len(changes))
    progress.close()
    writer.raise_if_failed()
    numbers = ", ".join(str(m.episode) for m in made)
    where = args.out or args.rollout
    print(f"recorded episode {numbers} in {where}, from frame {made[0].first} of {episode}")
    video = args.video or Path(where) / f"side-by-side-{made[0].episode}.mp4"
    side_by_side(video, [made[0].parent_frames, *(m.frames for m in made)], fps=data.spec.fps)
    print(f"side by side: {video}")
    return 0


def _changes(args: argparse.Namespace, data: "RolloutDataset", episode: int) -> "list[Change]":
    """What is to be other, read and checked before a pack is loaded."""
    from engine.rollouts.counterfactual import Change, check_frame, variations
    from engine.rollouts.edits import read_actions, read_edits

    edits = tuple(read_edits(args.edit)) if args.edit else ()
    begin = min((e.first for e in edits), default=0)
    frame = begin if args.frame is None else args.frame
    check_frame(data, episode, frame)
    if args.edit:
        return [Change(frame=frame, edits=edits, facts={"edits": str(args.edit)})]
    if args.actions:
        actions = read_actions(args.actions, data.spec.actions)
        return [Change(frame=frame, actions=actions, facts={"actions": str(args.actions)})]
    return variations(data, episode, frame=frame, count=args.branch, vary=args.vary)
