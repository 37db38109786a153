"""A run's folder: what was run (config, git hash, machine), its metrics, its results.

config.json  metrics.jsonl  checkpoints/  best/  final/  samples/  done.json  lock
"""

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.durable import place_file


@dataclass(frozen=True)
class RunDir:
    """Paths of one run and the small files in it."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        return self.path / "best"

    @property
    def final(self) -> Path:
        return self.path / "final"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def done(self) -> bool:
        return (self.path / "done.json").exists()

    @property
    def begun(self) -> bool:
        """Whether a step has started here; a folder filled by hand knows none."""
        return (self.path / "config.json").exists()

    def open(self, config: dict[str, Any], on: dict[str, Any] | None = None) -> None:
        """Create the folder and note how it was started, on what machine; every start is one more
        entry."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / "config.json"
        starts = json.loads(path.read_text())["starts"] if path.exists() else []
        self._mend()
        starts.append({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **(on or machine())})
        write_json(path, {"config": config, "starts": starts})

    def _mend(self) -> None:
        """Cut off what a full disk or a power loss left of a last row: the next one would be glued
        to it."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)

    def finish(self, summary: dict[str, Any]) -> None:
        write_json(self.path / "done.json", summary)

    def log(self, row: dict[str, Any]) -> None:
        with (self.path / "metrics.jsonl").open("a") as out:
            out.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        path = self.path / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]


def write_json(path: Path, value: Any) -> None:
    """Replace `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(json.dumps(value, indent=1))
    place_file(partial, path)


DECISIVE = ("device", "kind", "cpu", "precision", "torch", "threads")
"""What of a machine decides whether a resume can be bit-exact."""


def machine(on: torch.device | None = None, precision: str = "fp32") -> dict[str, Any]:
    """What a run computes with: `on` a device (None = the best here), in a precision."""
    cuda = torch.cuda.is_available() if on is None else on.type == "cuda"
    device = torch.cuda.get_device_name(on) if cuda else platform.processor()
    return {
        "git": git_hash(),
        "host": platform.node(),
        "device": device or platform.machine(),
        "kind": "cuda" if cuda else "cpu",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "precision": precision,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def git_hash() -> str:
    """Commit of the source tree, with `+` when it has changes; `unknown` outside a checkout."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return out.stdout.strip() if out.returncode == 0 else "unknown"
