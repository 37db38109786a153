"""Which implementation a kernel runs: the plain-torch reference, or Triton.

`auto` takes Triton for CUDA tensors and the reference everywhere else; inside `torch.compile` it
takes the reference, which the compiler fuses by itself. Asking for Triton where it cannot run is
an error, never a quiet reference. Importing this needs no Triton.

    HELIOS_KERNELS=reference helios play      # or, in code:  with using("reference"): ...
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

CHOICES = ("auto", "reference", "triton")
VARIABLE = "HELIOS_KERNELS"
_asked: str | None = None


def asked() -> str:
    """What was asked for: by `using`, else by the environment, else `auto`."""
    name = _asked or os.environ.get(VARIABLE, "auto")
    if name not in CHOICES:
        raise ValueError(f"{VARIABLE} = {name!r}: give one of {', '.join(CHOICES)}")
    return name


@contextmanager
def using(name: str) -> Iterator[None]:
    """Run the block with one implementation; for comparisons and tests."""
    global _asked
    if name not in CHOICES:
        raise ValueError(f"kernels {name!r}: give one of {', '.join(CHOICES)}")
    before, _asked = _asked, name
    try:
        yield
    finally:
        _asked = before


def picked(device: torch.device) -> str:
    """`reference` or `triton`, for tensors on this device."""
    name = asked()
    if name == "reference" or device.type == "meta":
        return "reference"
    if name == "triton":
        _check_can_run(device)
        return "triton"
    return "triton" if device.type == "cuda" and has_triton() else "reference"


def uses_triton(x: Tensor) -> bool:
    """Whether a kernel on this tensor goes to Triton."""
    if torch.compiler.is_compiling():
        return False
    return picked(x.device) == "triton"


@cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def interpreted() -> bool:
    """Whether Triton kernels run in its interpreter, on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _check_can_run(device: torch.device) -> None:
    if not has_triton():
        raise ValueError(f"{VARIABLE} = triton, but it is not installed: pip install triton")
    if device.type != "cuda" and not interpreted():
        raise ValueError(
            f"Triton kernels were asked for on {device.type}: use a CUDA device, "
            f"{VARIABLE}=auto, or TRITON_INTERPRET=1 to test them slowly"
        )
