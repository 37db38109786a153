"""Softmax attention by the best backend for a shape, and packed sequences of unequal length.

torch's own choice is kept until `measure` has timed the backends for a shape on this device, or the
shape came by within `measuring`; from then on it takes the fastest. `save_table` and `load_table`
keep what was measured, by device. Not here: what a CPU does with few tokens
(helios_core.attention), when a world's shapes are measured (engine.warm_up).

Dimensions: B batch, H heads, N queries, K keys, W head width; S packed tokens of all sequences.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


MOST_SCORES = 2**30
"""On a GPU the plain formula, which keeps every score, is not tried beyond so many of them."""


class Shape(NamedTuple):
    """What the choice of a backend depends on."""

    device: str
    dtype: str
    batch: int
    heads: int
    queries: int
    keys: int
    width: int
    masked: bool
    gradient: bool


_table: dict[Shape, str] = {}
_notes: list[tuple[Callable, dict[Shape, str]]] = []
"""Of `measuring`: how to time, and which backends were taken."""


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention on [B,H,N,W] with keys and values [B,H,K,W]; mask True = may look."""
    if _notes:
        _note(query, key, value, mask)
    name = _table.get(shape_of(query, key, mask)) if _table else None
    if name is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    with sdpa_kernel(BACKENDS[name]):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def shape_of(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Shape:
    """The table's key for these tensors."""
    device = query.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    batch, heads, queries, width = query.shape
    dtype = str(query.dtype).removeprefix("torch.")
    gradient = torch.is_grad_enabled() and query.requires_grad
    return Shape(
        name, dtype, batch, heads, queries, key.shape[2], width, mask is not None, gradient
    )


def measure(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, timed: Callable
) -> dict[str, float]:
    """Time every backend that takes the shape, by `timed(call) -> seconds`; keep the fastest."""
    times = {}
    scores = query.shape[:3].numel() * key.shape[2]
    for name, backend in BACKENDS.items():
        if name == "math" and query.device.type == "cuda" and scores > MOST_SCORES:
            continue

        def call(backend: SDPBackend = backend) -> Tensor:
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

        try:
            call()
        except RuntimeError:  # the backend does not take this shape, dtype or device
            continue
        times[name] = timed(call)
    if not times:
        raise ValueError(f"no attention backend takes {shape_of(query, key, mask)}")
    _table[shape_of(query, key, mask)] = min(times, key=lambda name: times[name])
    return times


@contextmanager
def measuring(timed: Callable) -> Iterator[dict[Shape, str]]:
    """Within it, a shape that nobody measured is measured when it comes. Gives the backends that
    were taken, by shape."""
    taken: dict[Shape, str] = {}
    _notes.append((timed, taken))
    try:
        yield taken
    finally:
        _notes.pop()


def _note(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    timed, taken = _notes[-1]
    shape = shape_of(query, key, mask)
    if shape not in _table:
        measure(query, key, value, mask, timed)
    taken[shape] = _table[shape]


def forget() -> None:
    """Back to torch's own choice for every shape."""
    _table.clear()


def save_table(path: Path) -> None:
    """Write what was measured."""
    path.write_text(json.dumps([[*shape, name] for shape, name in _table.items()], indent=1))


def load_table(path: Path) -> int:
    """Take over what was measured before; returns how many shapes."""
    rows = json.loads(path.read_text())
    for *shape, name in rows:
        if name not in BACKENDS or len(shape) != len(Shape._fields):
            raise ValueError(f"{path}: not a table of attention backends; measure it again")
        _table[Shape(*shape)] = name
    return len(rows)


def packed_attention(query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int]) -> Tensor:
    """Attention [S,H,W] within each of several sequences laid end to end, as pyramid stages are.

    One call of torch's variable-length attention for half precision on CUDA; else one by one.
    """
    if sum(lengths) != query.shape[0]:
        raise ValueError(f"sequences of {sum(lengths)} tokens in all, but {query.shape[0]} given")
    if query.device.type == "cuda" and query.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        ends = torch.tensor([0, *lengths], device=query.device).cumsum(0).int()
        longest = max(lengths)
        return varlen_attn(query, key, value, ends, ends, longest, longest)  # type: ignore
    parts = (part.split(list(lengths)) for part in (query, key, value))
    return torch.cat([_one_sequence(*part) for part in zip(*parts, strict=True)])


def _one_sequence(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    q, k, v = (part.transpose(0, 1).unsqueeze(0) for part in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1)
