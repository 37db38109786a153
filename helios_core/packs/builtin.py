"""`random`: a small Helios with random weights, so that every part of the engine can run.

It learned nothing and shows coloured noise that depends on its state, actions and prompt. Its
weights follow from its config and one seed; no tensor of it is zero, so that tests on it mean
something. Sizes can be changed, which tests do.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from helios_core.actions import WALK_SPEC
from helios_core.codecs.tiny import TinyCodecConfig
from helios_core.conditioning import ActionConditioning
from helios_core.config import small
from helios_core.packs.manifest import FORMAT, MODULES, Manifest, ModuleSpec, PresetSpec
from helios_core.packs.modules import empty, kept_dtype
from helios_core.plain import to_plain
from helios_core.sampling.plan import few_steps
from helios_core.text.small import SmallTextConfig, vocabulary_of

PRESETS = ("a meadow at noon", "a desert at dusk", "snow falls over the hills", "a stormy sea")
SEED = 20


def random_manifest(**changes: Any) -> Manifest:
    """A pack of the usual small shape: 64x96 at 20 fps, 4 frames a chunk, walking."""
    codec = TinyCodecConfig(
        channels=8,
        encoder_widths=(16, 16, 32),
        decoder_widths=(16, 16, 32),
        decoder_blocks=(1, 1, 1),
    )
    text = SmallTextConfig(text_dim=32, width=32, max_words=15, vocabulary=vocabulary_of(PRESETS))
    transformer = small(
        channels=8,
        width=64,
        layers=2,
        text_dim=32,
        head_dim=32,
        restrict_history=True,
        actions=ActionConditioning(channels=WALK_SPEC.size, window=4, width=16),
    )
    manifest = Manifest(
        format=FORMAT,
        name="random",
        about="random weights: for trying the engine, not for looking at",
        licence="Apache-2.0",
        fps=20,
        height=64,
        width=96,
        chunk_latents=1,
        layout="streamed",
        actions=tuple(WALK_SPEC.to_dict()),
        presets=tuple(PresetSpec(prompt=text) for text in PRESETS),
        sampler=few_steps(1.0, 0.6).to_dict(),
        transformer=ModuleSpec(kind="helios", config=to_plain(transformer)),
        codec=ModuleSpec(kind="tiny_codec", config=to_plain(codec)),
        text_encoder=ModuleSpec(kind="small_text", config=to_plain(text)),
    )
    return replace(manifest, **changes)


def random_modules(
    manifest: Manifest,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = SEED,
) -> dict[str, nn.Module]:
    """The manifest's modules with random weights, drawn in fp32 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    modules = {}
    for name in MODULES:
        spec = manifest.module(name)
        module = empty(spec, name).to_empty(device="cpu")
        with torch.no_grad():
            for key, tensor in module.state_dict(keep_vars=True).items():
                tensor.copy_(_draw(key, tensor, generator))
        kinds = kept_dtype(spec, dtype)
        for key, tensor in module.state_dict(keep_vars=True).items():
            tensor.data = tensor.data.to(kinds(key))
        modules[name] = module.to(device).eval().requires_grad_(False)
    return modules


def _draw(name: str, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random values of a size that keeps activations near 1."""
    noise = torch.randn(like.shape, generator=generator)
    if name.endswith("latent_std") or ("norm" in name and name.endswith("weight")):
        return 1 + 0.1 * noise
    if like.ndim < 2:
        return 0.1 * noise
    return noise * like[0].numel() ** -0.5
