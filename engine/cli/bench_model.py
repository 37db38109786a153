"""Random models and inputs of the two benchmark sizes. Weights come from a generator."""

from typing import Any

import torch
from torch import Tensor

from helios_core.config import TransformerConfig
from helios_core.costs import Size
from helios_core.memory import History, make_history
from helios_core.transformer import FP32_PARAMETERS, HeliosTransformer

SIZES = {"14b": Size(48, 80, 9), "tiny": Size(16, 16, 3)}
TEXT_TOKENS = {"14b": 512, "tiny": 12}
CACHED: dict[str, Any] = {"restrict_history": True}


def config_of(size: str, **changes: Any) -> TransformerConfig:
    """The released architecture, or one of 2 layers and width 48."""
    if size == "14b":
        return TransformerConfig(**changes)
    tiny: dict[str, Any] = {"heads": 2, "head_dim": 24, "layers": 2, "text_dim": 32}
    tiny |= {"ffn_dim": 128, "freq_dim": 32, "rope_dim": (8, 8, 8)}
    return TransformerConfig(**tiny, **changes)


@torch.no_grad()
def random_model(config: TransformerConfig, device: str, dtype: torch.dtype) -> HeliosTransformer:
    """Frozen, every weight random, norms near one; fp32 where a released checkpoint is."""
    with torch.device("meta"):
        model = HeliosTransformer(config)
    for name, module in model.named_modules():
        for key, weight in list(module.named_parameters(recurse=False)):
            full = f"{name}.{key}"
            kept = torch.float32 if any(part in full for part in FP32_PARAMETERS) else dtype
            scale = 0.05 if weight.ndim < 2 or "table" in key else 1 / weight[0].numel() ** 0.5
            drawn = torch.empty(weight.shape, device=device, dtype=kept).normal_(std=scale)
            if "norm" in full and key == "weight":
                drawn.add_(1)
            setattr(module, key, torch.nn.Parameter(drawn, requires_grad=False))
    return model.eval()


def random_history(config: TransformerConfig, size: Size, device: str, dtype) -> History:
    """Full-size history of noise."""
    shape = (1, config.in_channels, config.kept_frames, size.rows, size.columns)
    kept = torch.randn(shape, device=device).to(dtype)
    return make_history(kept, kept[:, :, :1], config.history_sizes)


def random_text(config: TransformerConfig, size: str, device: str, dtype) -> Tensor:
    """Hidden states of a prompt [1,L,text_dim]."""
    shape = (1, TEXT_TOKENS[size], config.text_dim)
    return torch.randn(shape, device=device).to(dtype)
