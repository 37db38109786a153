"""The precision of training: what is clearly faster here, and what is asked for."""

import pytest
import torch

from tests.training.test_recipes import tiny
from training import precision, recipe, steps


@pytest.mark.parametrize(
    ("plain", "half", "taken"),
    [(1.0, 0.3, "bf16"), (1.0, 0.9, "fp32"), (1.0, 50.0, "fp32")],
)
def test_bf16_has_to_be_clearly_faster(plain, half, taken):
    assert precision.pick(plain, half) == taken


def test_the_best_of_several_products_counts():
    times = iter([0.0, 5.0, 5.0, 6.0, 6.0, 9.0])
    assert precision.seconds_of_product(torch.float32, 3, lambda: next(times)) == 1.0


def test_a_gpu_takes_bf16():
    assert precision.suited(torch.device("cuda")) == "bf16"


@pytest.mark.parametrize("measured", ["fp32", "bf16"])
def test_a_recipe_takes_what_suits_unless_it_asks(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_faster", lambda: measured)
    settings = tiny(tmp_path)
    settings.remove("precision=fp32")
    loaded = recipe.load("wilds-nano", settings)
    assert steps.make_context(loaded, "codec").precision == measured
    asked = recipe.load("wilds-nano", [*settings, "precision=bf16"])
    assert steps.make_context(asked, "codec").precision == "bf16"
