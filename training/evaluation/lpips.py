"""LPIPS: distance of pictures in the features of a classifier, with weights that the user brings.

    distance = Lpips("alex.safetensors")
    distance(truth, made)          # [F] for [F, H, W, 3]

The file holds the state dict of the public `lpips.LPIPS(net="alex")` or `net="vgg"`: convolutions
`net.slice{1..5}.{index}`, one weight per channel and slice `lin{0..4}.model.1`, and what inputs are
scaled by. Nothing is downloaded.

F pictures, C channels, H W pixels, h w rows and columns of features.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

BATCH = 64
"""Pictures in one pass."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and spread of ImageNet's channels, for pixels from -1 to 1."""
SMALLEST = 1e-10
"""Added to the length that features are divided by."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """The convolutions of one classifier, as its file numbers them."""

    slices: tuple[tuple[int, ...], ...]
    """Indices of the convolutions of each slice; features are read at a slice's end."""
    pooled: tuple[int, ...]
    """Slices that begin with a maximum over `window` at every second place."""
    window: int
    stride: int
    """Of the first convolution."""


ALEX = Network(slices=((0,), (3,), (6,), (8,), (10,)), pooled=(1, 2), window=3, stride=4)
VGG = Network(
    slices=((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)),
    pooled=(1, 2, 3, 4), window=2, stride=1,
)  # fmt: skip


class Lpips:
    """A classifier's convolutions and how much each of its channels counts."""

    def __init__(self, path: str | Path) -> None:
        tensors = _read(path)
        self.network = VGG if "net.slice1.2.weight" in tensors else ALEX
        try:
            self.convolutions = [
                [_convolution(tensors, s, index) for index in indices]
                for s, indices in enumerate(self.network.slices, 1)
            ]
            self.shares = [_share(tensors, s) for s in range(len(self.network.slices))]
        except KeyError as error:
            raise _wrong(path, f"it lacks {error.args[0]}") from None
        self._check(path)
        shift = tensors.get("scaling_layer.shift", torch.tensor(SHIFT))
        scale = tensors.get("scaling_layer.scale", torch.tensor(SCALE))
        self.shift, self.scale = shift.view(1, 3, 1, 1).float(), scale.view(1, 3, 1, 1).float()

    def _check(self, path: str | Path) -> None:
        """Every convolution reads what the one before it gives, and so does every share."""
        channels = 3
        for s, (convolutions, share) in enumerate(
            zip(self.convolutions, self.shares, strict=True), 1
        ):
            for weight, _ in convolutions:
                if weight.ndim != 4 or weight.shape[1] != channels:
                    raise _wrong(path, f"slice {s} does not read {channels} channels")
                channels = weight.shape[0]
            if share.shape != (1, channels, 1, 1):
                raise _wrong(path, f"lin{s - 1} is not for the {channels} channels of slice {s}")

    @torch.no_grad()
    def __call__(self, truth: np.ndarray, made: np.ndarray) -> np.ndarray:
        """Distance of each picture [F] of uint8 [F, H, W, 3]; 0 is equal."""
        if truth.shape != made.shape:
            raise ValueError(f"pictures of shapes {truth.shape} and {made.shape} do not compare")
        parts = zip(
            torch.from_numpy(truth).split(BATCH), torch.from_numpy(made).split(BATCH), strict=True
        )
        return torch.cat([self._distance(a, b) for a, b in parts]).double().numpy()

    def _distance(self, truth: Tensor, made: Tensor) -> Tensor:
        pairs = zip(self._features(truth), self._features(made), self.shares, strict=True)
        far = [((a - b).square() * share).sum(1).mean((1, 2)) for a, b, share in pairs]
        return torch.stack(far).sum(0)

    def _features(self, pictures: Tensor) -> Iterator[Tensor]:
        """Features [F, C, h, w] at every slice's end, of length 1 at each place."""
        x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        x = (x - self.shift) / self.scale
        for s, convolutions in enumerate(self.convolutions):
            if s in self.network.pooled:
                x = functional.max_pool2d(x, self.network.window, 2)
            for i, (weight, bias) in enumerate(convolutions):
                stride = self.network.stride if (s, i) == (0, 0) else 1
                # AlexNet's first convolution pads by less than half its size.
                padding = min(weight.shape[2] // 2, 2)
                x = functional.conv2d(x, weight, bias, stride, padding).relu()
            yield x / (x.square().sum(1, keepdim=True).sqrt() + SMALLEST)


def _read(path: str | Path) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise ValueError(f"lpips: there is no file {path}; give the path of a safetensors file")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _wrong(path, str(error)) from error


def _convolution(tensors: Mapping[str, Tensor], s: int, index: int) -> tuple[Tensor, Tensor]:
    name = f"net.slice{s}.{index}"
    return tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float()


def _share(tensors: Mapping[str, Tensor], s: int) -> Tensor:
    """Under one of the two names that the public module has for the same tensor."""
    other = tensors.get(f"lins.{s}.model.1.weight")
    return (tensors[f"lin{s}.model.1.weight"] if other is None else other).float()


def _wrong(path: str | Path, why: str) -> ValueError:
    return ValueError(
        f"{path}: no LPIPS weights ({why}); make the file from the public lpips package: "
        "safetensors.torch.save_model(lpips.LPIPS(net='alex'), FILE), or net='vgg'"
    )
