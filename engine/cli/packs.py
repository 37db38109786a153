"""`helios packs list | info | import | verify`: the worlds on this machine.

helios packs info wilds
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLE = "helios packs import ~/checkpoints/Helios-Distilled --name helios"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="name, size and actions of every pack that is found")
    info = actions.add_parser("info", help="what a pack is, how it was trained and measured")
    info.add_argument("pack", help="a name or a folder")
    verify = actions.add_parser("verify", help="compare every tensor with its hash")
    verify.add_argument("pack", nargs="+", help="names or folders")
    imports = actions.add_parser("import", help="make a pack of a released checkpoint, in place")
    imports.add_argument("folder", type=Path, help="folder with model_index.json")
    imports.add_argument("--name", help="name of the pack (default: the folder's)")
    imports.add_argument("--height", type=int, default=384, help="pixels (default 384)")
    imports.add_argument("--width", type=int, default=640, help="pixels (default 640)")
    imports.add_argument("--into", type=Path, help="folder of packs (default: the user's)")


def run(args: argparse.Namespace) -> int:
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "info": _info,
        "verify": _verify,
        "import": _import,
    }
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from helios_core.packs import manifest as manifests
    from helios_core.packs.find import installed

    broken = 0
    for name, folder in installed().items():
        try:
            manifest = manifests.read(folder)
        except ValueError as error:
            print(f"{name:<16} unreadable: {error}")
            broken += 1
            continue
        size = f"{manifest.width}x{manifest.height} at {manifest.fps} fps"
        channels = ", ".join(manifest.spec.names) or "text only"
        print(f"{name:<16} {size:<20} {channels}\n{'':<16} {folder}")
    print(f"{'null':<16} {'built in':<20} draws your actions; for trying scenes and windows")
    print(f"{'random':<16} {'built in':<20} random weights; for trying the engine")
    return 1 if broken else 0


def _info(args: argparse.Namespace) -> int:
    from helios_core.packs import manifest as manifests
    from helios_core.packs.find import find
    from helios_core.packs.modules import source_of
    from helios_core.packs.verify import size_of

    folder = find(args.pack)
    manifest = manifests.read(folder)
    channels = [_channel(channel) for channel in manifest.spec.channels]
    sampler = {key: value for key, value in manifest.sampler.items() if value is not None}
    rows = {
        "name": manifest.name,
        "about": manifest.about,
        "licence": manifest.licence,
        "picture": f"{manifest.width}x{manifest.height} at {manifest.fps} frames per second",
        "chunk": f"{manifest.chunk_latents} latent frames, {manifest.layout}",
        "actions": ", ".join(channels) or "none: it plays by text",
        "presets": " | ".join(map(_preset, manifest.presets)) or "-",
        "views": len(manifest.views.texts) if manifest.views else "-",
        "sampler": ", ".join(f"{key} {value}" for key, value in sampler.items()),
        "base": manifest.base.name if manifest.base else "-",
        "folder": str(folder),
        "weights": f"{size_of(folder, manifest) / 2**20:.1f} MiB in {source_of(folder, manifest)}",
        "hash": manifest.hash(manifests.read_hashes(folder)),
    }
    for key, value in rows.items():
        print(f"{key:<10} {value}")
    if manifest.card:
        import yaml

        print("card")
        print(_indented(yaml.safe_dump(manifest.card, sort_keys=False, allow_unicode=True)))
    return 0


def _preset(preset: Any) -> str:
    return f"{preset.prompt} (from {preset.image})" if preset.image else preset.prompt


def _channel(channel: Any) -> str:
    if channel.kind == "button":
        return channel.name
    unit = f" {channel.unit}" if channel.unit else ""
    return f"{channel.name} {channel.low:g}..{channel.high:g}{unit}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())


def _verify(args: argparse.Namespace) -> int:
    from helios_core.packs.find import find
    from helios_core.packs.verify import verify

    for name in args.pack:
        count = verify(find(name), progress=_progress(f"verify {name}"))
        print(f"{name}: {count} tensors, every hash as it was when the pack was made")
    return 0


def _import(args: argparse.Namespace) -> int:
    from helios_core.packs.find import installed, user_folder
    from helios_core.packs.importing import import_released

    folder = import_released(
        args.folder,
        args.into or user_folder(),
        name=args.name,
        height=args.height,
        width=args.width,
        progress=_progress("import"),
    )
    known = installed().get(folder.name) == folder
    opens = folder.name if known else folder
    print(f"{folder}: the weights stay in {args.folder}; play it with `helios play --pack {opens}`")
    return 0


def _progress(name: str) -> Callable[[int, int], None]:
    """A progress line that appears with the first report."""
    from training.trainer.progress import Progress

    bars: list[Progress] = []

    def report(done: int, total: int) -> None:
        if not bars:
            bars.append(Progress(name, total))
        bars[0].update(done)
        if done == total:
            bars[0].close()

    return report
