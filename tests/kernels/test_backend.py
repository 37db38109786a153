"""Which implementation is taken, and that asking for the impossible is said.

Run: `pytest tests/kernels/test_backend.py`.
"""

import subprocess
import sys

import pytest
import torch

from helios_core.fingerprint import kernels_backend
from kernels.backend import VARIABLE, picked, using
from kernels.norm import Rows, norm_modulate

CPU = torch.device("cpu")


def test_the_cpu_takes_the_reference() -> None:
    assert picked(CPU) == kernels_backend(CPU) == "reference"


def test_triton_is_not_replaced_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    x = torch.randn(1, 3, 8)
    with using("triton"), pytest.raises(ValueError, match="CUDA"):
        norm_modulate(x, x[:, :1], x[:, :1], Rows(0, 3), 1e-6)


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "fastest")
    with pytest.raises(ValueError, match="auto, reference, triton"):
        picked(CPU)
    monkeypatch.setenv(VARIABLE, "reference")
    assert picked(torch.device("cuda")) == "reference"


def test_no_module_beside_the_kernels_needs_triton() -> None:
    names = "backend, ema, gelu, heads, norm, quantise, rotary"
    code = f"import sys; sys.modules['triton'] = None; from kernels import {names}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
