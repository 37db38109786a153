"""Low-rank adapters on any set of linear layers, kept apart from the weights that they change.

An adapter hooks onto a model's linear layers and adds `scale * up(down(x))` to their outputs while
it is switched on. The model's own weights and names stay as they are, so that one set of weights
serves as teacher (adapter off) and critic (adapter on), and merging is one addition per layer.

Legend: R rank, I inputs and O outputs of a layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Which layers, and how much they may change."""

    rank: int = 16
    alpha: float = 0.0
    """Scale times rank; 0 = the rank itself."""
    modules: tuple[str, ...] = ("blocks.*",)
    """Patterns of module paths; every linear layer that matches one is adapted."""
    exclude: tuple[str, ...] = ()
    """Patterns of module paths that are left alone."""

    @property
    def scale(self) -> float:
        return (self.alpha or self.rank) / self.rank


class Adapter(nn.Module):
    """Down and up projections for the chosen layers of one model. It starts as no change."""

    def __init__(self, model: nn.Module, config: AdapterConfig) -> None:
        super().__init__()
        self.config, self.enabled = config, True
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        self._handles: list[Any] = []
        for path, layer in matching(model, config):
            key = path.replace(".", "/")
            weight = layer.weight
            place = {"device": weight.device, "dtype": torch.float32}
            down = torch.empty(config.rank, layer.in_features, **place)
            nn.init.normal_(down, std=1 / config.rank)
            self.down[key] = nn.Parameter(down)
            self.up[key] = nn.Parameter(torch.zeros(layer.out_features, config.rank, **place))
            self._handles.append(layer.register_forward_hook(self._hook(key)))

    def _hook(self, key: str) -> Any:
        def add(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if not self.enabled:
                return output
            low = nn.functional.linear(inputs[0], self.down[key].to(inputs[0].dtype))
            change = nn.functional.linear(low, self.up[key].to(low.dtype))
            return output + self.config.scale * change

        return add

    @contextmanager
    def switched(self, on: bool) -> Iterator[None]:
        """The adapter on or off for a while."""
        before, self.enabled = self.enabled, on
        try:
            yield
        finally:
            self.enabled = before

    @torch.no_grad()
    def merge(self, model: nn.Module) -> None:
        """Add the change into the model's weights and let go of it."""
        layers = dict(matching(model, self.config))
        for path, layer in layers.items():
            key = path.replace(".", "/")
            change = self.config.scale * (self.up[key] @ self.down[key])
            layer.weight.add_(change.to(layer.weight.dtype))
        self.detach()

    def detach(self) -> None:
        """Unhook from the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def matching(model: nn.Module, config: AdapterConfig) -> list[tuple[str, nn.Linear]]:
    """The linear layers that an adapter of this config changes; none is an error."""
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
        and any(fnmatch(path, p) for p in config.modules)
        and not any(fnmatch(path, p) for p in config.exclude)
    ]
    if not found:
        raise ValueError(f"no linear layer matches {', '.join(config.modules)}")
    return found
