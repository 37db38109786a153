"""The activation of the feed-forward layer, in its tanh form."""

import torch.nn.functional as F
from torch import Tensor

from kernels.backend import uses_triton


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by the tanh approximation, elementwise."""
    if uses_triton(x):
        from kernels.fused import activation

        return activation.gelu_tanh(x)
    return F.gelu(x, approximate="tanh")
