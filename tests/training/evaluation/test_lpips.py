"""LPIPS with tiny random weights against a computation place by place; wrong files are named."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.cli import main
from training.evaluation.lpips import Lpips
from training.evaluation.report import Report
from training.evaluation.suites import fidelity

from .oracle_world import OracleWorld

RNG = np.random.default_rng(0)
ALEX = {"1.0": (11, 4, 2), "2.3": (5, 1, 2), "3.6": (3, 1, 1), "4.8": (3, 1, 1), "5.10": (3, 1, 1)}
VGG_LAYERS = "1.0 1.2 2.5 2.7 3.10 3.12 3.14 4.17 4.19 4.21 5.24 5.26 5.28"
VGG = dict.fromkeys(VGG_LAYERS.split(), (3, 1, 1))
POOLS = {"alex": ({"2.3", "3.6"}, 3), "vgg": ({"2.5", "3.10", "4.17", "5.24"}, 2)}


def weights(network: dict) -> dict[str, torch.Tensor]:
    """Kernel size, stride and padding of each convolution, as a tiny state dict."""
    g, channels, tensors = torch.Generator().manual_seed(0), 3, {}
    for i, (name, (size, _, _)) in enumerate(network.items()):
        shape = (2 + i % 3, channels, size, size)
        tensors[f"net.slice{name}.weight"] = torch.randn(shape, generator=g) / size
        tensors[f"net.slice{name}.bias"] = torch.randn(shape[0], generator=g) / 10
        channels = shape[0]
        share = torch.rand(1, channels, 1, 1, generator=g)
        tensors[f"lin{int(name[0]) - 1}.model.1.weight"] = share  # a slice's last one stays
    return tensors


@pytest.fixture
def alex(tmp_path):
    save_file(weights(ALEX), tmp_path / "alex.safetensors")
    return tmp_path / "alex.safetensors"


def slid(x, size, stride, padding, of):
    """`of` each window of [C, H, W]."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:])
    at = [[x[:, stride * i :, stride * j :][:, :size, :size] for j in range(columns)]
          for i in range(rows)]  # fmt: skip
    return np.array([[of(window) for window in row] for row in at]).transpose(2, 0, 1)


def slices(picture, network, name, tensors):
    x = picture.transpose(2, 0, 1) / 255 * 2 - 1
    x = x - np.array([-0.030, -0.088, -0.188])[:, None, None]
    x = x / np.array([0.458, 0.448, 0.450])[:, None, None]
    pooled, window = POOLS[name]
    found = {}
    for layer, (size, stride, padding) in network.items():
        weight, bias = (tensors[f"net.slice{layer}.{k}"].numpy() for k in ("weight", "bias"))
        if layer in pooled:
            x = slid(x, window, 2, 0, lambda w: w.max((1, 2)))
        x = slid(x, size, stride, padding, lambda w: (weight * w).sum((1, 2, 3)) + bias)  # noqa: B023
        x = np.maximum(x, 0)
        found[layer[0]] = x
    return list(found.values())


def brute_force(truth, made, network, name, tensors):
    total = 0.0
    pairs = zip(*(slices(p, network, name, tensors) for p in (truth, made)), strict=True)
    for k, (a, b) in enumerate(pairs):
        share = tensors[f"lin{k}.model.1.weight"].numpy()[0, :, 0, 0]
        places = [
            sum(share * (a[:, i, j] / (np.linalg.norm(a[:, i, j]) + 1e-10)
                         - b[:, i, j] / (np.linalg.norm(b[:, i, j]) + 1e-10)) ** 2)
            for i in range(a.shape[1]) for j in range(a.shape[2])
        ]  # fmt: skip
        total += np.mean(places)
    return total


@pytest.mark.parametrize(("name", "network"), [("alex", ALEX), ("vgg", VGG)])
def test_it_is_the_computation_place_by_place(name, network, tmp_path):
    tensors = weights(network)
    save_file(tensors, tmp_path / "w.safetensors")
    truth, made = RNG.integers(0, 256, (2, 2, 32, 40, 3)).astype(np.uint8)
    found = Lpips(tmp_path / "w.safetensors")(truth, made)
    expected = [brute_force(t, m, network, name, tensors) for t, m in zip(truth, made, strict=True)]
    assert found == pytest.approx(expected, rel=1e-4)
    assert min(expected) > 0.01 and (Lpips(tmp_path / "w.safetensors")(truth, truth) == 0).all()


def test_shares_may_have_their_other_name_and_inputs_another_scale(alex, tmp_path):
    tensors = weights(ALEX)
    other = {k.replace("lin", "lins.", 1) if k.startswith("lin") else k: v
             for k, v in tensors.items()}  # fmt: skip
    save_file(other, tmp_path / "other.safetensors")
    truth, made = RNG.integers(0, 256, (2, 1, 32, 32, 3)).astype(np.uint8)
    plain = Lpips(alex)(truth, made)
    assert (Lpips(tmp_path / "other.safetensors")(truth, made) == plain).all()
    scaled = {**tensors, "scaling_layer.scale": torch.full((1, 3, 1, 1), 0.1)}
    save_file(scaled, tmp_path / "scaled.safetensors")
    assert (Lpips(tmp_path / "scaled.safetensors")(truth, made) != plain).all()


def test_wrong_files_are_named(alex, tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        Lpips(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match=r"no LPIPS weights.*save_model"):
        Lpips(tmp_path / "text.safetensors")
    tensors = weights(ALEX)
    for change, why in (
        ({"net.slice3.6.bias": None}, r"lacks net\.slice3\.6\.bias"),
        ({"lin4.model.1.weight": None}, r"lacks lin4"),
        ({"net.slice2.3.weight": torch.zeros(3, 7, 5, 5)}, "slice 2 does not read 2 channels"),
        ({"lin1.model.1.weight": torch.zeros(1, 9, 1, 1)}, "lin1 is not for the 3 channels"),
    ):
        kept = {k: v for k, v in {**tensors, **change}.items() if v is not None}
        save_file(kept, tmp_path / "wrong.safetensors")
        with pytest.raises(ValueError, match=why):
            Lpips(tmp_path / "wrong.safetensors")


def test_fidelity_reports_it_where_weights_are_given(alex, tmp_path, monkeypatch):
    world: Any = OracleWorld()
    world.remember(monkeypatch)
    report = Report(tmp_path)
    config = fidelity.FidelityConfig(clips=2, frames=8, stride=8, past=4, lpips=str(alex))
    fidelity.run(world, config, report)
    figures = {k: f for k, f in report.figures.items() if "lpips" in k}
    assert set(figures) == {
        *(f"fidelity.next_chunk_lpips.{n}" for n in ("world", "repeat", "rotation")),
        *(f"fidelity.free_lpips.{n}" for n in ("world", "codec", "repeat", "rotation")),
    }
    assert all((f.mean == 0) == (".world" in k or ".codec" in k) for k, f in figures.items())
    assert all(f.count == 2 for f in figures.values())


def test_the_command_refuses_weights_that_no_suite_reads(capsys):
    assert main(["eval", "null", "--suite", "drift", "--lpips", "alex.safetensors"]) != 0
    assert "add fidelity to --suite" in capsys.readouterr().err
