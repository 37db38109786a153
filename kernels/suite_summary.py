"""The suite's JSON lines as one Markdown page.

python kernels/suite_summary.py RESULTS > summary.md
"""

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

PARTS = ("tests", "pipeline", "kernels", "dit", "train", "context", "sanitizer", "compiled")
LEFT_OUT = ("hardware", "bench", "rows", "kernels", "attention", "ceilings")


def main(folder: Path) -> int:
    """Print every part that left a JSON file, and how each ended, or that it did not begin."""
    print(f"# GPU suite, {date.today()}\n")
    for name in PARTS:
        path = folder / f"{name}.json"
        print(f"## {name}\n")
        log = path.with_suffix(".log")
        last = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
        ends = [line for line in last if not line.startswith("{")]
        print("; ".join(ends) if ends else "Not run.", end="\n\n")
        if not path.exists():
            continue
        report = json.loads(path.read_text())
        settings = {k: v for k, v in report.items() if k not in LEFT_OUT}
        for values in (report["hardware"], settings, report.get("ceilings", {})):
            print(", ".join(f"{k} {v}" for k, v in values.items()), end="\n\n")
        for key in ("rows", "kernels", "attention"):
            print_table(report.get(key, []))
    return 0


def print_table(rows: list[dict[str, Any]]) -> None:
    """One Markdown table; columns in the order in which they first appear."""
    if not rows:
        return
    flat = [flatten(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in flat:
        print("| " + " | ".join(str(row.get(column, "")) for column in columns) + " |")
    print()


def flatten(row: dict[str, Any]) -> dict[str, Any]:
    """Nested numbers as `outer inner`."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            out |= {f"{key} {inner}": number for inner, number in value.items()}
        else:
            out[key] = value
    return out


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
