"""Matrix products of 8-bit rows with one scale per row of either side: fp8 e4m3 or int8.

On CUDA the tensor cores multiply fp8 (torch._scaled_mm) and int8 (torch._int_mm), and a CPU
multiplies int8; elsewhere the same numbers are multiplied in fp32, which is the definition. For
inference: no gradient.

Dimensions: N rows, K inner, M outputs.
"""

import torch
from torch import Tensor

from kernels.quantise import FP8

CUDA_ROWS = 16
"""torch's int8 product on CUDA takes more rows than this."""


def product8(
    x: Tensor,
    x_scale: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    bias: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """x [N,K] by weight [M,K], both 8 bits, with scales [N,1] and [M,1]; [N,M] in `dtype`."""
    if x.device.type == "cuda" and x.dtype == FP8 and dtype == torch.bfloat16:
        given = None if bias is None else bias.to(dtype)
        # Fast: sums of some 14 bits, whose error is far below that of the inputs' rounding.
        return torch._scaled_mm(
            x, weight.T, scale_a=x_scale, scale_b=weight_scale.T, bias=given, out_dtype=dtype,
            use_fast_accum=True,
        )  # fmt: skip
    if x.dtype == torch.int8 and (x.device.type == "cpu" or x.shape[0] > CUDA_ROWS):
        out = torch._int_mm(x, weight.T).float()
    else:
        out = x.float() @ weight.float().T
    out = out * x_scale * weight_scale.T
    return (out if bias is None else out + bias.float()).to(dtype)
