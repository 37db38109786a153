"""Functions as graphs: what a replay gives is what a call gives, and what cannot be is refused."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from tests.training.pretend_graph import by_tape
from training.graphed import MOST, Graphed


class Pair(NamedTuple):
    x: Tensor
    aim: Tensor | None


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def teach(layer, calls):
    """A function that runs backward, and notes that it was called."""

    def function(pair):
        calls.append(1)
        made = torch.nn.functional.silu(layer(pair.x))
        loss = made.square().mean() if pair.aim is None else (made - pair.aim).square().mean()
        loss.backward()
        return {"loss": loss.detach(), "made": made.detach()}

    return function


def pairs(count, aims=True):
    draw = torch.Generator().manual_seed(1)
    for _ in range(count):
        x, aim = (torch.randn(4, n, generator=draw) for n in (3, 2))
        yield Pair(x, aim if aims else None)


def test_replays_give_outputs_and_gradients_of_the_call_without_its_python(layer):
    calls: list[int] = []
    plain, graphed = teach(layer, []), Graphed(teach(layer, calls), layer.parameters(), by_tape)
    called = []
    for pair in pairs(5):
        wanted = plain(pair)
        gradients = [p.grad for p in layer.parameters()]
        layer.zero_grad(set_to_none=True)
        found = graphed(pair)
        called.append(len(calls))
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
        for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
            assert torch.equal(parameter.grad, gradient)
        layer.zero_grad(set_to_none=True)
        with torch.no_grad():  # weights move between the calls
            layer.weight.add_(0.1)
    assert len(set(called)) == 1


def test_other_inputs_are_captured_apart_and_not_without_end(layer):
    graphed = Graphed(teach(layer, []), layer.parameters(), by_tape)
    for aims in (True, False, True):
        (pair,) = pairs(1, aims)
        loss = graphed(pair)["loss"].clone()
        layer.zero_grad(set_to_none=True)
        assert torch.equal(teach(layer, [])(pair)["loss"], loss)
        layer.zero_grad(set_to_none=True)
    with pytest.raises(AssertionError, match="stay the same"):
        for rows in range(1, MOST + 2):
            graphed(Pair(torch.ones(rows, 3), None))
            layer.zero_grad(set_to_none=True)


def test_gradients_of_a_call_before_are_not_lost_silently(layer):
    graphed = Graphed(teach(layer, []), layer.parameters(), by_tape)
    (pair,) = pairs(1)
    graphed(pair)
    with pytest.raises(AssertionError, match="a call before"):
        graphed(pair)


def test_a_function_that_depends_on_the_host_is_found_out(layer):
    scales = iter((1.0, 2.0, 3.0, 4.0))

    def scaled(x):
        made = layer(x) * next(scales)
        made.mean().backward()
        return made.detach()

    with pytest.raises(ValueError, match="train without graphs"):
        Graphed(scaled, layer.parameters(), by_tape)(torch.ones(4, 3))


@pytest.mark.parametrize("asks", [float, lambda x: torch.tensor(1.0) * x])
def test_what_a_capture_refuses_is_refused_here(layer, asks):
    graphed = Graphed(lambda x: layer(x) * asks(x.mean()), layer.parameters(), by_tape)
    with pytest.raises(RuntimeError, match="when stream is capturing"):
        graphed(torch.ones(4, 3))


@pytest.mark.gpu
def test_a_graph_of_cuda_gives_what_the_call_gives(layer):
    layer.cuda()
    graphed = Graphed(teach(layer, []), layer.parameters())
    for pair in pairs(5):
        assert pair.aim is not None
        given = Pair(pair.x.cuda(), pair.aim.cuda())
        wanted = teach(layer, [])(given)
        gradients = [p.grad for p in layer.parameters()]
        layer.zero_grad(set_to_none=True)
        found = graphed(given)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close([p.grad for p in layer.parameters()], gradients)
        layer.zero_grad(set_to_none=True)
