"""Adapters: no change at first, one merge at the end, and only where they were asked for."""

import pytest
import torch
from torch import nn

from training.lora import Adapter, AdapterConfig, matching


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 8), nn.Linear(8, 3))


def trained(net, config):
    adapter = Adapter(net, config)
    with torch.no_grad():
        for p in adapter.up.values():
            p.normal_(generator=torch.Generator().manual_seed(1))
    return adapter


X = torch.randn(5, 6, generator=torch.Generator().manual_seed(2))


def test_an_adapter_starts_as_no_change_and_can_be_switched_off():
    net = model()
    plain = net(X)
    adapter = Adapter(net, AdapterConfig(rank=2, modules=("*",)))
    assert torch.equal(net(X), plain)
    with torch.no_grad():
        next(iter(adapter.up.values())).fill_(1.0)
    assert not torch.allclose(net(X), plain)
    with adapter.switched(False):
        assert torch.equal(net(X), plain)


def test_merging_equals_the_adapter():
    net = model()
    adapter = trained(net, AdapterConfig(rank=3, alpha=6.0, modules=("*",)))
    adapted = net(X)
    adapter.merge(net)
    assert torch.allclose(net(X), adapted, atol=1e-5)
    assert set(net.state_dict()) == set(model().state_dict())  # names as before


def test_only_matching_layers_change():
    net = model()
    adapter = trained(net, AdapterConfig(rank=1, modules=("2", "3"), exclude=("3",)))
    assert list(adapter.up) == ["2"]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    adapter.merge(net)
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"2.weight"}


def test_gradients_reach_the_adapter_alone():
    net = model().requires_grad_(False)
    adapter = trained(net, AdapterConfig(rank=2, modules=("0",)))
    net(X).sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())
    assert all(p.grad is None for p in net.parameters())


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match="no linear layer matches"):
        matching(model(), AdapterConfig(modules=("blocks.*",)))
