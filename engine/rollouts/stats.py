"""LeRobot's statistics of a dataset, merged part by part.

Policies normalise by `meta/stats.json`. Each part's numbers are kept, and the dataset's are merged
from them, so that publishing a part twice (after a crash between two renames) changes nothing.
Quantiles merge as frame-weighted means, as LeRobot's own aggregation does.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from engine.rollouts.spec import CAMERA

Stats = dict[str, dict[str, list]]
QUANTILES = (1, 10, 50, 90, 99)


def column_stats(table: pa.Table, names: Sequence[str]) -> Stats:
    """min, max, mean, std, count and quantiles of the numeric columns named."""
    found = {}
    for name in names:
        column = table[name].combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            values = column.flatten().to_numpy().reshape(len(column), -1)
        else:
            values = column.to_numpy(zero_copy_only=False).reshape(-1, 1)
        found[name] = _describe(values.astype(np.float64), (-1,))
    return found


def image_stats(frames: np.ndarray) -> Stats:
    """Statistics per colour of sampled frames [F, H, W, 3], in 0..1, shaped as LeRobot wants."""
    pixels = frames.reshape(-1, 3).astype(np.float64) / 255
    found = _describe(pixels, (3, 1, 1))
    return {CAMERA: found | {"count": [len(frames)]}}


def _describe(values: np.ndarray, shape: tuple[int, ...]) -> dict[str, list]:
    """Over rows: values [R, n]."""
    found = {
        "min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0),
    }  # fmt: skip
    quantiles = np.quantile(values, [q / 100 for q in QUANTILES], axis=0)
    for q, row in zip(QUANTILES, quantiles, strict=True):
        found[f"q{q:02d}"] = row
    return {k: v.reshape(shape).tolist() for k, v in found.items()} | {"count": [len(values)]}


def merge_stats(parts: Sequence[Mapping[str, Mapping[str, list]]]) -> Stats:
    """The statistics of all parts together."""
    return {name: _merge([part[name] for part in parts]) for name in (parts[0] if parts else {})}


def _merge(rows: Sequence[Mapping[str, list]]) -> dict[str, list]:
    counts = np.array([row["count"][0] for row in rows], np.float64)
    arrays = {k: np.array([row[k] for row in rows], np.float64) for k in rows[0] if k != "count"}
    weights = (counts / counts.sum()).reshape(-1, *[1] * (arrays["mean"].ndim - 1))
    mean = (arrays["mean"] * weights).sum(0)
    spread = arrays["std"] ** 2 + (arrays["mean"] - mean) ** 2
    merged = {k: (v * weights).sum(0) for k, v in arrays.items() if k.startswith("q")}
    merged |= {
        "min": arrays["min"].min(0), "max": arrays["max"].max(0),
        "mean": mean, "std": np.sqrt((spread * weights).sum(0)),
    }  # fmt: skip
    return {k: v.tolist() for k, v in merged.items()} | {"count": [int(counts.sum())]}
