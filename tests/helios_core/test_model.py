"""The transformer beyond parity: caches, actions, training, compilation, sizes.

Run: `pytest tests/helios_core/test_model.py`.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helios_core.attention import attend
from helios_core.conditioning import ActionConditioning
from helios_core.config import TransformerConfig, helios_14b, small
from helios_core.memory import FrameIndices, frame_indices, make_history
from helios_core.positions import TABLES_KEPT
from helios_core.transformer import MIN_SIGMA, HeliosTransformer, join_text

ACTIONS = ActionConditioning(channels=3, window=2, width=8)
TINY = TransformerConfig(
    heads=2,
    head_dim=12,
    layers=3,
    in_channels=3,
    out_channels=3,
    text_dim=10,
    freq_dim=16,
    ffn_dim=32,
    rope_dim=(4, 4, 4),
    restrict_history=True,
    actions=ACTIONS,
)
SOME = torch.tensor([True, False])
"""An action mask: the second sample's action is dropped."""


def model_of(config: TransformerConfig, seed: int = 0, *, gates: bool = True) -> HeliosTransformer:
    """Random weights everywhere; without `gates` the action paths stay untrained."""
    generator = torch.Generator().manual_seed(seed)
    model = HeliosTransformer(config).eval()
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if not gates and ("action_gate" in name or "to_modulation" in name):
                continue
            scale = 0.3 if weight.ndim < 2 else 1.2 / weight[0].numel() ** 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return model


def inputs_of(config: TransformerConfig, batch: int = 2, frames: int = 3, rows: int = 4) -> dict:
    draw = torch.Generator().manual_seed(4)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    c, columns = config.in_channels, 6
    history = make_history(
        randn(batch, c, config.kept_frames, rows, columns),
        randn(batch, c, 1, rows, columns),
        config.history_sizes,
    )
    return {
        "noisy": randn(batch, c, frames, rows, columns),
        "timestep": torch.tensor([700.0, 31.0, 999.0])[:batch],
        "text": randn(batch, 5, config.text_dim),
        "history": history,
        "actions": randn(batch, frames, 2, 3) if config.actions else None,
    }


def close(a: Tensor, b: Tensor, limit: float = 1e-5) -> bool:
    return ((a - b).abs().max() / b.abs().max()).item() <= limit


# Sizes ------------------------------------------------------------------------------------------


def test_14b_has_the_released_size() -> None:
    with torch.device("meta"):
        model = HeliosTransformer(helios_14b())
    tensors = model.state_dict()
    assert len(tensors) == 1101
    assert round(sum(t.numel() for t in tensors.values()) / 1e9, 3) == 14.312
    assert tensors["patch_long.weight"].shape == (5120, 16, 4, 8, 8)
    assert tensors["blocks.39.ffn.net.2.weight"].shape == (5120, 13824)
    assert tensors["norm_out.scale_shift_table"].shape == (1, 2, 5120)


def test_fresh_model_predicts_zero_and_pools_history() -> None:
    model = HeliosTransformer(TINY)
    assert model(**inputs_of(TINY)).abs().max() == 0
    constant = torch.ones(1, 3, 4, 8, 8)
    short = model.patch_short(constant[:, :, :1])[0, 0]
    for patcher in (model.patch_mid, model.patch_long):
        assert torch.allclose(patcher(constant)[0, 0], short, atol=1e-5)


# Positions and attention ----------------------------------------------------------------------


@torch.no_grad()
def test_only_distances_in_time_matter() -> None:
    """All frames moved by the same time give the same output; the noisy ones alone do not."""
    model, given = model_of(TINY), inputs_of(TINY)
    history, indices = given["history"], frame_indices(TINY.history_sizes, 3)
    moved = FrameIndices(*(tuple(i + 5 for i in part) for part in indices))
    apart = indices._replace(noisy=moved.noisy)
    plain = model(**given)
    assert close(model(**{**given, "history": replace(history, indices=moved)}), plain, 1e-4)
    assert not close(model(**{**given, "history": replace(history, indices=apart)}), plain, 1e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_bf16_is_attention(masked: bool) -> None:
    draw = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(2, n, 3, 8, generator=draw) for n in (5, 7, 7))
    mask = torch.rand(2, 1, 1, 7, generator=draw) > 0.4 if masked else None
    exact = attend(query, key, value, mask)
    rough = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask)
    assert rough.dtype == torch.bfloat16
    assert close(rough.float(), exact, 0.02)


# Caches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("amplify", ["none", "scalar", "per_head"])
@pytest.mark.parametrize("layers", [1, 3])
@torch.no_grad()
def test_history_cache_equals_no_cache(amplify: str, layers: int) -> None:
    config = replace(TINY, amplify_history=amplify, layers=layers)
    model, given = model_of(config), inputs_of(config)
    plain = model(**given)
    given["history"] = model.history_cache(given["history"])
    for size in (4, 2):  # one cache serves every stage
        given["noisy"] = given["noisy"][..., :size, :]
        if size == 4:
            assert close(model(**given), plain)
        else:
            assert model(**given).shape[3] == 2


@torch.no_grad()
def test_restricted_history_does_not_see_the_chunk() -> None:
    """Without the restriction the same weights give another result."""
    config = replace(TINY, restrict_history=False)
    model, given = model_of(config), inputs_of(config)
    restricted = model_of(TINY)
    assert not close(model(**given), restricted(**given), 1e-3)


@torch.no_grad()
def test_text_and_action_caches_equal_no_cache() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    plain = model(**given, text_mask=mask)
    given["text"] = model.text_cache(given["text"], mask)
    given["actions"] = model.action_cache(given["actions"], batch=2, frames=3)
    assert torch.equal(model(**given), plain)


@torch.no_grad()
def test_masked_text_has_no_effect() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)
    plain = model(**given, text_mask=mask)
    given["text"] = torch.cat([given["text"][:, :2], 9 * torch.ones(2, 3, 10)], dim=1)
    assert torch.equal(model(**given, text_mask=mask), plain)


@torch.no_grad()
def test_joined_text_caches_are_a_batch() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    plain = model(**given)
    mask = torch.ones(1, 5, dtype=torch.bool)
    texts = [model.text_cache(text[None], mask) for text in given["text"]]
    assert close(model(**{**given, "text": join_text(texts)}), plain)
    bare = model.text_cache(given["text"][:1])
    with pytest.raises(ValueError, match="give all a mask"):
        join_text([texts[0], bare])


def test_tables_made_while_playing_serve_training() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    with torch.inference_mode():
        model(**given)
    model(**given).sum().backward()
    for rows in range(1, 40):
        model.positions.grid((0.0,), 2 * rows, 2, 1, torch.device("cpu"))
    assert len(model.positions._tables) == TABLES_KEPT


# Actions ----------------------------------------------------------------------------------------


@torch.no_grad()
def test_untrained_actions_change_no_bit() -> None:
    bare = replace(TINY, actions=None)
    plain, given = model_of(bare), inputs_of(TINY)
    model = model_of(TINY, gates=False)
    model.load_state_dict(plain.state_dict(), strict=False)
    without = {**given, "actions": None}
    assert torch.equal(model(**given), plain(**without))
    assert torch.equal(model(**without), plain(**without))


@pytest.mark.parametrize("path", ["cross_attention", "modulation"])
@torch.no_grad()
def test_each_action_path_acts(path: str) -> None:
    off = {"cross_attention": False, "modulation": False, path: True}
    config = replace(TINY, actions=replace(ACTIONS, **off))
    model, given = model_of(config), inputs_of(config)
    moved = {**given, "actions": given["actions"] + 1}
    assert not close(model(**moved), model(**given), 1e-3)


@pytest.mark.parametrize("rows", [range(6), range(6, 8)])
@torch.no_grad()
def test_action_modulation_reaches_blocks_and_output(rows: range) -> None:
    config = replace(TINY, actions=replace(ACTIONS, cross_attention=False))
    model, given = model_of(config), inputs_of(config)
    layer = model.actions.to_modulation
    for part in (layer.weight, layer.bias):
        others = [i for i in range(8) if i not in rows]
        part.view(8, config.dim, -1)[others] = 0
    moved = {**given, "actions": given["actions"] + 1}
    assert not close(model(**moved), model(**given), 1e-3)


@torch.no_grad()
def test_null_action_is_not_standing_still() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    null = model(**{**given, "actions": None})
    still = model(**{**given, "actions": torch.zeros_like(given["actions"])})
    assert not close(null, still, 1e-3)
    mixed = model(**given, action_mask=SOME)
    assert close(mixed[:1], model(**given)[:1])
    assert close(mixed[1:], null[1:])


@torch.no_grad()
def test_actions_reach_their_frame_and_no_earlier_one() -> None:
    """Action tokens: in one layer the last changes the last frame only, the first all of them."""
    config = replace(TINY, layers=1, actions=replace(ACTIONS, modulation=False))
    model, given = model_of(config), inputs_of(config)
    plain = model(**given)
    for frame, touched in ((2, [False, False, True]), (0, [True, True, True])):
        actions = given["actions"].clone()
        actions[:, frame] += 1
        change = (model(**{**given, "actions": actions}) - plain).abs().amax(dim=(0, 1, 3, 4))
        assert (change > 0).tolist() == touched


# Training ---------------------------------------------------------------------------------------


def test_every_parameter_gets_a_gradient() -> None:
    model, given = model_of(replace(TINY, amplify_history="per_head")), inputs_of(TINY)
    model(**given, action_mask=SOME).square().mean().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_checkpointing_gives_the_same_gradients() -> None:
    grads = []
    for on in (False, True):
        model, given = model_of(TINY), inputs_of(TINY)
        model.checkpoint_blocks = on
        model(**given, action_mask=SOME).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_bf16_autocast_trains_near_fp32() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    exact = model(**given, action_mask=SOME)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(**given, action_mask=SOME)
    assert close(rough.float(), exact, 0.1)
    rough.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@torch.no_grad()
def test_bf16_weights_run() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    exact = model(**given)
    model.bfloat16()
    small_inputs = {k: v if k == "timestep" else v.to(torch.bfloat16) for k, v in given.items()}
    out = model(**small_inputs)
    assert out.dtype == torch.bfloat16
    assert close(out.float(), exact, 0.15)


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest tensor had that any operation made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        stored = [t.untyped_storage().nbytes() // t.element_size() for t in made]
        self.numbers = max([self.numbers, *stored])
        return out


@torch.no_grad()
def test_modulation_is_never_expanded_to_tokens() -> None:
    """Six rows per token would be 6 N D numbers; nothing as large as 3 N D is ever made."""
    config = replace(TINY, ffn_dim=24, freq_dim=4)
    model, given = model_of(config), inputs_of(config, batch=1, frames=9, rows=24)
    model(**given)  # position tables are made once and kept
    mode = LargestTensor()
    with mode:
        out = model(**given)
    tokens = out.shape[2] * 12 * 3
    assert tokens * config.dim <= mode.numbers < 3 * tokens * config.dim


# Compilation ------------------------------------------------------------------------------------


@torch.no_grad()
def test_forward_compiles_without_a_break() -> None:
    config = replace(TINY, layers=1)
    model, given = model_of(config), inputs_of(config)
    plain = model(**given)
    compiled = torch.compile(model, fullgraph=True, dynamic=False, backend="aot_eager")
    assert close(compiled(**given), plain)
    given["history"] = model.history_cache(given["history"])
    assert close(compiled(**given), plain)


@torch.no_grad()
def test_block_compiles_to_machine_code() -> None:
    """The real compiler on one block, forward only."""
    config = replace(TINY, layers=1, actions=None)
    model, given = model_of(config), inputs_of(config)
    plain = model(**given)
    model.blocks[0].compile(fullgraph=True, dynamic=False)
    assert close(model(**given), plain)


# What the output means, and what is refused -------------------------------------------------------


@torch.no_grad()
def test_x0_prediction_is_returned_as_velocity() -> None:
    config = replace(TINY, prediction="x0")
    given = inputs_of(config)
    clean = model_of(TINY)(**given)  # the same weights, read as a clean latent
    velocity = model_of(config)(**given)
    sigma = (given["timestep"] / 1000).clamp(min=0.05).view(-1, 1, 1, 1, 1)
    assert close(given["noisy"] - sigma * velocity, clean)


def test_wrong_inputs_are_named() -> None:
    model, given = model_of(TINY), inputs_of(TINY)
    cases = [
        ({"noisy": torch.zeros(2, 4, 1, 4, 6)}, "give"),
        ({"noisy": torch.zeros(2, 3, 1, 5, 6)}, "nearest: 4x6"),
        ({"text": torch.zeros(2, 5, 11)}, "text encoder it was trained with"),
        ({"actions": torch.zeros(2, 3, 1, 3)}, "this call wants"),
        ({"history": replace(given["history"], short=torch.zeros(1, 3, 2, 4, 6))}, "same"),
        ({"history": replace(given["history"], mid=torch.zeros(2, 3, 5, 4, 6))}, "make_history"),
    ]
    for change, words in cases:
        with pytest.raises(ValueError, match=words):
            model(**{**given, **change})
    with pytest.raises(ValueError, match="restrict_history"):
        model_of(replace(TINY, restrict_history=False)).history_cache(given["history"])
    with pytest.raises(ValueError, match="actions=None"):
        model_of(replace(TINY, actions=None))(**given)


def test_small_preset_is_about_ten_million() -> None:
    with torch.device("meta"):
        model = HeliosTransformer(small(channels=24, width=320, layers=8, text_dim=192))
    assert 9e6 < sum(p.numel() for p in model.parameters()) < 17e6


CARRY = replace(TINY, carry=True, prediction="x0")


def test_a_fresh_model_that_carries_predicts_that_nothing_moves() -> None:
    given = inputs_of(CARRY)
    velocity = HeliosTransformer(CARRY).eval()(**given)
    sigma = (given["timestep"] / 1000).clamp(min=MIN_SIGMA).view(-1, 1, 1, 1, 1)
    clean = given["noisy"] - sigma * velocity
    assert torch.allclose(clean, given["history"].latest[:, :, 1:].expand_as(clean), atol=1e-5)


def test_a_model_that_carries_sees_the_newest_latent_in_its_place() -> None:
    model, given = model_of(CARRY), inputs_of(CARRY)
    with torch.no_grad():
        model.proj_out.weight.zero_()
        newest = given["history"].latest[:, :, 1:].expand_as(given["noisy"])
        before = model._tokens(given["noisy"], None, torch.zeros_like(newest))[0]
        after, _, head = model._tokens(given["noisy"], given["history"], newest)
        seen = model.patch_carry(newest) - model.patch_carry.bias
        assert torch.allclose(after[:, head:] - before, seen, atol=1e-5)


def test_carrying_through_the_cache_equals_carrying_without() -> None:
    model, given = model_of(CARRY), inputs_of(CARRY)
    plain = model(**given)
    cached = model(**{**given, "history": model.history_cache(given["history"])})
    assert torch.allclose(plain, cached, atol=1e-5)


def test_carrying_fits_a_lower_stage_of_a_pyramid() -> None:
    model, given = model_of(CARRY), inputs_of(CARRY, rows=8)
    small_noisy = given["noisy"][..., :4, :2].contiguous()
    assert model(**{**given, "noisy": small_noisy}).shape == small_noisy.shape
