"""What must be equal for the same state and inputs to give the same bits.

Logged with every recording and shown by `helios doctor`. On another fingerprint a comparison
reports PSNR instead of equality. The batch size belongs to it too, and is logged per run.
"""

import platform

import torch


def fingerprint(
    device: torch.device,
    dtype: torch.dtype,
    *,
    eight_bits: str | None = None,
    compile_mode: str = "none",
) -> dict[str, str]:
    """Device, dtype, torch, threads, kernels, compile mode and 8-bit products, as text."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        threads = "-"
    else:
        name = f"{device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        threads = str(torch.get_num_threads())
    return {
        "device": name,
        "dtype": str(dtype).removeprefix("torch."),
        "torch": str(torch.__version__),
        "threads": threads,
        "kernels": kernels_backend(device),
        "compile": compile_mode,
        **({} if eight_bits is None else {"products": eight_bits}),
    }


def kernels_backend(device: torch.device) -> str:
    """Which implementation `kernels` picks on a device."""
    from kernels.backend import picked

    return picked(device)
