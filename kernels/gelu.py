"""The activation of the feed-forward layer, in its tanh form."""

import torch.nn.functional as F
from torch import Tensor


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by the tanh approximation, elementwise."""
    return F.gelu(x, approximate="tanh")
