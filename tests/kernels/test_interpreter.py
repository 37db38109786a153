"""Start the Triton tests through Triton's interpreter where there is no GPU.

In a process of its own: the interpreter is chosen by the environment when Triton is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def test_kernels_equal_their_references() -> None:
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("the same tests run compiled on this machine: pytest -m gpu")
    command = [sys.executable, "-m", "pytest", "-m", "", "-p", "no:cacheprovider"]
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTEST_ADDOPTS": ""}
    result = subprocess.run(
        [*command, "tests/kernels/test_triton.py"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout and "skipped" not in result.stdout
