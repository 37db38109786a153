"""The convolutions around the tokens: closed when fresh, heard once opened, cached as without."""

from dataclasses import replace

import pytest
import torch

from helios_core.conditioning import ActionConditioning
from helios_core.context import share_context
from helios_core.local import LARGEST, Forecast
from helios_core.transformer import MIN_SIGMA, HeliosTransformer, join_text
from tests.helios_core.test_model import TINY, inputs_of, model_of

LOCAL = replace(
    TINY,
    carry=True,
    prediction="x0",
    forecast=(8, 2),
    local=(8, 1),
    pooled_text=True,
    restrict_history=True,
    actions=ActionConditioning(channels=3, window=2, width=16, cross_attention=False),
)


def clean_of(model: HeliosTransformer, given: dict) -> torch.Tensor:
    sigma = (given["timestep"] / 1000).clamp(min=MIN_SIGMA).view(-1, 1, 1, 1, 1)
    return given["noisy"] - sigma * model(**given)


def test_a_fresh_model_expects_that_nothing_moves() -> None:
    given = inputs_of(LOCAL)
    newest = given["history"].latest[:, :, 1:]
    clean = clean_of(HeliosTransformer(LOCAL).eval(), given)
    assert torch.allclose(clean, newest.expand_as(clean), atol=1e-5)


@pytest.mark.parametrize("part", ["forecast.leave", "local.leave", "patch_local"])
def test_every_part_is_heard_once_it_is_open(part) -> None:
    model, given = model_of(LOCAL), inputs_of(LOCAL)
    with torch.no_grad():
        before = model(**given)
        model.get_submodule(part).weight.mul_(1.5)
        assert not torch.allclose(before, model(**given), atol=1e-5)


def test_the_mean_of_the_text_is_heard_beside_the_cross_attention() -> None:
    model, given = model_of(LOCAL), inputs_of(LOCAL)
    with torch.no_grad():
        for block in model.layers:
            block.attn2.to_out[0].weight.zero_()
        before = model(**given)
        after = model(**{**given, "text": given["text"] + 1.0})
    assert not torch.allclose(before, after, atol=1e-4)


def test_text_that_does_not_count_is_not_in_the_mean() -> None:
    model = model_of(LOCAL)
    text = torch.randn(1, 4, LOCAL.text_dim)
    mask = torch.tensor([[True, True, False, False]])
    changed = text.clone()
    changed[:, 2:] += 5.0
    first, second = (model.text_cache(t, mask).pooled for t in (text, changed))
    assert first is not None and second is not None and torch.allclose(first, second)
    joined = join_text([model.text_cache(text, mask), model.text_cache(changed, mask)])
    assert joined.pooled is not None and joined.pooled.shape == (2, LOCAL.dim)


def test_caches_change_nothing() -> None:
    model, given = model_of(LOCAL), inputs_of(LOCAL)
    plain = model(**given)
    cached = {**given, "history": model.history_cache(given["history"])}
    assert torch.allclose(plain, model(**cached), atol=1e-5)


def test_a_forecast_made_once_is_the_one_made_at_every_step() -> None:
    model, given = model_of(LOCAL), inputs_of(LOCAL)
    past = model.history_cache(given["history"])
    batch, _, frames = given["noisy"].shape[:3]
    actions = model.action_cache(given["actions"], batch=batch, frames=frames)
    seen = model.foresee(actions, past)
    assert seen is not None and seen.guess is not None
    plain = model(**{**given, "history": past, "actions": actions})
    assert torch.equal(plain, model(**{**given, "history": past, "actions": seen}))


def test_alone_the_convolutions_make_what_all_make_while_the_tokens_are_silent() -> None:
    model, given = model_of(LOCAL), inputs_of(LOCAL)
    with torch.no_grad():
        for layer in (model.proj_out, model.proj_local, model.patch_local):
            for value in layer.parameters():
                value.zero_()
        whole = model(**given)
        model.near_only = True
        past = model.history_cache(given["history"])
        assert torch.allclose(whole, model(**given), atol=1e-5)
        assert torch.allclose(whole, model(**{**given, "history": past}), atol=1e-5)


def test_a_forecast_goes_on_from_its_own_guess_and_is_silent_without_a_past() -> None:
    torch.manual_seed(0)
    forecast = Forecast(4, 6, 8, 1)
    latest, told = torch.randn(2, 4, 2, 4, 6), torch.randn(2, 3, 6)
    latest[1] = 0
    both = forecast(latest, told)
    first = forecast(latest, told[:, :1])
    again = torch.cat([latest[:, :, 1:], first], 2)
    assert torch.allclose(both[:, :, 1:2], forecast(again, told[:, 1:2]), atol=1e-6)
    assert not both[1].any() and both[0].any()


def test_what_a_model_with_a_forecast_makes_is_bounded() -> None:
    model, given = HeliosTransformer(LOCAL).eval(), inputs_of(LOCAL)
    with torch.no_grad():
        model.local.leave.bias.fill_(1000.0)
        clean = clean_of(model, given)
    assert torch.allclose(clean, torch.full_like(clean, LARGEST), atol=1e-3)


def test_a_guess_never_grows_without_bound() -> None:
    torch.manual_seed(0)
    forecast = Forecast(4, 6, 16, 1)
    torch.nn.init.normal_(forecast.leave.weight, std=5.0)
    latest = torch.randn(2, 4, 2, 4, 6)
    for _ in range(20):
        latest = forecast(latest, torch.randn(2, 2, 6))
        assert latest.abs().max() <= LARGEST
    assert latest.abs().max() == LARGEST  # it would have grown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"carry": False}, "carry"),
        ({"actions": None}, "actions"),
        ({"local": (8, 0)}, "two zeros"),
        ({"forecast": (8, -1)}, "two zeros"),
    ],
)
def test_what_cannot_work_is_refused(change, words) -> None:
    with pytest.raises(ValueError, match=words):
        replace(LOCAL, **change)


def test_its_context_is_not_shared_among_processes() -> None:
    with pytest.raises(ValueError, match="one process"):
        share_context(model_of(LOCAL))
