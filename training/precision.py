"""Which precision a step computes its matrix products in, on this machine.

Processors differ more here than anywhere else: with bf16 units a product takes a fraction of the
time, without them fifty times as long. So `precision: auto` times one product of a block's size and
takes bf16 only where it is clearly faster. A small world on a GPU waits for launches instead, and
rounding to bf16 is more of them: `tf32` needs none. Not here: what play computes in
(engine.device).
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Literal

import torch

Precision = Literal["fp32", "tf32", "bf16"]
"""tf32 = fp32 of which CUDA's tensor cores multiply 10 bits of the fraction."""
CLEARLY = 0.8
"""bf16 has to take less than this share of the time of fp32."""


def prepare(precision: Precision, device: torch.device) -> None:
    """Let CUDA's tensor cores have fp32 products, or keep them whole; convolutions always may."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    elif precision == "tf32":
        raise ValueError("precision tf32 is CUDA's: give auto, fp32 or bf16 on a CPU")


def suited(device: torch.device) -> Precision:
    """What to train in on this device: bf16 on a GPU, what is faster on a CPU."""
    return "bf16" if device.type == "cuda" else _faster()


@cache
def _faster() -> Precision:
    """Timed once a process, some milliseconds."""
    plain, half = seconds_of_product(torch.float32), seconds_of_product(torch.bfloat16)
    return pick(plain, half)


def pick(plain: float, half: float) -> Precision:
    """By the seconds that the same product takes in fp32 and in bf16."""
    return "bf16" if half < CLEARLY * plain else "fp32"


def seconds_of_product(
    dtype: torch.dtype, repeats: int = 3, now: Callable[[], float] = time.perf_counter
) -> float:
    """The best of some products of 1024 tokens with a layer of a small world."""
    tokens, weight = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 768, dtype=dtype)
    torch.matmul(tokens, weight)  # the first one prepares
    best = float("inf")
    for _ in range(repeats):
        began = now()
        torch.matmul(tokens, weight)
        best = min(best, now() - began)
    return best
