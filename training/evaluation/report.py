"""What an evaluation leaves behind: JSON, plots, and videos of truth and world side by side.

    report = Report(folder)
    report.figure("fidelity.next_chunk_psnr", figure)
    report.curve("fidelity", {"world": values, "repeat": values}, "frame", "PSNR (dB)")
    report.side_by_side("walk", truth, made, fps=20)

F frames, H W pixels.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from engine.contact_sheet import tiled
from training.evaluation.statistics import Figure
from training.pictures import write_png
from training.trainer.rundir import write_json


class Report:
    """The folder of one evaluation."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.figures: dict[str, Figure] = {}
        self.notes: dict[str, Any] = {}

    def figure(self, name: str, figure: Figure) -> None:
        """Keep and print one figure."""
        self.figures[name] = figure
        print(f"  {name:<40} {figure}", flush=True)

    def note(self, name: str, value: Any) -> None:
        """Keep anything else that a reader needs, such as a judge's own exam."""
        self.notes[name] = value

    def save(self, **facts: Any) -> Path:
        """Write everything as one JSON file. Of what was measured before in the folder, other
        suites' figures of the same pack are kept: what is measured anew leaves nothing of before,
        nor does another pack, whose figures would pass for this one's."""
        path = self.folder / "evaluation.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        known, mine = before.get("pack_hash"), facts.get("pack_hash")
        if known and mine and known != mine:
            print(f"  {path} held figures of another pack: dropped", flush=True)
            before = {}
        figures = {name: figure.to_dict() for name, figure in self.figures.items()}
        anew = {_suite(name) for name in (*figures, *self.notes)}

        def kept(kind: str) -> dict[str, Any]:
            return {k: v for k, v in before.get(kind, {}).items() if _suite(k) not in anew}

        body = {
            **before,
            **facts,
            "figures": kept("figures") | figures,
            "notes": kept("notes") | self.notes,
        }
        write_json(path, body)
        return path

    def curve(
        self, name: str, curves: Mapping[str, Sequence[float] | np.ndarray], x: str, y: str,
        *, step: float = 1.0,
    ) -> None:  # fmt: skip
        """One plot of some curves."""
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        drawn, axes = plt.subplots(figsize=(6, 3.4), constrained_layout=True)
        for label, values in curves.items():
            axes.plot(np.arange(len(values)) * step, values, label=label, linewidth=1.6)
        axes.set(xlabel=x, ylabel=y)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if len(curves) > 1:
            # Above the axes, where no curve can run behind it.
            axes.legend(frameon=False, ncols=len(curves), loc="lower left", bbox_to_anchor=(0, 1))
        drawn.savefig(self.folder / f"{name}.png", dpi=110)
        plt.close(drawn)

    def side_by_side(
        self, name: str, *clips: np.ndarray, fps: int, rows: int = 1, scale: int = 2
    ) -> None:
        """An mp4 of clips [F, H, W, 3] beside each other (or [rows, F, H, W, 3] above too)."""
        stacks = [clip if clip.ndim == 5 else clip[None] for clip in clips]
        frames = np.concatenate([np.concatenate(list(s[:rows]), 1) for s in stacks], 2)
        frames = frames.repeat(scale, 1).repeat(scale, 2)
        write_video(self.folder / f"{name}.mp4", frames, fps)

    def sheet(self, name: str, pictures: np.ndarray, columns: int) -> None:
        """A contact sheet of pictures [M, H, W, 3]."""
        write_png(self.folder / f"{name}.png", tiled(list(pictures), columns))


def _suite(name: str) -> str:
    """The suite that a figure or note is of."""
    return name.partition(".")[0]


def write_video(path: Path, frames: np.ndarray, fps: int) -> None:
    """uint8 [F, H, W, 3] as H.264."""
    height, width = (size // 2 * 2 for size in frames.shape[1:3])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in frames[:, :height, :width]:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
