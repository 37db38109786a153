"""Pictures of Wilds: they depend on seed, pose and moment alone, and show what they should."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.pretend_graph import by_tape
from training.worlds.wilds import biomes, camera, facts, noise, weather
from training.worlds.wilds.spec import SPEC
from training.worlds.wilds.world import Wilds, WildsConfig

SEEDS = [5, 91, 333, 12, 7]


def _walk(frames: int, worlds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = np.array([c.low for c in SPEC.channels])
    high = np.array([c.high for c in SPEC.channels])
    return SPEC.clip(rng.uniform(low, high, (frames * worlds, SPEC.size))).reshape(
        frames, worlds, SPEC.size
    )


def _differing(a: torch.Tensor, b: torch.Tensor) -> int:
    return int((a.int() - b.int()).abs().max())


def test_pictures_do_not_depend_on_the_batch():
    together = Wilds(SEEDS, 24, 36)
    alone = [Wilds([seed], 24, 36) for seed in SEEDS]
    for wilds in (together, *alone):
        wilds.set_facts(weather="storm")
    for t, action in enumerate(_walk(24, len(SEEDS))):
        if t == 3:
            for wilds in (together, *alone):
                wilds.event(["moon rises"] * wilds.count)
        together.step(action)
        for i, one in enumerate(alone):
            one.step(action[i : i + 1])
        if t % 4 == 0:
            assert _differing(together.render(), torch.cat([o.render() for o in alone])) == 0
    np.testing.assert_array_equal(together.poses(), np.concatenate([o.poses() for o in alone]))


def test_rendering_in_parts_equals_rendering_at_once(monkeypatch):
    wilds = Wilds(SEEDS, 24, 36)
    whole = wilds.render()
    monkeypatch.setattr("training.worlds.wilds.world.PIXELS_PER_PASS", {"cpu": 24 * 36 * 2})
    assert _differing(whole, wilds.render()) == 0


def test_graphs_show_the_same_walk():
    plain, graphed = Wilds(SEEDS, 24, 36), Wilds(SEEDS, 24, 36)
    graphed.graphs = graphed.as_graphs(by_tape)
    kept, rainy = graphed.state, 0
    for t, action in enumerate(_walk(40, len(SEEDS))):
        for wilds in (plain, graphed):
            if t % 8 == 2:
                names = ["rain starts", "night falls", None, "campfire is lit", "snow starts"]
                wilds.event(names[t // 8 :] + names[: t // 8])
            wilds.step(action)
        if t % 5 == 0:
            gap = (plain.render().int() - graphed.render().int()).abs()
            assert int(gap.max()) <= 3  # a trace of rain that no camera was thought to see
            rainy += bool((plain.state.weather[:, weather.RAIN] > 0.3).any())
    assert rainy
    np.testing.assert_array_equal(plain.poses(), graphed.poses())
    assert torch.equal(kept.body.x, Wilds(SEEDS, 24, 36).state.body.x), "states stay as they were"


def test_graphs_are_refused_without_cuda():
    with pytest.raises(ValueError, match="leave them off"):
        Wilds(SEEDS, 24, 36, graphs=True)


@pytest.mark.gpu
@pytest.mark.parametrize("graphs", [False, True])
def test_devices_agree(graphs):
    seeds = [*SEEDS, *range(1000, 1123)]  # so many that lookups have a million places
    a, b = Wilds(seeds, 64, 96), Wilds(seeds, 64, 96, device="cuda", graphs=graphs)
    for action in _walk(8, len(seeds)):
        a.step(action)
        b.step(action)
        b.render()
    gap = (a.render().int() - b.render().cpu().int()).abs().amax(-1)
    assert float((gap <= 2).float().mean()) >= 0.999


def test_nothing_is_left_on_the_cpu_when_the_worlds_are_elsewhere(monkeypatch):
    """The meta device refuses to mix devices as CUDA does; only values are missing there."""
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: True)
    spots = torch.Tensor.new_zeros
    monkeypatch.setattr(
        torch.Tensor, "nonzero", lambda tensor: spots(tensor, (5, 1), dtype=torch.long)
    )
    wilds = Wilds(SEEDS, 16, 24, device="meta")
    wilds.event(["rain starts", None, "night falls", "day passes", "campfire is lit"])
    wilds.step(np.zeros((len(SEEDS), SPEC.size), np.float32))
    assert wilds.render().device.type == "meta"
    assert facts.water_share(wilds.scene()).device.type == "meta"
    assert facts.landmarks_in_view(wilds.scene())["which"].device.type == "meta"


def test_coming_back_to_a_pose_shows_the_same_picture():
    wilds = Wilds(SEEDS, 32, 48)
    state, before = wilds.state, wilds.render()
    for action in _walk(10, len(SEEDS)):
        wilds.step(action)
    assert _differing(before, wilds.render()) > 20
    moved = wilds.state
    wilds.state = replace(state, body=state.body)
    assert _differing(before, wilds.render()) == 0
    assert moved.body.x is not state.body.x, "a state must not be changed in place"


def test_turning_a_full_circle_shows_the_same_land_again():
    wilds = Wilds(SEEDS, 32, 48, config=WildsConfig(hours_per_second=0.0))
    start = wilds.state
    turn = np.zeros((len(SEEDS), SPEC.size), np.float32)
    turn[:, SPEC.index("look_yaw")] = 240.0
    for _ in range(30):
        wilds.step(turn)
    back = replace(wilds.state, clock=start.clock, weather=start.weather, snowpack=start.snowpack)
    again = Wilds(SEEDS, 32, 48)
    again.state = start
    before = again.render()
    wilds.state = back
    assert np.abs(wilds.poses()[:, :4] - again.poses()[:, :4]).max() == 0
    close = (before.int() - wilds.render().int()).abs() <= 3
    assert float(close.float().mean()) > 0.995


def test_land_far_from_the_origin_is_as_smooth_as_near_it():
    land = Wilds([3, 4], 8, 12).land
    for far in (0.0, 3.0e7):
        x = torch.tensor([far, -far], dtype=torch.float64)
        offset = torch.full((2, 1), 0.25)
        ahead = land.height(land.anchor(x, -x), offset, offset)
        there = land.height(land.anchor(x + 0.25, 0.25 - x), offset * 0, offset * 0)
        torch.testing.assert_close(ahead, there, atol=2e-3, rtol=0)


def test_every_biome_looks_different():
    names = biomes.NAMES
    assert len(names) >= 12
    wilds = Wilds(
        list(range(len(names))), 24, 36,
        config=WildsConfig(biomes=names, weathers=("clear",) * 12, hours=(12.0,) * 12),
    )  # fmt: skip
    mean = wilds.render().float().mean((1, 2))
    gap = (mean[:, None] - mean[None]).abs().amax(-1) + 999 * torch.eye(len(names))
    assert float(gap.min()) > 2.0


def test_night_is_darker_than_noon_and_rain_greyer_than_clear():
    wilds = Wilds(SEEDS, 24, 36)
    wilds.set_facts(hour=12.0, weather="clear", snowpack=0.0)
    noon = wilds.render().float()
    wilds.set_facts(hour=23.5)
    assert float(wilds.render().float().mean()) < 0.55 * float(noon.mean())
    wilds.set_facts(hour=12.0, weather="rain")
    rain = wilds.render().float()
    spread = [(p.amax(-1) - p.amin(-1)).mean() for p in (noon, rain)]
    assert float(spread[1]) < float(spread[0])


def test_rows_meet_the_ground_where_a_plane_says():
    eye, focal_rows = torch.tensor([2.0]), 64
    z = camera.depths(eye.device)
    flat = torch.zeros(1, 1, len(z))
    slope = torch.linspace(-0.5, -0.05, focal_rows)[None]
    hits = camera.resolve(flat, eye, slope, 0.01)
    torch.testing.assert_close(hits.ahead[0, 0], -2.0 / slope[0], rtol=1e-3, atol=1e-3)
    assert bool(hits.ground.all())
    sky = camera.resolve(flat, eye, torch.full((1, 4), 0.3), 0.01)
    assert not bool(sky.ground.any())


def test_the_noise_tile_repeats_and_its_gradients_are_its_slopes():
    tile = noise.tile("cpu")
    u = torch.rand(200, generator=torch.Generator().manual_seed(0))
    v = torch.rand(200, generator=torch.Generator().manual_seed(1))
    here, there = noise.sample(tile, u, v), noise.sample(tile, u + 3, v - 2)
    torch.testing.assert_close(here, there, atol=2e-3, rtol=0)
    step = 2.0 / noise.SIZE
    rise = (noise.sample(tile, u + step, v) - noise.sample(tile, u - step, v)) / (2 * step)
    gap = (rise[noise.FBM] - here[noise.FBM_U]).abs().mean()
    assert float(gap) < 0.15 * float(here[noise.FBM_U].abs().mean())


def test_the_sun_is_up_by_day_and_the_moon_by_night():
    hours = torch.tensor([7.0, 12.0, 17.0, 21.0, 0.0, 4.0])
    assert (weather.sun_direction(hours)[1] > 0).tolist() == [True] * 3 + [False] * 3
    assert bool((weather.moon_direction(hours)[1][3:] > 0).all())


def test_still_water_mirrors_the_sky():
    wilds = Wilds(
        [7] * 40, 48, 72,
        config=WildsConfig(biomes=("beach",) * 40, weathers=("clear",) * 40, hours=(12.0,) * 40),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    here = wilds.state.body
    spots = [torch.tensor(rng.uniform(-900, 900, 40)) for _ in range(2)]
    wilds.state = replace(wilds.state, body=replace(here, x=spots[0], z=spots[1]))
    zero = torch.zeros(40, 1)
    height = wilds.land.height(wilds.land.anchor(*spots), zero, zero)[:, 0]
    lake = int(height.argmin())
    assert float(height[lake]) < -3
    feet = torch.full_like(here.feet, 0.2)
    wilds.state = replace(wilds.state, body=replace(wilds.state.body, feet=feet, pitch=feet * 0))
    picture = wilds.render()[lake].float()
    low, high = picture[26:30].mean((0, 1)), picture[18:22].mean((0, 1))
    assert float((low - high).abs().max()) < 45 and float(low[2]) > 90
