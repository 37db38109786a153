"""Tensors that say they are on a GPU while they lie in the CPU's memory, for tests without one.

Inside `pretending()` there seems to be a CUDA device. What is made there or moved there is marked,
what is computed from it is marked as well, and what CUDA refuses is refused: operations on tensors
of both devices, arrays that share a GPU's memory, generators of the other device. Under autocast
the operations that CUDA computes in fp32 do so. Not seen: what runs below Python's functions of
torch (the backward pass), Triton kernels, speed, memory.

    with pretending():
        torch.ones(2, device="cuda") + torch.ones(2)      # RuntimeError, as on a GPU
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_map

from kernels.backend import using
from tests.training.pretend_graph import capturing

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
MOVES = {"copy_", "type_as", "_has_compatible_shallow_copy_type", "set_data", "__set__"}
"""Take tensors of two devices."""
READS = {"item", "tolist", "__float__", "__int__", "__bool__", "__index__", "__repr__", "__len__",
         "__format__", "is_tensor"}  # fmt: skip
WHOLE = {"cat", "concat", "stack", "gather", "index_select", "scatter", "scatter_", "scatter_add_",
         "searchsorted", "embedding", "bmm", "_fused_adamw_", "take_along_dim"}  # fmt: skip
"""Refuse a CPU tensor even where it is a single number."""
IN_FP32 = {"acos", "acosh", "asin", "cosh", "exp", "expm1", "log", "log10", "log2", "log1p", "pow",
           "__pow__", "__rpow__", "reciprocal", "rsqrt", "sinh", "tan", "erfinv", "softplus",
           "layer_norm", "group_norm", "rms_norm", "norm", "cosine_similarity", "mse_loss",
           "cosine_embedding_loss", "nll_loss", "l1_loss", "smooth_l1_loss", "cross_entropy",
           "binary_cross_entropy_with_logits", "cdist", "dist", "renorm", "logsumexp", "softmax",
           "log_softmax", "cumprod", "cumsum", "prod", "sum", "softmin"}  # fmt: skip
"""What CUDA's autocast computes in fp32."""


def marked(tensor: Any) -> bool:
    """Whether a tensor says that it is on the GPU."""
    return isinstance(tensor, Tensor) and tensor.__dict__.get("_pretended", False)


def mark(value: Any) -> Any:
    """Let every tensor in it say so."""
    for tensor in _leaves(value):
        if isinstance(tensor, Tensor) and not tensor.is_meta:
            tensor.__dict__["_pretended"] = True
    return value


def _leaves(value: Any) -> Iterator[Any]:
    """What lists, tuples and mappings hold, however deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        yield value
        return
    for part in value:
        yield from _leaves(part)


class Generator(torch.Generator):
    """A CPU generator that knows where it says it is."""

    def __new__(cls, device: Any = "cpu") -> "Generator":
        made = super().__new__(cls, device="cpu")
        made.where = torch.device(device).type
        return made


class Autocast(torch.autocast):
    """The CPU's autocast instead of CUDA's; that of the CPU does nothing to what is on a GPU."""

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, **rest: Any):
        if device_type != "cuda":
            enabled, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
        super().__init__("cpu", dtype=dtype or torch.bfloat16, enabled=enabled, **rest)


class Pretended(TorchFunctionMode):
    """Marks results, and refuses what CUDA refuses."""

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = dict(kwargs or {})
        name, of = func.__name__, getattr(func, "__self__", None)
        if name == "__get__":
            return self._read(func, of.__name__ if of is not None else "", args)
        if name in ("to", "cpu", "cuda"):
            return self._moved(name, args, kwargs)
        inputs = [x for x in _leaves((args, kwargs)) if isinstance(x, Tensor)]
        if name in ("numpy", "__array__") and marked(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy: use Tensor.cpu()")
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "cuda":
            kwargs["device"] = CPU
        if device is not None:
            on_gpu = torch.device(device).type == "cuda"
        else:
            on_gpu = any(map(marked, inputs))
            self._check(func, name, args, inputs)
        self._check_generator(name, kwargs.get("generator"), on_gpu)
        if name in IN_FP32 and on_gpu and torch.is_autocast_enabled("cpu"):
            args, kwargs = tree_map(_in_fp32, (args, kwargs))
        out = func(*args, **kwargs)
        if device is not None and any(out is x for x in inputs):
            out = out.clone()
        if name == "__set__" and of is not None and of.__name__ == "data":
            args[0].__dict__["_pretended"] = marked(args[1])
        if on_gpu and name not in READS and name not in ("copy_", "__set__"):
            known = {id(x) for x in inputs}
            mark([x for x in _leaves(out) if id(x) not in known])
        return out

    @staticmethod
    def _read(func, what: str, args) -> Any:
        if what == "device" and marked(args[0]):
            return CUDA
        if what in ("is_cuda", "is_cpu") and marked(args[0]):
            return what == "is_cuda"
        out = func(*args)
        return mark(out) if marked(args[0]) and isinstance(out, Tensor) else out

    @staticmethod
    def _moved(name: str, args, kwargs) -> Tensor:
        tensor, *rest = args
        was = now = marked(tensor)
        if name != "to":
            now, rest = name == "cuda", []
        places = [*rest, kwargs.pop("device", None), kwargs.pop("other", None)]
        for place in places:
            if isinstance(place, str | torch.device):
                now = torch.device(place).type == "cuda"
            elif isinstance(place, Tensor):
                now, kwargs["dtype"] = marked(place), place.dtype
        if now != was and capturing():
            raise RuntimeError("operation not permitted when stream is capturing: a copy")
        flags = [x for x in rest if isinstance(x, bool)]
        kwargs.update(zip(("non_blocking", "copy"), flags, strict=False))
        dtypes = [x for x in rest if isinstance(x, torch.dtype)]
        out = tensor.to(*dtypes or [kwargs.pop("dtype", None) or tensor.dtype], **kwargs)
        if now != was and out is tensor:
            out = tensor.clone()
        if out is not tensor:
            out.__dict__["_pretended"] = now
        return out

    @staticmethod
    def _check(func, name: str, args, inputs: list[Tensor]) -> None:
        if name in MOVES or not any(map(marked, inputs)) or all(map(marked, inputs)):
            return
        if name in ("__getitem__", "__setitem__"):
            index = [x for x in _leaves(args[1]) if isinstance(x, Tensor)]
            if not marked(args[0]) and any(map(marked, index)):
                raise RuntimeError("indices should be either on cpu or on the device of the tensor")
            value = args[2] if name == "__setitem__" else None
            if index and isinstance(value, Tensor) and value.ndim and not marked(value):
                raise RuntimeError("expected the values on the device of the tensor")
            return
        strays = [x for x in inputs if not marked(x) and (x.ndim or name in WHOLE)]
        if strays or not marked(args[0] if isinstance(args[0], Tensor) else inputs[0]):
            if not strays and not (name.endswith("_") and not name.startswith("__")):
                return  # single numbers of the host may take part
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:0 and cpu! ({resolve_name(func) or name})"
            )

    @staticmethod
    def _check_generator(name: str, generator: Any, on_gpu: bool) -> None:
        if generator is None:
            return
        where = getattr(generator, "where", "cpu")
        if where != ("cuda" if on_gpu else "cpu"):
            raise RuntimeError(f"Expected another device type for generator but found {where}")


def _in_fp32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return mark(value.float()) if half and marked(value) else value


@contextmanager
def pretending() -> Iterator[None]:
    """A GPU for the block."""
    patches = [
        mock.patch("torch.cuda.is_available", lambda: True),
        mock.patch("torch.cuda.is_bf16_supported", lambda *_: True),
        mock.patch("torch.cuda.get_device_name", lambda *_: "a pretended GPU"),
        mock.patch("torch.cuda.synchronize", lambda *_: None),
        mock.patch("torch.is_autocast_enabled", _of_cpu(torch.is_autocast_enabled)),
        mock.patch("torch.get_autocast_dtype", _of_cpu(torch.get_autocast_dtype)),
        mock.patch("torch.Generator", Generator),
        mock.patch("torch.autocast", Autocast),
    ]
    for patch in patches:
        patch.start()
    try:
        with using("reference"), Pretended():
            yield
    finally:
        for patch in patches:
            patch.stop()


def _of_cpu(asks: Any) -> Any:
    return lambda device_type="cpu": asks("cpu")
