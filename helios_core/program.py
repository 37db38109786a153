"""A model as fixed programs over static buffers: CUDA graphs where there is a GPU.

    program = ModelProgram(model)            # stands where the model stands in sample_chunk
    latents = sample_chunk(program, plan, noise, shape, conditions)

`sample_chunk` hands whole pyramid stages over, all their steps and the solver between them. The
first call of a shape warms up and captures; later ones copy what changed into the buffers, replay
and copy the result out, so that after each stage was seen once nothing else is allocated. On a CPU
there is nothing to capture: the same buffers are filled and the same function is called. For
inference with frozen weights that stay where they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from helios_core.transformer import HeliosTransformer

WARM_UPS = 2
"""Calls before a capture: they fill position tables and choose algorithms."""
CAPTURES_KEPT = 16
"""A session has one per stage, and as many again for its first chunk and for each batch size."""


@dataclass
class Buffer:
    """One input's static memory, shared by all programs that take such an input in its place."""

    tensor: Tensor
    filled_from: Tensor | None = None
    """A cache that did not change is not copied again."""


@dataclass
class Capture:
    """One shape's buffers and its graph."""

    inputs: list[Buffer]
    run: Callable[[], Tensor]


class ModelProgram:
    """Calls a model, or a function of it, through one capture per input shape."""

    def __init__(self, model: HeliosTransformer) -> None:
        self.model = model
        self.captures: dict[tuple, Capture] = {}
        self._buffers: dict[tuple, Buffer] = {}
        self.copies = 0
        """Buffers filled so far."""
        self._pool: Any = None

    @property
    def config(self):
        """The model's config, as samplers read it."""
        return self.model.config

    @property
    def proj_out(self):
        """The model's last layer: samplers read device and dtype from it."""
        return self.model.proj_out

    def __call__(self, *given: Any) -> Tensor:
        """The model's output for its positional arguments."""
        return self.replay(_forward, *given)

    @torch.no_grad()
    def replay(self, call: Callable[..., Tensor], *given: Any) -> Tensor:
        """`call(model, *given)`; what is no tensor in `given` is part of the program."""
        leaves = list(tensors_of(given))
        sizes = tuple((tuple(x.shape), x.dtype, x.device) for x in leaves)
        key = (call.__qualname__, structure_of(given), sizes)
        if key not in self.captures:
            if len(self.captures) >= CAPTURES_KEPT:
                self.captures.clear()  # a buffer may serve several: start afresh
                self._buffers.clear()
            inputs = [
                self._buffer(place, x) for place, x in zip(enumerate(sizes), leaves, strict=True)
            ]
            self._fill(inputs, leaves)
            self.captures[key] = Capture(inputs, self._captured(call, given, inputs))
        capture = self.captures[key]
        self._fill(capture.inputs, leaves)
        return capture.run()

    def _buffer(self, place: tuple, like: Tensor) -> Buffer:
        if place not in self._buffers:
            self._buffers[place] = Buffer(torch.empty_like(like))
        return self._buffers[place]

    def _fill(self, inputs: list[Buffer], leaves: list[Tensor]) -> None:
        for buffer, leaf in zip(inputs, leaves, strict=True):
            if leaf is not buffer.filled_from:
                buffer.tensor.copy_(leaf)
                buffer.filled_from = leaf
                self.copies += 1

    def _captured(
        self, call: Callable[..., Tensor], given: tuple, inputs: list[Buffer]
    ) -> Callable[[], Tensor]:
        static = rebuilt(given, iter([buffer.tensor for buffer in inputs]))
        if inputs[0].tensor.device.type != "cuda":
            return lambda: call(self.model, *static)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                call(self.model, *static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = call(self.model, *static)

        def replay() -> Tensor:
            graph.replay()
            return out.clone()  # graphs share their memory: another one's replay may write here

        return replay


def _forward(model: HeliosTransformer, *given: Any) -> Tensor:
    return model(*given)


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
