"""The pretended GPU refuses what a GPU refuses, and lets pass what one lets pass."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.training.pretend_cuda import pretending


@pytest.fixture(autouse=True)
def _gpu():
    with pretending():
        yield


def here(*shape):
    return torch.ones(*shape, device="cuda")


def test_results_say_where_they_are():
    x = here(2)
    assert x.device == torch.device("cuda:0") and x.is_cuda and not x.is_cpu
    made = [x + 1, x[0], x.flatten(), x.new_zeros(3), torch.zeros_like(x), x.view(1, 2), -x]
    made += [x.detach(), x.sum(), torch.cat([x, x]), *x.chunk(2), x.max(0).values, x.double()]
    for y in made:
        assert y.is_cuda
    assert not x.cpu().is_cuda and not x.to("cpu").is_cuda and not torch.ones(2).is_cuda
    assert not torch.zeros_like(x, device="cpu").is_cuda


def test_modules_move_and_gradients_are_where_their_parameters_are():
    layer = nn.Linear(2, 2).to("cuda")
    assert layer.weight.is_cuda and all(v.is_cuda for v in layer.state_dict().values())
    layer(here(1, 2)).sum().backward()
    assert layer.weight.grad.is_cuda
    with pytest.raises(RuntimeError, match="same device"):
        layer(torch.ones(1, 2))
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    assert layer.weight.is_cuda
    assert not layer.cpu().weight.is_cuda


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: torch.cat([x, y]),
        lambda x, y: torch.stack([x.sum(), y.sum()]),
        lambda x, y: x + y,
        lambda x, y: y * x.sum(),
        lambda x, y: torch.where(y > 0, x, x),
        lambda x, y: torch.searchsorted(x, y),
        lambda x, y: x.gather(0, y.long()),
        lambda x, y: x.scatter_(0, y.long() * 0, x),
        lambda x, y: x.index_select(0, y.long()),
        lambda x, y: y[x.long() - 1],
        lambda x, y: x.__setitem__(y.long() - 1, y),
        lambda x, y: y.add_(x),
        lambda x, y: functional.mse_loss(x, y),
    ],
)
def test_two_devices_are_refused(call):
    with pytest.raises(RuntimeError):
        call(here(2), torch.ones(2))


def test_what_is_allowed_passes():
    x, y = here(2), torch.ones(2)
    assert (x * torch.tensor(2.0)).is_cuda
    assert torch.where(x > 0, x, torch.tensor(1.0)).is_cuda
    assert x[y.long()].is_cuda and x[y > 0].is_cuda
    x[:1] = y[:1]
    x.copy_(y)
    y.copy_(x)
    assert x.is_cuda and not y.is_cuda
    assert float(x.sum()) == 2.0 and x.tolist() == [1.0, 1.0]
    assert x.cpu().numpy().sum() == 2


def test_memory_is_not_shared_with_arrays():
    with pytest.raises(TypeError):
        here(2).numpy()
    with pytest.raises(TypeError):
        np.asarray(here(2))


def test_generators_have_a_device():
    on_gpu, on_host = torch.Generator("cuda").manual_seed(0), torch.Generator().manual_seed(0)
    assert torch.randn(2, generator=on_gpu, device="cuda").is_cuda
    assert not torch.randn(2, generator=on_host).is_cuda
    for generator, device in ((on_gpu, "cpu"), (on_host, "cuda")):
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(2, generator=generator, device=device)
    with pytest.raises(RuntimeError, match="generator"):
        here(2).normal_(generator=on_host)


def test_autocast_computes_products_in_bf16_and_sums_in_fp32():
    x = here(2, 2)
    with torch.autocast("cuda", torch.bfloat16):
        product = x @ x
        assert product.dtype == torch.bfloat16
        assert product.sum().dtype == product.softmax(0).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype == torch.float32
