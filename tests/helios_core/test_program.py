"""A model through static buffers. Run: `pytest tests/helios_core/test_program.py`."""

import torch

from helios_core.memory import make_history
from helios_core.program import ModelProgram
from helios_core.sampling.chunk import Conditions, sample_chunk
from helios_core.sampling.noise import SeededNoise
from helios_core.sampling.plan import SamplerPlan
from tests.helios_core.test_model import TINY, model_of

SHAPE = (1, TINY.in_channels, 3, 16, 16)


def test_chunks_are_equal_and_buffers_stay() -> None:
    model = model_of(TINY)
    program, plan = ModelProgram(model), SamplerPlan(steps=(2, 2))
    text = model.text_cache(torch.randn(1, 5, TINY.text_dim))
    actions = model.action_cache(None, batch=1, frames=3)
    places: list[list[int]] = []
    for chunk in range(3):
        kept = torch.randn(1, TINY.in_channels, TINY.kept_frames, 16, 16)
        past = model.history_cache(make_history(kept, kept[:, :, :1], TINY.history_sizes))
        given = Conditions(text=text, history=past, actions=actions)
        noise = SeededNoise([(0, chunk)])
        before = program.copies
        found = sample_chunk(program, plan, noise, SHAPE, given)
        assert torch.equal(found, sample_chunk(model, plan, noise, SHAPE, given))
        places.append([x.data_ptr() for c in program.captures.values() for x in c.inputs])
        # Per step x and t; per stage the history once, the text only in the first chunk.
        history = 2 * TINY.layers
        others = sum(1 for c in program.captures.values() for x in c.inputs) - 2 * (2 + history)
        assert program.copies - before == 4 * 2 + 2 * history + (others if chunk == 0 else 0)
    assert len(program.captures) == plan.stages
    assert places[0] == places[1] == places[2]
