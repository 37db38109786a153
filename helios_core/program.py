"""A model as fixed programs over static buffers: CUDA graphs where there is a GPU.

    program = ModelProgram(model)            # stands where the model stands in sample_chunk
    latents = sample_chunk(program, plan, noise, shape, conditions)

The first call of a shape warms up and captures; later ones copy what changed into the buffers and
replay, so that after each stage was seen once nothing is allocated by the model. On a CPU there is
nothing to capture: the same buffers are filled and the model is called. The result lives in the
program's own buffer until the next call of that shape. For inference with frozen weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from helios_core.transformer import HeliosTransformer

WARM_UPS = 2
"""Calls before a capture: they fill position tables and choose algorithms."""


@dataclass
class Capture:
    """One shape's buffers and its graph."""

    inputs: list[Tensor]
    last: list[Tensor | None]
    """What each buffer was filled from; caches that did not change are not copied again."""
    run: Callable[[], Tensor]


class ModelProgram:
    """Calls a model through one capture per input shape."""

    def __init__(self, model: HeliosTransformer) -> None:
        self.model = model
        self.captures: dict[tuple, Capture] = {}
        self.copies = 0
        """Buffers filled so far."""

    @property
    def config(self):
        """The model's config, as samplers read it."""
        return self.model.config

    @property
    def proj_out(self):
        """The model's last layer: samplers read device and dtype from it."""
        return self.model.proj_out

    @torch.no_grad()
    def __call__(self, *given: Any) -> Tensor:
        """The model's output for its positional arguments."""
        leaves = list(tensors_of(given))
        key = (structure_of(given), *((tuple(x.shape), x.dtype, x.device) for x in leaves))
        if key not in self.captures:
            self.captures[key] = self._capture(given, leaves)
        capture = self.captures[key]
        for i, (buffer, leaf) in enumerate(zip(capture.inputs, leaves, strict=True)):
            if leaf is not capture.last[i]:
                buffer.copy_(leaf)
                capture.last[i] = leaf
                self.copies += 1
        return capture.run()

    def _capture(self, given: tuple, leaves: list[Tensor]) -> Capture:
        inputs = [leaf.clone() for leaf in leaves]
        static = rebuilt(given, iter(inputs))
        if inputs[0].device.type != "cuda":
            return Capture(inputs, [None] * len(inputs), lambda: self.model(*static))
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.model(*static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = self.model(*static)

        def replay() -> Tensor:
            graph.replay()
            return out

        return Capture(inputs, [None] * len(inputs), replay)


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Every tensor inside tuples and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors_of(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_of(getattr(value, field.name))


def structure_of(value: Any) -> Any:
    """What is left when tensors are taken out: hashable, equal for what can share a capture."""
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, tuple):
        return tuple(structure_of(part) for part in value)
    if is_dataclass(value):
        names = (field.name for field in fields(value))
        return type(value).__name__, *(structure_of(getattr(value, name)) for name in names)
    return value


def rebuilt(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same value around other tensors."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple):
        parts = [rebuilt(part, tensors) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: rebuilt(getattr(value, f.name), tensors) for f in fields(value)}
        return type(value)(**named)
    return value
