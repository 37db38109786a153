"""Block sizes and warps that the kernels share; arithmetic only."""
# Triton's annotations do not know its own launches:
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportReturnType=false

import triton

MOST_SPLITS = 64
"""Parts into which a sum over tokens is cut, so that it fills the multiprocessors."""


def width_launch(width: int) -> tuple[int, int]:
    """Block and warps of a program that holds one row of `width` numbers."""
    block = triton.next_power_of_2(width)
    return block, min(16, max(1, block // 512))


def split_count(tokens: int, step: int) -> int:
    """How many parts a sum over `tokens`, taken `step` at a time, is cut into."""
    return max(1, min(MOST_SPLITS, tokens // (4 * step)))
