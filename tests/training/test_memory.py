"""Memory savers leave gradients alone, and the planner says what a step will take."""

import pytest
import torch
from torch import nn
from torch.profiler import profile

from helios_core.config import small
from training.lora import Adapter, AdapterConfig
from training.memory import planner
from training.memory.backward import backward_through, backward_together
from training.memory.offload import Lodger
from training.memory.tracker import Tracker

SHAPE = planner.Shape(batch=4, channels=4, frames=2, rows=16, columns=16, text=8)
PLAIN = planner.Savers(offload=False, checkpoint_blocks=False)


def config(**changes):
    return small(channels=4, width=128, layers=4, text_dim=32, **changes)


def measured(work, *known):
    """Peak bytes by the allocator's own events, over what lives already."""
    with profile(profile_memory=True) as prof:
        work()
    now = peak = 0
    for event in prof.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak + sum(t.nbytes for t in known)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("rank", [0, 4])
def test_the_planned_peak_is_within_a_tenth_of_the_measured_one(rank, blocks):
    savers = planner.Savers(offload=False, checkpoint_blocks=blocks)
    planned = planner.base_peak(config(), SHAPE, rank, savers)
    torch.manual_seed(0)
    model, adapter = planner._trained(config(), rank, savers)
    trained = planner._trainable(model, adapter)
    known = [*model.parameters(), *planner._params(adapter)]

    def step():
        planner._ask(model, SHAPE).float().square().mean().backward()
        planner._step(trained)

    before, planner.attention.FEW_TOKENS = planner.attention.FEW_TOKENS, 0
    try:
        step()
        for p in trained:
            del p.moments
        found = measured(step, *known)
    finally:
        planner.attention.FEW_TOKENS = before
    assert abs(planned - found) < 0.1 * found, (planned, found)


def test_checkpointed_blocks_and_split_backward_lower_the_planned_peak():
    plain = planner.base_peak(config(), SHAPE, 4, PLAIN)
    saved = planner.base_peak(config(), SHAPE, 4, planner.Savers(offload=False))
    assert saved < 0.7 * plain
    whole = planner.distill_peak(config(), SHAPE, 4, planner.Savers(offload=False))
    turns = planner.distill_peak(config(), SHAPE, 4, planner.Savers(offload=True))
    apart = planner.distill_peak(
        config(), SHAPE, 4, planner.Savers(offload=False, share_critic=False)
    )
    assert turns < whole < apart


def test_a_plan_reads_well():
    lines = planner.table([planner.Estimate("base", 30 * planner.GIB)], 80).splitlines()
    assert "yes" in lines[1]
    assert "NO" in planner.table([planner.Estimate("base", 79 * planner.GIB)], 80)


@pytest.mark.full
def test_the_released_size_fits_eighty_gigabytes():
    estimates = planner.plan(planner.preset("helios_14b"), planner.Shape(), rank=256)
    assert all(e.fits(80) for e in estimates), planner.table(estimates, 80)


def test_the_tracker_counts_what_lives():
    with Tracker() as tracker:
        a = torch.zeros(1000)
        b = a.view(10, 100)  # the same storage
        assert tracker.now == 4000
        c = b + 1
        del a, b
        assert tracker.now == 4000 and tracker.peak == 8000
        del c
    assert tracker.now == 0


def test_splitting_frees_one_loss_before_the_next():
    torch.manual_seed(0)
    stem, heads = nn.Linear(64, 512), [nn.Linear(512, 4096) for _ in range(3)]
    x = torch.randn(32, 64)

    def terms():
        return {str(i): lambda y, h=h: h(y).relu().square().mean() for i, h in enumerate(heads)}

    grads, peaks = [], []
    for through in (backward_through, backward_together):
        stem.zero_grad()
        with Tracker() as tracker:
            through(stem(x), terms())
        grads.append(stem.weight.grad.clone())
        peaks.append(tracker.peak)
        for head in heads:
            head.zero_grad()
    assert torch.allclose(grads[0], grads[1], atol=1e-7)
    assert peaks[0] < peaks[1]


def test_a_lodger_computes_as_if_it_never_left():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)).requires_grad_(False)
    adapter = Adapter(net, AdapterConfig(rank=2, modules=("*",)))
    with torch.no_grad():
        for p in adapter.up.values():
            p.normal_()
    x = torch.randn(4, 8, requires_grad=True)
    net(x).square().mean().backward()
    expected, x.grad = x.grad.clone(), None
    wanted = {n: p.grad.clone() for n, p in adapter.named_parameters()}
    adapter.zero_grad()
    lodger = Lodger(net, torch.device("cpu"))
    home = [p.data_ptr() for p in net.parameters()]
    lodger.prefetch()
    with lodger.visiting():
        assert all(p.data_ptr() != h for p, h in zip(net.parameters(), home, strict=True))
        y = net(x)
    with lodger.visiting():  # it may leave between forward and backward
        y.square().mean().backward()
    assert [p.data_ptr() for p in net.parameters()] == home
    assert torch.equal(x.grad, expected)
    for name, p in adapter.named_parameters():
        assert torch.equal(p.grad, wanted[name]), name
    with pytest.raises(ValueError, match="only frozen weights"):
        Lodger(nn.Linear(2, 2), torch.device("cpu"))
