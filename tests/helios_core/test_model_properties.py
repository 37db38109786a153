"""Any config and any size either works or is refused with a remedy, before any tensor is made.

Run: `pytest tests/helios_core/test_model_properties.py`.
"""

import re
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from helios_core.conditioning import ActionConditioning
from helios_core.config import TransformerConfig
from helios_core.memory import History
from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.pyramid import check_pyramid, stage_sizes
from helios_core.transformer import HeliosTransformer

REMEDY = re.compile(
    r"give|nearest|switched on|needs|such as|leave|switch on|must be|is not patched"
)


class NoTensors(TorchDispatchMode):
    """Fails when any tensor operation runs."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} ran before the input was refused")


def mostly(good: st.SearchStrategy, *bad: object) -> st.SearchStrategy:
    """A good value far more often than a bad one: a config has many."""
    return st.integers(0, 39).flatmap(lambda n: good if n else st.sampled_from(bad))


small_counts = st.integers(1, 3)
even = st.integers(1, 3).map(lambda n: 2 * n)
rope = st.tuples(even, even, even)


@st.composite
def config_values(draw: st.DrawFn) -> dict:
    rope_dim = draw(mostly(rope, (3, 3, 2), (4, 4, 0), (2, 2)))
    actions = st.builds(ActionConditioning, channels=small_counts, window=small_counts)
    return {
        "patch": draw(mostly(st.sampled_from([(1, 2, 2), (1, 1, 2)]), (2, 2, 2), (1, 0, 2))),
        "heads": draw(mostly(small_counts, 0, -1, 1.5)),
        "head_dim": draw(mostly(st.just(sum(rope_dim)), 5, 0)),
        "layers": draw(mostly(small_counts, 0)),
        "in_channels": draw(mostly(small_counts, 0)),
        "out_channels": draw(small_counts),
        "text_dim": draw(mostly(small_counts, 0)),
        "freq_dim": draw(mostly(even, 3)),
        "ffn_dim": draw(mostly(small_counts, -4)),
        "history_sizes": draw(
            mostly(st.tuples(small_counts, small_counts, small_counts), (4, 2), (0, 2, 1))
        ),
        "rope_dim": rope_dim,
        "eps": draw(mostly(st.just(1e-6), 0.0)),
        "cross_attn_norm": draw(st.booleans()),
        "zero_history_timestep": draw(st.booleans()),
        "guidance_cross_attn": draw(st.booleans()),
        "multi_term_memory": draw(st.booleans()),
        "amplify_history": draw(mostly(st.sampled_from(["none", "scalar", "per_head"]), "all")),
        "restrict_history": draw(st.booleans()),
        "prediction": draw(mostly(st.sampled_from(["velocity", "x0"]), "noise")),
        "actions": draw(st.none() | actions),
    }


def meta_history(config: TransformerConfig, rows: int, columns: int) -> History | None:
    if not config.multi_term_memory:
        return None
    long, mid, recent = config.history_sizes
    shape = (1, config.in_channels, 1, rows, columns)
    frame = torch.empty(shape, device="meta")
    parts = [frame.repeat(1, 1, n, 1, 1) for n in (long, mid, recent + config.anchor)]
    return History(long=parts[0], mid=parts[1], short=parts[2])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(values=config_values(), rows=mostly(even, 0, 5), columns=mostly(even, 0, 7))
def test_a_config_works_or_is_refused(values: dict, rows: int, columns: int) -> None:
    try:
        with NoTensors():
            config = TransformerConfig(**values)
            config.check_size(rows, columns)
    except ValueError as error:
        assert REMEDY.search(str(error)), error
        return
    assert TransformerConfig.from_dict(config.to_dict()) == config
    with torch.device("meta"):
        model = HeliosTransformer(config)
        noisy = torch.empty(1, config.in_channels, 2, rows, columns)
        text = torch.empty(1, 3, config.text_dim)
        out = model(noisy, torch.empty(1), text, meta_history(config, rows, columns))
    assert out.shape == (1, config.out_channels, 2, rows, columns)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 200),
    columns=st.integers(1, 200),
    stages=st.integers(1, 4),
    patch=st.sampled_from([(1, 2, 2), (1, 1, 1), (1, 1, 2)]),
)
def test_a_size_fits_or_the_nearest_that_fit_are_named(
    rows: int, columns: int, stages: int, patch: tuple[int, int, int]
) -> None:
    try:
        check_pyramid(rows, columns, stages=stages, patch=patch)
    except ValueError as error:
        named = re.findall(r"(\d+)x(\d+)", str(error).split("nearest:")[1])
        assert named, error
        for near_rows, near_columns in named:
            check_pyramid(int(near_rows), int(near_columns), stages=stages, patch=patch)
            unit = max(patch) * 2**stages
            assert abs(int(near_rows) - rows) < unit
            assert abs(int(near_columns) - columns) < unit
        return
    sizes = stage_sizes(rows, columns, stages)
    assert sizes[-1] == (rows, columns)
    for (h, w), (next_h, next_w) in pairwise(sizes):
        assert (2 * h, 2 * w) == (next_h, next_w)
        assert h % patch[1] == w % patch[2] == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.integers(0, 4), max_size=4).map(tuple),
    solver=st.sampled_from(["unipc", "euler", "dmd", "ddim"]),
    shift=st.sampled_from(["none", "linear", "exponential", "cosine"]),
    gamma=st.sampled_from([1 / 3, 0.1, 0.0, 0.4]),
    guidance=st.sampled_from([1.0, 5.0, 0.0]),
    amplify=st.booleans(),
    tokens=st.integers(1, 40000),
)
def test_a_plan_works_or_is_refused(steps, solver, shift, gamma, guidance, amplify, tokens) -> None:
    values = {"steps": steps, "solver": solver, "shift": shift, "gamma": gamma}
    try:
        plan = SamplerPlan(**values, guidance=guidance, amplify_first=amplify)
    except ValueError as error:
        assert re.search("give|only", str(error)), error
        return
    for stage in range(plan.stages):
        for first in (False, True):
            made = plan.stage_steps(stage, tokens, first)
            assert len(made.sigmas) == len(made.timesteps) + 1
            assert list(made.sigmas) == sorted(set(made.sigmas), reverse=True)
            assert list(made.timesteps) == sorted(made.timesteps, reverse=True)
            assert 0 <= made.timesteps[-1] <= made.timesteps[0] <= 1000
