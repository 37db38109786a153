"""Where a trained world comes from, and how it is fitted to new data.

A world comes from a step of the recipe or from a pack, an imported release included. Fitting keeps
every weight that still fits: action channels are matched by name, and what a changed config adds
(restricted history, an action path) starts as no change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helios_core.actions import ActionSpec
from helios_core.codecs.api import Codec
from helios_core.config import TransformerConfig
from helios_core.plain import refuse_unknown
from helios_core.text.api import TextEncoder
from helios_core.transformer import HeliosTransformer
from training import artifacts
from training.data.windows import LatentSet
from training.stages.context import StepContext, StepName
from training.stages.world import ActionPath, TrainWorld, read_spec

NEW = ("action", "history_key_scale", "patch_carry", "forecast", "local", "pooled_embedder")
"""Parts of names of parameters that a fitted model may have and its origin lack."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A step or a pack, and what changes."""

    step: StepName = ""
    """Step that published a world."""
    pack: str = ""
    """Pack by name or folder."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Fields of TransformerConfig to adopt, such as {restrict_history: true}."""
    actions: ActionPath | None = field(default_factory=ActionPath)
    """Action path for the data's channels; None keeps the origin as it is."""

    def __post_init__(self) -> None:
        if bool(self.step) == bool(self.pack):
            raise ValueError("origin: name either a step or a pack")
        known = [f.name for f in fields(TransformerConfig)]
        refuse_unknown(self.changes, known, "origin.changes")

    @staticmethod
    def named(name: str, actions: ActionPath | None) -> "Origin":
        """A step by name, or `pack:NAME`."""
        if name.startswith("pack:"):
            return Origin(pack=name.removeprefix("pack:"), actions=actions)
        return Origin(step=name, actions=actions)


def open_world(origin: Origin, context: StepContext, data: LatentSet) -> TrainWorld:
    """The origin's world on the context's device, fitted to the data, trainable."""
    dit, text, spec = _read(origin, context)
    fitted = fit(dit, spec, origin, data).to(context.device)
    return TrainWorld(fitted, text, data.spec).train().requires_grad_(True)


def open_codec(name: str, context: StepContext) -> Codec:
    """A codec by step name, or by `pack:NAME`."""
    if not name.startswith("pack:"):
        return artifacts.load(context.final(name), "codec", context.device)  # type: ignore[return-value]
    return _from_pack(name.removeprefix("pack:"), ("codec",), context)[0]


def codec_on_paper(name: str, root: Path) -> Codec | None:
    """As `open_codec`, without weights: what can be asked of it before it is needed. None where its
    step has yet to end."""
    if name.startswith("pack:"):
        from helios_core.packs import manifest as manifests
        from helios_core.packs.find import find

        spec = manifests.read(find(name.removeprefix("pack:"))).codec
        kind, config = spec.kind, spec.config
    elif (root / name / "final" / "codec.json").exists():
        kind, config = artifacts.described(root / name / "final", "codec")
    else:
        return None
    with torch.device("meta"):
        return artifacts.make(kind, config)  # type: ignore[return-value]


def _read(
    origin: Origin, context: StepContext
) -> tuple[HeliosTransformer, TextEncoder, ActionSpec]:
    if origin.step:
        folder = context.final(origin.step)
        dit, text = (artifacts.load(folder, n, context.device) for n in ("transformer", "text"))
        return dit, text, read_spec(folder)  # type: ignore[return-value]
    from helios_core.packs import manifest as manifests
    from helios_core.packs.find import find

    spec = manifests.read(find(origin.pack)).spec
    dit, text = _from_pack(origin.pack, ("transformer", "text_encoder"), context)
    return dit, text, spec


def _from_pack(pack: str, names: Sequence[str], context: StepContext) -> list[Any]:
    """Modules of a pack; a small one is verified, as it is before play: damage would be learned
    from."""
    from helios_core.packs import manifest as manifests
    from helios_core.packs.find import find
    from helios_core.packs.modules import load_module
    from helios_core.packs.verify import verify_small

    folder = find(pack)
    manifest = manifests.read(folder)
    verify_small(folder, manifest)
    return [
        load_module(folder, manifest, name, device=context.device, dtype=torch.float32)
        for name in names
    ]


def fit(
    dit: HeliosTransformer, spec: ActionSpec, origin: Origin, data: LatentSet
) -> HeliosTransformer:
    """A model of the changed config with every weight that still fits."""
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in origin.changes.items()}
    config: TransformerConfig = replace(dit.config, **changes)
    if origin.actions is not None and data.spec.size:
        actions = origin.actions.conditioning(data.spec.size, data.actions.shape[1])
        config = replace(config, actions=actions)
    made = HeliosTransformer(config)
    old = dit.state_dict()
    if dit.config.actions is not None and spec != data.spec:
        old = _match_channels(old, made, spec, data.spec)
    new = made.state_dict()
    kept = {k: v for k, v in old.items() if k in new and v.shape == new[k].shape}
    lost = sorted(set(old) - set(kept))
    added = sorted(set(new) - set(kept))
    for name in [*lost, *added]:
        if not any(part in name for part in NEW):
            raise ValueError(f"origin does not fit: {name} changes; undo the change that causes it")
    made.load_state_dict(kept, strict=False)
    return made


def _match_channels(
    old: dict[str, Tensor], made: HeliosTransformer, before: ActionSpec, after: ActionSpec
) -> dict[str, Tensor]:
    """The action encoder's columns by channel name; new channels start small."""
    name = "actions.frame.weight"
    assert made.actions is not None
    columns = torch.zeros_like(made.actions.frame.weight)
    if name not in old or columns.shape[0] != old[name].shape[0]:
        return old
    for i, channel in enumerate(after.names):
        if channel in before.names:
            columns[:, i] = old[name][:, before.names.index(channel)]
        else:
            nn.init.normal_(columns[:, i], std=0.02)
    return {**old, name: columns}
