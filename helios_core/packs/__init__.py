"""Packs: worlds on disk. `load_world` is the door; everything else is behind it.

world = load_world("wilds")                  # a name, a folder, `null` or `random`
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_core.world_api import World


def load_world(
    name_or_path: str | Path,
    *,
    device: str = "cpu",
    dtype: Any = None,
    threads: int | None = None,
    graphs: bool = False,
    codec_device: str | None = None,
    eight_bits: str | None = None,
    compile: bool = False,
) -> "World":
    """A world that is ready to play.

    `dtype` is a torch dtype or its name (default: float32 on a CPU, bfloat16 elsewhere);
    `threads` sets torch's threads for the whole process. On GPUs: `graphs` replays whole pyramid
    stages as CUDA graphs, `codec_device` codes and decodes on another device. `eight_bits` (`fp8`
    or `int8`) multiplies in 8 bits in the blocks: where that is faster, `helios bench eightbit`
    says, and what it costs. `compile` compiles the decoder of an imported checkpoint, once it runs.
    """
    if str(name_or_path) == "null":
        from helios_core.null_world import NullWorld

        return NullWorld()
    from helios_core.packs.build import load

    return load(
        name_or_path,
        device=device,
        dtype=dtype,
        threads=threads,
        graphs=graphs,
        codec_device=codec_device,
        eight_bits=eight_bits,
        compile=compile,
    )
