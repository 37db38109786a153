"""How much memory the parts of a pack take: weights exactly, working memory by estimate.

The estimates are upper bounds by a simple count, rounded up; what a GPU takes in truth is measured
by the benchmarks. T latent frames, h w latent rows and columns.
"""

from torch import nn

from helios_core.config import TransformerConfig, tokens_per_frame
from helios_core.residency.plan import Sizes
from helios_core.text.cache import BLENDS_KEPT, HIDDEN_KEPT

CODEC_BYTES_PER_PIXEL = 560
"""Working memory of the Wan codec in bf16 (4.0 GiB at 33 frames of 384x640)."""
TINY_BYTES_PER_PIXEL = 160
"""Working memory of TinyCodec in bf16."""
TEXT_WORK = 512 * 2**20
"""Working memory of UMT5-XXL on one prompt."""


def bytes_of(module: nn.Module) -> int:
    """Bytes of a module's parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def transformer_work(config: TransformerConfig, frames: int, rows: int, columns: int) -> int:
    """Working memory of a forward pass in 16 bits: tokens times the widths alive at once."""
    noisy = frames * tokens_per_frame(config, rows, columns)
    history = 3 * tokens_per_frame(config, rows, columns) if config.multi_term_memory else 0
    # Residual, normed, q, k, v, attention output, projections in fp32 twice; then the wide layer.
    alive = 10 * config.dim + 2 * config.ffn_dim
    return 2 * (noisy + history) * alive


def texts_kept(config: TransformerConfig, tokens: int) -> int:
    """What a prompt cache keeps of prompts of so many tokens, in 16 bits, whoever's turn it is."""
    blends = BLENDS_KEPT + 1  # a new one is made before the oldest goes
    keys_and_values = 2 * config.layers * config.dim
    return 2 * tokens * (HIDDEN_KEPT * config.text_dim + blends * keys_and_values)


def sizes_of(
    *,
    text_encoder: nn.Module,
    transformer: nn.Module,
    blocks: nn.ModuleList,
    codec: nn.Module,
    transformer_work: int,
    texts: int,
    pixels: int,
    wan: bool,
) -> Sizes:
    """Sizes of loaded (or meta) modules; `pixels` are those of a chunk, `texts` the bytes of
    prompts that are there beside whatever works."""
    each = tuple(bytes_of(block) for block in blocks)
    per_pixel = CODEC_BYTES_PER_PIXEL if wan else TINY_BYTES_PER_PIXEL
    return Sizes(
        text_encoder=bytes_of(text_encoder),
        text_encoder_work=(TEXT_WORK if wan else 0) + texts,
        trunk=bytes_of(transformer) - sum(each),
        blocks=each,
        transformer_work=transformer_work + texts,
        codec=bytes_of(codec),
        codec_work=pixels * per_pixel + texts,
    )
