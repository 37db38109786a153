"""`helios timeline`: a scene's prompts, timeline and possible triggers as a picture."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.scenes.draw import Sheet

EXAMPLE = "helios timeline demos/waiting_storm.yaml --out storm.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", type=Path, help="a scene file")
    parser.add_argument("--out", type=Path, help="an .svg or .png; beside you if not given")
    parser.add_argument("--fps", type=int, default=20, help="for times that are given in frames")


def run(args: argparse.Namespace) -> int:
    from engine.scenes.draw import timeline_sheet
    from engine.scenes.load import load_scene
    from engine.scenes.packs import pack_facts

    out = args.out or Path(f"{args.scene.stem}.timeline.svg")
    if out.suffix not in (".svg", ".png"):
        raise ValueError(f"{out} is neither an .svg nor a .png")
    if not 1 <= args.fps <= 240:
        raise ValueError("--fps is a number from 1 to 240")
    sheet = timeline_sheet(load_scene(args.scene, packs=pack_facts).scene, args.fps)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(sheet.svg().encode() if out.suffix == ".svg" else _png(sheet))
    print(f"wrote {out} ({sheet.width}×{sheet.height})")
    return 0


def _png(sheet: "Sheet") -> bytes:
    """The same marks drawn with pygame, which is there for the window anyway; needs no display."""
    import io
    import os

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame
    import pygame.freetype

    from engine.scenes.draw import PAPER

    pygame.freetype.init()
    font = pygame.freetype.SysFont("dejavusans,liberationsans,arial,sans", 12)
    surface = pygame.Surface((sheet.width, sheet.height))
    surface.fill(PAPER)
    for mark in sheet.marks:
        if mark.kind == "text":
            font.render_to(surface, (mark.x, mark.y), mark.text, mark.colour, size=mark.size)
        elif mark.kind == "rect":
            box = pygame.Rect(round(mark.x), round(mark.y), round(mark.w), round(mark.h))
            pygame.draw.rect(surface, mark.colour, box, border_radius=3)
        else:
            end = (mark.x + mark.w, mark.y + mark.h)
            pygame.draw.line(surface, mark.colour, (mark.x, mark.y), end)
    file = io.BytesIO()
    pygame.image.save(surface, file, "timeline.png")
    return file.getvalue()
