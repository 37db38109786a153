"""The counts of `python -m helios_core.bench`: known figures, and what the code really does.

Run: `pytest tests/helios_core/test_bench.py`.
"""

import json
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from helios_core import bench
from helios_core.config import TransformerConfig, helios_14b
from helios_core.costs import (
    Size,
    Way,
    chunk_costs,
    forward_flops,
    history_flops,
    memory_saving,
    modulation_bytes,
    naive_flops,
    pyramid_saving,
    tokens_of,
    weight_count,
)
from helios_core.transformer import HeliosTransformer
from tests.helios_core.test_model import TINY, inputs_of, model_of

RELEASED = helios_14b()
FULL = Size(48, 80, 9)
KINDS = [
    "self_linear",
    "ffn",
    "cross_linear",
    "cross_key_value",
    "cross_attention",
    "self_attention",
    "total",
]
TABLE = [
    (2940, [24.66, 33.29, 2.26, 2.15, 0.23, 7.08, 69.7]),
    (4560, [38.25, 51.64, 9.06, 2.15, 0.91, 17.03, 119.1]),
    (11040, [92.61, 125.02, 36.24, 2.15, 3.62, 99.85, 359.5]),
]


def test_forward_of_the_released_model_by_stage() -> None:
    stages = chunk_costs(RELEASED, FULL, steps=(1, 1, 1), text_tokens=512).stages
    for stage, (sequence, row) in zip(stages, TABLE, strict=True):
        assert stage.tokens.all == sequence
        counted = [getattr(stage.flops, kind) / 1e12 for kind in KINDS]
        assert counted == pytest.approx(row, rel=3e-3, abs=6e-3)


@pytest.mark.parametrize(
    ("rows", "columns", "noisy", "history"),
    [
        (48, 80, (540, 2160, 8640), 2400),
        (56, 104, (819, 3276, 13104), 3640),
        (88, 160, (1980, 7920, 31680), 8800),
    ],
)
def test_tokens_by_resolution(rows: int, columns: int, noisy: tuple, history: int) -> None:
    size = Size(rows, columns, 9)
    stages = chunk_costs(RELEASED, size, steps=(1, 1, 1), text_tokens=1).stages
    assert tuple(stage.tokens.noisy for stage in stages) == noisy
    assert {stage.tokens.history for stage in stages} == {history}


@pytest.mark.parametrize(
    ("way", "steps", "tera"),
    [
        (Way(), 1, 548.3),
        (Way(), 2, 1096.5),
        (Way(cache_text=True), 1, 541.8),
        (Way(cache_text=True), 2, 1083.6),
        (Way(cache_history=True), 1, 421.9),
        (Way(cache_history=True), 2, 791.7),
        (Way(cache_text=True, cache_history=True), 1, 415.4),
        (Way(cache_text=True, cache_history=True), 2, 778.8),
    ],
)
def test_chunk_of_the_released_model(way: Way, steps: int, tera: float) -> None:
    cost = chunk_costs(RELEASED, FULL, steps=(steps,) * 3, text_tokens=512, way=way)
    assert cost.total / 1e12 == pytest.approx(tera, rel=3e-4)


def test_savings() -> None:
    assert memory_saving(RELEASED, FULL) == 8
    assert pyramid_saving(RELEASED, FULL, (2, 2, 2)) == pytest.approx(2.29, abs=5e-3)
    assert modulation_bytes(RELEASED, 11040, 2) / 1e9 == pytest.approx(0.68, abs=5e-3)
    assert modulation_bytes(RELEASED, 2, 2) < 2e5


def test_naive_history_grows_and_ours_does_not() -> None:
    ours = forward_flops(RELEASED, tokens_of(RELEASED, FULL, 48, 80), 512).total
    naive = [naive_flops(RELEASED, FULL, n, 512) for n in (20, 60, 180)]
    assert naive[0] > 3 * ours
    assert naive[2] > 6 * naive[1] > 20 * naive[0] / 20


@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, actions=None),
        replace(TINY, actions=None, amplify_history="per_head"),
        replace(TINY, actions=None, cross_attn_norm=False, amplify_history="scalar"),
        replace(TINY, actions=None, restrict_history=False, multi_term_memory=False),
        replace(RELEASED, layers=2),
    ],
)
def test_weights_are_those_of_the_model(config: TransformerConfig) -> None:
    with torch.device("meta"):
        model = HeliosTransformer(config)
    assert weight_count(config) == sum(p.numel() for p in model.parameters())


def block_operations(work) -> int:
    """Operations that torch counts inside the blocks while `work` runs."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        work()
    return sum(counter.get_flop_counts()["Global"].values())


@pytest.mark.parametrize("restrict", [False, True])
@pytest.mark.parametrize("guidance", [False, True])
def test_counts_are_what_the_code_does(restrict: bool, guidance: bool) -> None:
    """Beside embeddings and output, torch counts exactly what we say, and no history work twice."""
    config = replace(TINY, actions=None, restrict_history=restrict, guidance_cross_attn=True)
    if not guidance:
        config = replace(config, restrict_history=False, guidance_cross_attn=False)
    model, given = model_of(config), inputs_of(config, batch=1)
    given["text"] = model.text_cache(given["text"])
    tokens = tokens_of(config, Size(4, 6, 3), 4, 6)
    counted = block_operations(lambda: model(**given)) - outside(config, tokens, given)
    way = Way(cache_text=True, trim_last=True)
    assert counted == forward_flops(config, tokens, 5, way).total
    if not config.restrict_history:
        return
    history, way = given["history"], replace(way, cache_history=True)
    counted = block_operations(lambda: model.history_cache(history))
    counted -= outside(config, tokens._replace(noisy=0), given, output=False)
    assert counted == history_flops(config, tokens, way).total
    given["history"] = model.history_cache(history)
    counted = block_operations(lambda: model(**given))
    counted -= outside(config, tokens._replace(long=0, mid=0, short=0), given)
    assert counted == forward_flops(config, tokens, 5, way).total


def outside(config, tokens, given, *, output: bool = True) -> int:
    """Operations of patchers, time embedding and output layer."""
    volume, dim = config.in_channels * 4, config.dim
    patched = tokens.noisy + tokens.short + 8 * tokens.mid + 64 * tokens.long
    times = output + (tokens.history > 0 and config.zero_history_timestep)
    time = times * 2 * (config.freq_dim * dim + dim * dim + 6 * dim * dim)
    out = 2 * tokens.noisy * dim * config.out_channels * 4 * output
    return 2 * patched * volume * dim + time + out


def test_command_prints_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    small = "--preset small --height 64 --width 96 --frames 1 --steps 3 --text-tokens 24"
    assert bench.main([*small.split(), "--threads", "1", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    last = json.loads(printed.splitlines()[-1])
    assert last["stages"][0]["tokens"] == {"long": 8, "mid": 6, "short": 48, "noisy": 24}
    assert last["timed"]["steps_ms"] > 0
    assert "concatenated" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--height", "480"], "nearest: 448x640, 512x640"),
        (["--steps", "2,x"], "such as 2,2,2"),
        (["--config", "/no/such/file"], "No such file"),
        (["--height", "383"], "multiples of 8"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main([*arguments, "--no-timing"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
