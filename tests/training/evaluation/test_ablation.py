"""Ablation: each variant differs by its own part alone, all get the same budget, and it runs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.cli import main
from tests.training import tiny
from training import recipe, steps
from training.evaluation import ablation
from training.evaluation.ablation import VARIANTS, AblationConfig
from training.evaluation.report import Report
from training.recipe import Recipe, StepConfig

WINDOWS = {"history": 7}
QUICK = {"lr": 3e-3, "warmup": 0, "ema": 0.0}
SHARED = {"latents": "latents", "held": "held", "codec": "codec", "windows": WINDOWS, "batch": 6,
          "optimiser": QUICK}  # fmt: skip


@pytest.fixture
def toy(tmp_path) -> Recipe:
    tiny.data(tmp_path)
    text = {"text_dim": 16, "width": 16, "layers": 1, "heads": 2, "max_words": 7, "buckets": 64}
    base = StepConfig(stage="base", settings={**SHARED, "model": dict(tiny.MODEL), "text": text})
    distill = StepConfig(
        stage="distill",
        settings={**SHARED, "teacher": "base", "head_blocks": [0, 1], "head_width": 8,
                  "weights": {"matching": 0.1, "adversarial": 0.1}, "critic_steps": 1},
    )  # fmt: skip
    return Recipe(
        name="toy", root=str(tmp_path), steps={"base": base, "distill": distill}, device="cpu"
    )


def settings_of(toy: Recipe, name: str) -> tuple[StepConfig, Any]:
    config = AblationConfig(samples=8)
    made = ablation._steps(toy, config, list(VARIANTS))
    step = made[ablation.step_name(name, config)]
    return step, steps.configure(step, name)[0]


def test_every_variant_has_the_same_budget_and_seed(toy) -> None:
    loops = [settings_of(toy, name)[0].loop for name in VARIANTS]
    assert all(loop == loops[0] and loop.samples == 8 for loop in loops)


@pytest.mark.parametrize("name", [n for n in VARIANTS if n not in ("pyramid", "distilled")])
def test_a_variant_differs_from_its_neighbour_by_its_part_alone(toy, name) -> None:
    mine, other = (settings_of(toy, n)[0].settings for n in (name, VARIANTS[name].beside))
    changed = {key for key in {**mine, **other} if mine.get(key) != other.get(key)}
    parts = {
        "full": set(), "no-anchor": {"model", "windows"}, "no-corruption": {"corruption"},
        "no-compression": {"model"}, "open-history": {"model", "actions"},
        "no-guidance": {"model"}, "no-pyramid": {"stages", "ratios"},
        "no-adversarial": {"weights"},
    }  # fmt: skip
    assert changed == parts[name]


def test_variants_remove_what_they_say(toy) -> None:
    assert settings_of(toy, "no-corruption")[1].corruption.clean == 1
    assert settings_of(toy, "no-compression")[1].model["history_sizes"] == [1, 1, 5]
    assert settings_of(toy, "no-anchor")[1].model["anchor"] is False
    assert settings_of(toy, "no-guidance")[1].model["guidance_cross_attn"] is False
    assert settings_of(toy, "no-adversarial")[1].weights.adversarial == 0
    assert settings_of(toy, "distilled")[1].weights.adversarial == 0.1
    assert settings_of(toy, "pyramid")[1].stages == 2  # 4x4 latents are halved once


def test_a_table_of_all_variants_at_toy_size(toy, tmp_path) -> None:
    config = AblationConfig(samples=16, chunks=8, windows=2)
    path = ablation.ablate(toy, config, Report(tmp_path / "out"))
    figures = json.loads(path.read_text())["figures"]
    for name in VARIANTS:
        for figure in ("next_error", "next_over_repeat", "free_psnr", "drift"):
            assert np.isfinite(figures[f"ablation.{name}.{figure}"]["mean"])
        assert (tmp_path / "out" / f"ablation-{name}.png").exists()
    rows = (tmp_path / "out" / "ablation.md").read_text().splitlines()
    assert len(rows) == 2 + len(VARIANTS)
    errors = [figures[f"ablation.{name}.next_error"]["mean"] for name in VARIANTS]
    assert len(set(errors)) == len(VARIANTS), "every part makes a difference"


def test_students_bring_their_teacher_and_their_neighbour() -> None:
    assert ablation._with_what_they_need(["no-adversarial"]) == [
        "full", "distilled", "no-adversarial",
    ]  # fmt: skip


def test_drift_is_the_worst_part_of_a_run_beside_the_truth() -> None:
    truth = np.random.default_rng(0).integers(60, 200, (2, 16, 8, 8, 3)).astype(np.uint8)
    made = truth.copy()
    made[1, 8:12] //= 2  # dark for a while, then well again
    still = ablation.picture_figures(truth, truth)
    dark = ablation.picture_figures(truth, made)
    assert still["drift"].mean == 0 and still["free_psnr"].mean == 60
    assert dark["drift"].mean == pytest.approx(0.25, abs=0.02)  # half of the runs, half as bright


def test_mistakes_are_one_sentence(toy, tmp_path, capsys) -> None:
    frozen = tmp_path / "toy.json"
    recipe.freeze(replace(toy, steps={"base": toy.steps["base"]}), frozen)
    assert main(["ablate", str(frozen), "--variants", "no-hands"]) == 2
    assert "no variant 'no-hands'" in capsys.readouterr().err
    command = ["ablate", str(frozen), "--variants", "distilled", "--out", str(tmp_path / "o")]
    assert main(command) == 2
    assert "no distill step" in capsys.readouterr().err
