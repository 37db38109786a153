"""The linears of the blocks in 8 bits, as an option for inference, and what it costs in quality.

    report = compare(model, eight := use_eight_bits(copy.deepcopy(model)), inputs)

Weights are rounded once, by output row; activations on the fly, by token. Everything outside the
blocks, and every norm, stays as it was. Dimensions: D in, M out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from helios_core.transformer import HeliosTransformer
from kernels.matmul8 import product8
from kernels.quantise import FP8, quantise_rows

KINDS = {"fp8": FP8, "int8": torch.int8}


class Linear8(nn.Module):
    """A linear layer whose product runs in 8 bits."""

    def __init__(self, linear: nn.Linear, kind: torch.dtype) -> None:
        super().__init__()
        weight, scale = quantise_rows(linear.weight.detach(), kind)
        self.register_buffer("weight8", weight)
        self.register_buffer("scale", scale)
        self.bias = linear.bias
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., M] in x's dtype."""
        q, scale = quantise_rows(x.flatten(0, -2), self.kind)
        out = product8(q, scale, self.weight8, self.scale, self.bias, x.dtype)  # type: ignore
        return out.view(*x.shape[:-1], -1)


@torch.no_grad()
def use_eight_bits(model: HeliosTransformer, kind: str = "fp8") -> HeliosTransformer:
    """Replace the linears of the blocks, in place; the model can no longer be trained."""
    if kind not in KINDS:
        raise ValueError(f"8-bit kind {kind!r}: give one of {', '.join(KINDS)}")
    for block in model.layers:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, Linear8(child, KINDS[kind]))
    return model.requires_grad_(False)


@torch.no_grad()
def compare(
    exact: HeliosTransformer,
    rounded: HeliosTransformer,
    inputs: Mapping[str, Any],
    sample: Callable[[HeliosTransformer], Tensor] | None = None,
    decode: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Any]:
    """Relative error of every block and of the output; of a trajectory and its frames if given.

    `sample(model)` makes latents, `decode(latents)` pixels in -1..1; PSNR is of the pixels.
    """
    exact_layers, out = _by_layer(exact, inputs)
    rounded_layers, out8 = _by_layer(rounded, inputs)
    report: dict[str, Any] = {
        "layers": [_error(a, b) for a, b in zip(rounded_layers, exact_layers, strict=True)],
        "output": _error(out8, out),
    }
    if sample is not None:
        latents, latents8 = sample(exact), sample(rounded)
        report["trajectory"] = _error(latents8, latents)
        if decode is not None:
            report["psnr"] = _psnr(decode(latents8), decode(latents))
    return report


def _by_layer(model: HeliosTransformer, inputs: Mapping[str, Any]) -> tuple[list[Tensor], Tensor]:
    kept: list[Tensor] = []
    hooks = [b.register_forward_hook(lambda *call: kept.append(call[-1])) for b in model.layers]
    out = model(**inputs)
    for hook in hooks:
        hook.remove()
    return kept, out


def _error(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm().clamp_min(1e-12))


def _psnr(a: Tensor, b: Tensor) -> float:
    """Of pixels in -1..1, in decibels."""
    mean_square = (a.float().clamp(-1, 1) - b.float().clamp(-1, 1)).square().mean()
    return float(10 * torch.log10(4 / mean_square.clamp_min(1e-12)))
