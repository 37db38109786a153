"""Every Triton kernel compiles for an H200 (sm_90), which needs no GPU. Run alone with pytest."""

import subprocess
import sys

import pytest

CODE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from kernels.fused import activation, average, heads, quantise, residual

POINTERS = {"mean_out": "*fp32", "rstd_out": "*fp32", "mean_in": "*fp32", "rstd_in": "*fp32",
            "gate": "*fp32", "factor": "*fp32", "shift": "*fp32", "table": "*fp32",
            "growth": "*fp32", "scales": "*fp32", "average": "*fp32", "weight": "*fp32"}
for name in ("x", "y", "total", "normed", "d_total", "d_normed", "d_x", "d_y", "out", "d_out"):
    POINTERS[name] = "*bf16"
for name in ("d_sum", "d_gate", "d_factor", "d_shift", "d_even", "d_odd", "d_growth"):
    POINTERS[name] = "*fp32"
FLOATS = ("eps", "limit", "smallest", "keep")

def check(kernel, constants, **changes):
    names = kernel.arg_names
    kinds = {**POINTERS, **changes}
    plain = {n: "fp32" if n in FLOATS else "i32" for n in names}
    sizes = {n for n in names if n not in constants and n not in kinds and plain[n] == "i32"}
    ones = dict.fromkeys(sizes, 1)  # a size of 1 is compiled in
    for known in (constants, {**constants, **ones}):
        signature = {n: "constexpr" if n in known else kinds.get(n, plain[n]) for n in names}
        source = ASTSource(kernel, signature, {(names.index(k),): v for k, v in known.items()})
        triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    print(kernel.fn.__module__, kernel.fn.__name__)

flags = {"HAS_Y": True, "HAS_GATE": True, "HAS_NORM": True, "ADD_ONE": True, "BLOCK": 8192}
check(residual._forward, flags)
check(residual._backward_tokens, {**flags, "HAS_TOTAL": True})
check(residual._backward_rows, {"HAS_GATE": True, "HAS_NORM": True, "TOKENS": 16, "COLUMNS": 128})
grown = {"HAS_TABLE": True, "HAS_GROWTH": True}
check(heads._forward, {**grown, "BLOCK": 8192})
check(heads._backward_tokens, {**grown, "BLOCK": 8192})
check(heads._backward_sums, {**grown, "TOKENS": 16, "PAIRS": 64})
check(activation._forward, {"BLOCK": 2048})
check(activation._backward, {"BLOCK": 2048})
rows = {"HAS_NORM": True, "BLOCK": 8192}
check(quantise._quantise, {**rows, "WHOLE": False}, out="*fp8e4nv")
check(quantise._quantise, {**rows, "WHOLE": True}, out="*i8")
check(average._average, {"BLOCK": 4096}, weight="*bf16")
"""


def test_kernels_compile_for_hopper(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    pytest.importorskip("triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=200, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(result.stdout.splitlines()) == 11
