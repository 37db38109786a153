"""Every Triton kernel against its reference in float64, value and gradient.

On a GPU they run compiled, in fp32, fp16 and bf16; elsewhere through Triton's interpreter, in fp32
and fp16 (bf16 is wrong there). `tests/kernels/test_interpreter.py` starts this file that way.
Run alone: `TRITON_INTERPRET=1 pytest -m '' tests/kernels/test_triton.py`.
"""

import os

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")
COMPILED = torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1"
if not COMPILED and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)
pytestmark = [pytest.mark.gpu] if COMPILED else []

from kernels.backend import using  # noqa: E402
from kernels.ema import update_average  # noqa: E402
from kernels.gelu import gelu_tanh  # noqa: E402
from kernels.heads import norm_heads  # noqa: E402
from kernels.norm import (  # noqa: E402
    Rows,
    gated_residual,
    gated_residual_layer_norm,
    layer_norm,
    norm_modulate,
    residual_norm_modulate,
    rms_norm,
)
from kernels.quantise import FP8, norm_modulate_quantise, quantise_rows  # noqa: E402

DEVICE = "cuda" if COMPILED else "cpu"
DTYPES = [torch.float32, torch.float16] + ([torch.bfloat16] if COMPILED else [])
BOUND = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
ROWS = [Rows(0, 7), Rows(3, 4), Rows(7, 0), Rows(1, 2), Rows(5, 2)]
"""Of 7 tokens: one row, history and one row, history alone, one row per latent frame."""
N, D, EPS = 7, 24, 1e-6


def drawn(*shape: int, seed: int = 0, dtype=torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator).to(DEVICE, dtype)


def strided(*shape: int, seed: int = 0, dtype=torch.float32) -> Tensor:
    """The same as a view into a larger tensor."""
    wider = drawn(*shape[:-1], shape[-1] + 5, seed=seed, dtype=dtype)
    return wider[..., 2:-3]


def check(function, inputs: dict[str, Tensor | None], dtype: torch.dtype) -> None:
    """Triton's values and gradients against the reference's in float64."""
    fused = {k: v if v is None else v.detach().requires_grad_() for k, v in inputs.items()}
    exact = {k: v if v is None else v.detach().double().requires_grad_() for k, v in inputs.items()}
    with using("triton"):
        found = function(**fused)
    with using("reference"), as_double():
        wanted = function(**exact)
    found, wanted = (x if isinstance(x, tuple) else (x,) for x in (found, wanted))
    loss = wanted_loss = torch.zeros((), device=DEVICE, dtype=torch.float64)
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.shape == b.shape
        assert error(a, b) < BOUND[dtype], f"output {i}"
        by = drawn(*a.shape, seed=90 + i)
        loss, wanted_loss = loss + (a * by).double().sum(), wanted_loss + (b * by.double()).sum()
    loss.backward()
    wanted_loss.backward()
    for name, value in fused.items():
        if value is not None:
            assert value.grad.dtype == value.dtype
            assert error(value.grad, exact[name].grad) < 2 * BOUND[dtype], f"gradient of {name}"


def as_double():
    """The references compute in fp32; here `.float()` keeps float64."""
    patch = pytest.MonkeyPatch.context()

    class Doubled:
        def __enter__(self):
            self.patch = patch.__enter__()
            self.patch.setattr(Tensor, "float", lambda x: x.double())

        def __exit__(self, *problem):
            return patch.__exit__(*problem)

    return Doubled()


def error(a: Tensor, b: Tensor) -> float:
    a, b = a.detach(), b.detach()
    return float((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-9))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("batch", [1, 2])
def test_norm_modulate(rows: Rows, batch: int, dtype: torch.dtype) -> None:
    table = drawn(batch, rows.count(N), 3, D)
    given = {
        "x": strided(batch, N, D, dtype=dtype),
        "scale": table[:, :, 0],
        "shift": table[:, :, 2],
    }
    check(lambda **k: norm_modulate(**k, rows=rows, eps=EPS), given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
def test_gated_residual(rows: Rows, dtype: torch.dtype) -> None:
    given = {
        "x": strided(2, N, D, dtype=dtype),
        "y": drawn(2, N, D, seed=1, dtype=dtype),
        "gate": drawn(2, rows.count(N), D, seed=2),
    }
    check(lambda **k: gated_residual(**k, rows=rows), given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [0, 3])
def test_gated_residual_layer_norm(first: int, dtype: torch.dtype) -> None:
    rows = Rows(3, 2)
    given = {
        "x": drawn(2, N, D, dtype=dtype),
        "y": strided(2, N, D, seed=1, dtype=dtype),
        "gate": drawn(2, rows.count(N), D, seed=2),
        "weight": drawn(D, seed=3),
        "bias": drawn(D, seed=4),
    }
    call = lambda **k: gated_residual_layer_norm(**k, rows=rows, eps=EPS, first=first)  # noqa: E731
    check(call, given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("width", [24, 33, 1])
def test_residual_norm_modulate(first: int, width: int, dtype: torch.dtype) -> None:
    rows = Rows(3, 4)
    given = {
        "x": drawn(2, N, width, dtype=dtype) + 2,
        "y": drawn(2, N - first, width, seed=1, dtype=dtype),
        "scale": drawn(1, 2, width, seed=2),
        "shift": drawn(1, 2, width, seed=3),
    }
    eps = 1e-2 if width == 1 else EPS
    check(lambda **k: residual_norm_modulate(**k, rows=rows, eps=eps, first=first), given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, D), (2, N, D), (3, 5, 2, 10)])
def test_affine_layer_norm(shape: tuple, dtype: torch.dtype) -> None:
    given = {
        "x": strided(*shape, dtype=dtype),
        "weight": drawn(shape[-1]),
        "bias": drawn(shape[-1]),
    }
    check(lambda **k: layer_norm(**k, eps=EPS), given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "width"), [(3, 8), (1, 2), (5, 6)])
@pytest.mark.parametrize("growing", ["none", "one", "each"])
@pytest.mark.parametrize("first", [False, True])
def test_norm_heads(heads, width, growing, first, dtype) -> None:
    growth = {"none": None, "one": drawn(1) + 3, "each": drawn(heads) + 3}[growing]
    table = drawn(N, width // 2, 2)
    given = {
        "x": strided(2, N, heads * width, dtype=dtype),
        "weight": drawn(heads * width, seed=1, dtype=dtype),
        "growth": growth,
    }

    def call(x, weight, growth):
        by = table.to(torch.float64) if x.dtype == torch.float64 else table
        return norm_heads(x, weight, heads, EPS, by, growth, 3, heads_first=first)

    check(call, given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rms_norm_without_rotation(dtype: torch.dtype) -> None:
    given = {"x": drawn(1, N, D, dtype=dtype), "weight": drawn(D, seed=1)}
    check(lambda **k: rms_norm(**k, eps=EPS), given, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 1025, 3)])
def test_gelu(shape: tuple, dtype: torch.dtype) -> None:
    check(gelu_tanh, {"x": 3 * drawn(*shape, dtype=dtype)}, dtype)


@pytest.mark.parametrize("dtype", [FP8, torch.int8])
@pytest.mark.parametrize("rows", [None, Rows(3, 4), Rows(1, 2)])
def test_quantise(rows: Rows | None, dtype: torch.dtype) -> None:
    x = strided(2, N, D)
    x[0, 0] = 0

    def call() -> tuple[Tensor, Tensor]:
        if rows is None:
            return quantise_rows(x, dtype)
        table = drawn(2, rows.count(N), 2, D)
        return norm_modulate_quantise(x, table[:, :, 0], table[:, :, 1], rows, EPS, dtype)

    with using("triton"):
        q, scale = call()
    with using("reference"):
        wanted, wanted_scale = call()
    torch.testing.assert_close(scale, wanted_scale, rtol=1e-5, atol=0)
    assert q.dtype == dtype and wanted.float().abs().max() > 100
    away = (q.float() - wanted.float()).abs()
    if dtype == FP8 and not COMPILED:  # the interpreter loses the carry of 127.8 to 128: 64
        assert ((away == 0) | (2 * q.float() == wanted.float())).all()
    else:  # a rounding that falls on the other side moves a number by one step, seldom
        assert away.max() <= (1 if dtype == torch.int8 else 32)
        assert (away > 0).float().mean() < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
def test_update_average(dtype: torch.dtype) -> None:
    averages = [drawn(5, 7), drawn(4099, seed=1)]
    weights = [drawn(5, 7, seed=2, dtype=dtype), drawn(4099, seed=3, dtype=dtype)]
    wanted = [0.9 * a.double() + 0.1 * w.double() for a, w in zip(averages, weights, strict=True)]
    with using("triton"):
        update_average(averages, weights, 0.9)
    for a, b in zip(averages, wanted, strict=True):
        assert error(a, b) < 1e-6
