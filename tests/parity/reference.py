"""The numeric reference (diffusers) with the weights and inputs of one of our models.

Not a test: the parity tests beside it import it. diffusers' Helios classes load in seconds, so
they are imported once, here.
"""

import torch
from torch import Tensor

from helios_core.config import TransformerConfig
from helios_core.memory import FrameIndices, History, frame_indices
from helios_core.transformer import HeliosTransformer


def random_model(config: TransformerConfig, seed: int = 0) -> HeliosTransformer:
    """A model in which every weight is random and none is zero, the output layer included."""
    generator = torch.Generator().manual_seed(seed)
    model = HeliosTransformer(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        scale = 0.3 if weight.ndim < 2 or "table" in name else 1.2 / weight[0].numel() ** 0.5
        weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
        if "norm" in name and name.endswith("weight"):
            weight.add_(1)
    return model


def reference_of(model: HeliosTransformer):
    """diffusers' HeliosTransformer3DModel with our weights; strict, so names and shapes agree."""
    from diffusers import HeliosTransformer3DModel

    c = model.config
    reference = HeliosTransformer3DModel(
        patch_size=c.patch,
        num_attention_heads=c.heads,
        attention_head_dim=c.head_dim,
        in_channels=c.in_channels,
        out_channels=c.out_channels,
        text_dim=c.text_dim,
        freq_dim=c.freq_dim,
        ffn_dim=c.ffn_dim,
        num_layers=c.layers,
        cross_attn_norm=c.cross_attn_norm,
        eps=c.eps,
        rope_dim=c.rope_dim,
        rope_theta=c.rope_theta,
        guidance_cross_attn=c.guidance_cross_attn,
        zero_history_timestep=c.zero_history_timestep,
        has_multi_term_memory_patch=c.multi_term_memory,
        is_amplify_history=c.amplify_history != "none",
        history_scale_mode="per_head" if c.amplify_history == "none" else c.amplify_history,
    )
    reference.load_state_dict(model.state_dict(), strict=True)
    return reference.eval().requires_grad_(False)


def reference_forward(
    reference, noisy: Tensor, timestep: Tensor, text: Tensor, history: History | None, sizes
) -> Tensor:
    """The reference's forward on our kinds of input."""
    extra = {}
    indices = (history and history.indices) or frame_indices(sizes, noisy.shape[2])
    if history is not None:
        for name in ("long", "mid", "short"):
            part = getattr(history, name)
            if part is not None:
                extra[f"latents_history_{name}"] = part
                extra[f"indices_latents_history_{name}"] = torch.tensor([getattr(indices, name)])
    return reference(
        hidden_states=noisy,
        timestep=timestep,
        encoder_hidden_states=text,
        indices_hidden_states=torch.tensor([indices.noisy]),
        return_dict=False,
        **extra,
    )[0]


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest magnitude."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def random_history(
    config: TransformerConfig,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    parts: tuple[str, ...] = ("long", "mid", "short"),
    indices: FrameIndices | None = None,
) -> History | None:
    """History of noise with the named parts, for (batch, rows, columns)."""
    if not parts:
        return None
    batch, rows, columns = shape
    long, mid, recent = config.history_sizes
    lengths = {"long": long, "mid": mid, "short": recent + config.anchor}
    made = {
        name: torch.randn(
            batch, config.in_channels, lengths[name], rows, columns, generator=generator
        )
        for name in parts
    }
    return History(short=made["short"], mid=made.get("mid"), long=made.get("long"), indices=indices)
