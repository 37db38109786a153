"""A function of tensors as a CUDA graph: captured once, then launched as a whole.

A small model keeps a GPU waiting: a step has thousands of kernels, and Python launches them one by
one. A graph launches them at once. The function has to do the same operations in every call:
shapes are fixed, nothing is asked of a tensor's values, and nothing comes from the host but the
inputs. It may run backward; the parameters then hold the gradients of that one call.
Not here: what is captured (training.stages.sharpen), and any use of it without CUDA.

    learn = Graphed(function, parameters)
    out = learn(inputs)          # trees of tensors; `out` is good until the next call
    show = Graphed(function, ()) # without a backward pass, within torch.no_grad()
"""

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

WARM_UPS = 2
"""Plain calls on a stream aside before the capture: libraries choose and allocate in them."""
MOST = 4
"""Captures of one function, one for each set of shapes: every one keeps its memory."""
APART = 0.05
"""How far a replay may be from the plain call, over the size of what that gave. Sums in another
order make a thousandth."""

Run = Callable[[], Any]
Capture = Callable[[Run, Run], tuple[Any, Callable[[], None]]]
"""From a plain call, for warming up, and the call to be captured: the outputs of that, and what
runs it again on the same tensors."""


@dataclass(frozen=True)
class _Captured:
    inputs: list[Tensor]
    out: Any
    gradients: list[tuple[nn.Parameter, Tensor]]
    replay: Callable[[], None]


class Graphed:
    """`function`, and the gradients that it leaves in `parameters`."""

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: Iterable[nn.Parameter],
        capture: Capture | None = None,
    ) -> None:
        """`capture` stands in for CUDA's in tests."""
        self.function, self.parameters = function, list(parameters)
        self._capture_by = capture or by_cuda
        self._known: dict[tuple, _Captured] = {}

    def __call__(self, *inputs: Any) -> Any:
        leaves, spec = tree_flatten(inputs)
        tensors = [leaf for leaf in leaves if leaf is not None]
        key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        if key not in self._known:
            assert len(self._known) < MOST, "shapes have to stay the same"
            self._known[key] = self._captured(leaves, spec)
        found = self._known[key]
        torch._foreach_copy_(found.inputs, tensors)
        found.replay()
        self._put(found.gradients)
        return found.out

    def fresh(self, *inputs: Any) -> Any:
        """The same in tensors of the caller's own, which no later call changes."""
        return tree_map(torch.clone, self(*inputs))

    def _captured(self, leaves: list[Any], spec: Any) -> _Captured:
        held = [None if leaf is None else leaf.clone() for leaf in leaves]

        def run() -> Any:
            return self.function(*tree_unflatten(held, spec))

        def plainly() -> tuple[Any, list[Tensor]]:
            out = run()
            return tree_map(torch.clone, out), [gradient for _, gradient in self._taken()]

        plain = plainly()
        out, replay = self._capture_by(plainly, run)
        gradients = self._taken()
        replay()
        self._compare(plain, (out, [gradient for _, gradient in gradients]))
        return _Captured([tensor for tensor in held if tensor is not None], out, gradients, replay)

    def _taken(self) -> list[tuple[nn.Parameter, Tensor]]:
        """The gradients there are, taken away: the next call has to set its own."""
        found = [(p, p.grad) for p in self.parameters if p.grad is not None]
        for parameter, _ in found:
            parameter.grad = None
        return found

    def _put(self, gradients: list[tuple[nn.Parameter, Tensor]]) -> None:
        assert all(p.grad is None for p in self.parameters), "gradients of a call before"
        for parameter, gradient in gradients:
            parameter.grad = gradient

    @staticmethod
    def _compare(plain: Any, again: Any) -> None:
        for what, one, other in zip(("outputs", "gradients"), plain, again, strict=True):
            apart = distance(tree_leaves(one), tree_leaves(other))
            if not apart <= APART:
                raise ValueError(
                    f"the {what} of a captured step are {apart:.2g} of their size away from those "
                    "of the plain one: train without graphs"
                )


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """Size of the difference of two lists of tensors, over that of the first."""
    if not one and not other:
        return 0.0
    pairs = [(a.float(), b.float()) for a, b in zip(one, other, strict=True)]
    apart = torch.stack([(a - b).square().sum() for a, b in pairs]).sum()
    size = torch.stack([a.square().sum() for a, _ in pairs]).sum()
    return float((apart / size.clamp(min=1e-20)).sqrt())


def by_cuda(plainly: Run, run: Run) -> tuple[Any, Callable[[], None]]:
    """A graph; streams aside, for CUDA captures none of the one that all others wait for."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            plainly()
    torch.cuda.current_stream().wait_stream(aside)
    gc.collect()  # a graph that is destroyed during the capture would spoil it
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()
    return out, graph.replay
