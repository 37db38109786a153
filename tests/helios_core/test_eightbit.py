"""8-bit products of the block linears. Run: `pytest tests/helios_core/test_eightbit.py`."""

import copy

import pytest
import torch
from torch import nn

from helios_core.eightbit import Linear8, compare, use_eight_bits
from kernels.matmul8 import product8
from kernels.quantise import FP8, quantise_rows
from tests.helios_core.test_model import TINY, inputs_of, model_of


@pytest.mark.parametrize(("kind", "bound"), [(FP8, 0.1), (torch.int8, 0.03)])
def test_a_product_is_near_and_scales_are_by_row(kind: torch.dtype, bound: float) -> None:
    torch.manual_seed(0)
    x, w, bias = torch.randn(5, 64), torch.randn(7, 64), torch.randn(7)
    x[2] *= 1000
    w[3] *= 1e-3
    got = product8(*quantise_rows(x, kind), *quantise_rows(w, kind), bias, torch.float32)
    wanted = x.double() @ w.double().T
    error = (got - bias - wanted).norm(dim=1) / wanted.norm(dim=1)
    assert error.max() < bound
    (qx, sx), (qw, sw) = quantise_rows(x, kind), quantise_rows(w, kind)
    product = (qx.double() * sx) @ (qw.double() * sw).T + bias
    torch.testing.assert_close(got.double(), product, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("kind", "bound"), [("fp8", 0.1), ("int8", 0.05)])
def test_quality_report(kind: str, bound: float) -> None:
    model, inputs = model_of(TINY), inputs_of(TINY, batch=1)
    eight = use_eight_bits(copy.deepcopy(model), kind)
    assert not any(isinstance(m, nn.Linear) for m in eight.blocks.modules())
    assert sum(isinstance(m, Linear8) for m in eight.modules()) == 10 * TINY.layers
    report = compare(model, eight, inputs, lambda m: m(**inputs), lambda x: x / x.abs().max())
    assert len(report["layers"]) == TINY.layers
    assert all(0 < e < bound for e in [*report["layers"], report["output"], report["trajectory"]])
    assert report["psnr"] > 30
    same = compare(model, model, inputs)
    assert same["output"] == 0


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="fp8, int8"):
        use_eight_bits(model_of(TINY), "fp4")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [FP8, torch.int8])
def test_products_on_a_gpu_equal_the_definition(kind: torch.dtype) -> None:
    x, w = (torch.randn(n, 128, device="cuda") for n in (64, 96))
    given = (*quantise_rows(x, kind), *quantise_rows(w, kind))
    got = product8(*given, None, torch.bfloat16).float().cpu()
    wanted = product8(*(part.cpu() for part in given), None, torch.float32)
    assert (got - wanted).norm() / wanted.norm() < 6e-3
