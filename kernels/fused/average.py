"""The moving average of weights in one Triton pass: read both, write the average, no copy made."""
# Triton's annotations do not know its own launches:
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportReturnType=false

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096


@triton.jit
def _average(average, weight, count, keep, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    old = tl.load(average + at, mask=inside, other=0.0).to(tl.float32)
    new = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    old = new + (old - new) * keep
    tl.store(average + at, old.to(average.dtype.element_ty), mask=inside)


def update(average: Tensor, weight: Tensor, decay: float) -> None:
    """average <- decay * average + (1 - decay) * weight, in place; both contiguous."""
    grid = (triton.cdiv(average.numel(), BLOCK),)
    _average[grid](average, weight, average.numel(), decay, BLOCK=BLOCK)
