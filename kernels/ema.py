"""The moving average of a model's weights, kept in fp32 whatever the weights' dtype.

update_average(list(average.values()), list(model.parameters()), decay=0.99)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kernels.backend import uses_triton


@torch.no_grad()
def update_average(averages: Sequence[Tensor], weights: Sequence[Tensor], decay: float) -> None:
    """averages <- decay * averages + (1 - decay) * weights, in place."""
    for average, weight in zip(averages, weights, strict=True):
        dense = average.is_contiguous() and weight.is_contiguous()
        if dense and uses_triton(average):
            from kernels.fused import average as fused

            fused.update(average, weight, decay)
        else:
            average.lerp_(weight.to(average.dtype), 1 - decay)
