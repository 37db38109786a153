"""A model through static buffers. Run: `pytest tests/helios_core/test_program.py`."""

import pytest
import torch

from helios_core.memory import make_history
from helios_core.program import ModelProgram
from helios_core.sampling.chunk import Conditions, sample_chunk, solve_stage
from helios_core.sampling.noise import SeededNoise
from helios_core.sampling.plan import SamplerPlan
from helios_core.transformer import HeliosTransformer, HistoryCache
from tests.helios_core.test_model import TINY, model_of

SHAPE = (1, TINY.in_channels, 3, 16, 16)


def test_chunks_are_equal_and_buffers_stay() -> None:
    model = model_of(TINY)
    program, plan = ModelProgram(model), SamplerPlan(steps=(2, 2))
    text = model.text_cache(torch.randn(1, 5, TINY.text_dim))
    actions = model.action_cache(None, batch=1, frames=3)
    assert actions is not None
    places: list[list[int]] = []
    for chunk in range(3):
        given = Conditions(text=text, history=past_of(model), actions=actions)
        noise = SeededNoise([(0, chunk)])
        before = program.copies
        found = sample_chunk(program, plan, noise, SHAPE, given)
        assert torch.equal(found, sample_chunk(model, plan, noise, SHAPE, given))
        places.append([x.tensor.data_ptr() for c in program.captures.values() for x in c.inputs])
        # The start of each stage, the history once; text and actions in the first chunk only.
        once = 4 * TINY.layers + 2 if chunk == 0 else 0
        assert program.copies - before == plan.stages + 2 * TINY.layers + 1 + once
    assert len(program.captures) == plan.stages
    assert places[0] == places[1] == places[2]


def past_of(model: HeliosTransformer, device: str = "cpu") -> HistoryCache:
    kept = torch.randn(1, TINY.in_channels, TINY.kept_frames, 16, 16, device=device)
    return model.history_cache(make_history(kept, kept[:, :, :1], TINY.history_sizes))


def test_guidance_asks_twice_and_gets_two_answers() -> None:
    model = model_of(TINY)
    program, plan = ModelProgram(model), SamplerPlan(solver="euler", steps=(2,), guidance=3.0)
    text, other = (model.text_cache(torch.randn(1, 5, TINY.text_dim)) for _ in range(2))
    given = Conditions(text=text, negative=other, history=past_of(model))
    noise = SeededNoise([(0, 0)])
    found = sample_chunk(program, plan, noise, SHAPE, given)
    assert torch.equal(found, sample_chunk(model, plan, noise, SHAPE, given))


def test_a_plan_that_draws_between_steps_goes_step_by_step() -> None:
    model = model_of(TINY)
    program = ModelProgram(model)
    plan = SamplerPlan(steps=(2,), renoise="fresh")
    given = Conditions(text=model.text_cache(torch.randn(1, 5, TINY.text_dim)))
    noise = SeededNoise([(0, 0)])
    found = sample_chunk(program, plan, noise, SHAPE, given)
    assert torch.equal(found, sample_chunk(model, plan, noise, SHAPE, given))
    assert [key[0] for key in program.captures] == ["_forward"]


@pytest.mark.gpu
def test_nothing_is_allocated_once_every_stage_was_seen() -> None:
    model = model_of(TINY).to("cuda").requires_grad_(False)
    program, plan = ModelProgram(model), SamplerPlan(steps=(2, 2))
    text = model.text_cache(torch.randn(1, 5, TINY.text_dim, device="cuda"))
    x = torch.randn(SHAPE, device="cuda")
    given = Conditions(text=text, history=past_of(model, "cuda"))
    steps = plan.stage_steps(1, 64, first_chunk=False)
    with torch.no_grad():
        wanted = solve_stage(model, plan, 1, steps, x, given)
        counts = []
        for _ in range(4):
            torch.cuda.synchronize()
            before = torch.cuda.memory_stats()["allocation.all.allocated"]
            found = program.replay(solve_stage, plan, 1, steps, x, given)
            counts.append(torch.cuda.memory_stats()["allocation.all.allocated"] - before)
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert counts[1:] == [1, 1, 1]  # the result, which the caller keeps
