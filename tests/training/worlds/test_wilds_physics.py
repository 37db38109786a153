"""How walkers of Wilds move: symmetry, rest, slopes, water, jumps, things in the way, no border."""

from dataclasses import replace

import numpy as np
import torch

from training.worlds.wilds import objects, physics
from training.worlds.wilds.spec import FORWARD, JUMP, PITCH, RUN, SPEC, STRAFE, YAW
from training.worlds.wilds.world import Wilds, WildsConfig

SEEDS = list(range(16))
EASY = WildsConfig(biomes=("meadow",) * 16)


def _action(count: int = 16, **channels: float) -> np.ndarray:
    return np.repeat(SPEC.build(1, **channels), count, 0)


def _run(wilds: Wilds, frames: int, **channels: float) -> np.ndarray:
    for _ in range(frames):
        wilds.step(_action(wilds.count, **channels))
    return wilds.poses()


def test_no_input_means_no_motion():
    wilds = Wilds(SEEDS, 8, 12)
    before = wilds.poses()
    np.testing.assert_array_equal(_run(wilds, 20), before)


def test_turning_left_undoes_turning_right():
    wilds = Wilds(SEEDS, 8, 12)
    before = wilds.poses()
    right = _run(wilds, 7, look_yaw=90.0, look_pitch=40.0)
    turned = (right[:, 4] - before[:, 4]) % 360
    np.testing.assert_allclose(turned, 90 * 7 / 20, atol=1e-3)
    assert (right[:, 5] > before[:, 5]).all(), "look_pitch is positive upwards"
    after = _run(wilds, 7, look_yaw=-90.0, look_pitch=-40.0)
    np.testing.assert_allclose(after[:, :4], before[:, :4])
    np.testing.assert_allclose((after[:, 4] - before[:, 4] + 180) % 360 - 180, 0, atol=1e-3)
    np.testing.assert_allclose(after[:, 5], before[:, 5], atol=1e-3)


def test_forward_is_where_the_camera_looks_and_strafe_is_to_its_right():
    for channel, angle in (("move_forward", 0.0), ("strafe", 90.0)):
        wilds = Wilds(SEEDS, 8, 12, config=EASY)
        before = wilds.poses()
        moved = _run(wilds, 6, **{channel: 1.0}) - before
        free = np.hypot(moved[:, 0], moved[:, 1]) > 0.7
        heading = np.degrees(np.arctan2(moved[:, 0], moved[:, 1]))
        gap = (heading - before[:, 4] - angle + 180) % 360 - 180
        assert free.sum() >= 10
        assert np.median(np.abs(gap[free])) < 2


def test_a_walk_undone_in_reverse_leads_back():
    wilds = Wilds(SEEDS, 8, 12, config=EASY)
    before = wilds.poses()
    _run(wilds, 20, move_forward=1.0, look_yaw=60.0)
    _run(wilds, 20, move_forward=-1.0, look_yaw=-60.0)
    after = _run(wilds, 10)
    away = np.hypot(*(after - before)[:, :2].T)
    assert np.median(away) < 0.05


def test_running_is_faster_and_half_a_stick_is_slower():
    reach = {}
    for name, channels in {
        "walk": {"move_forward": 1.0},
        "run": {"move_forward": 1.0, "run": 1.0},
        "creep": {"move_forward": 0.4},
        "diagonal": {"move_forward": 1.0, "strafe": 1.0},
    }.items():
        wilds = Wilds(SEEDS, 8, 12, config=EASY)
        before = wilds.poses()
        moved = _run(wilds, 12, **channels) - before
        reach[name] = float(np.median(np.hypot(moved[:, 0], moved[:, 1])))
    assert reach["creep"] < 0.6 * reach["walk"] < reach["walk"] < 0.7 * reach["run"]
    assert reach["diagonal"] < 1.15 * reach["walk"], "diagonals are no faster"


def test_a_jump_rises_and_lands_where_the_ground_is():
    wilds = Wilds(SEEDS, 8, 12, config=EASY)
    feet = wilds.poses()[:, 2]
    wilds.step(_action(jump=1.0))
    heights = [wilds.poses()[:, 2]]
    for _ in range(30):
        wilds.step(_action())
        heights.append(wilds.poses()[:, 2])
    assert (np.max(heights, 0) > feet + 0.6).all()
    np.testing.assert_allclose(heights[-1], feet, atol=0.02)


def test_feet_stay_on_the_ground_over_hills():
    wilds = Wilds(SEEDS, 8, 12)
    for t in range(120):
        wilds.step(_action(move_forward=1.0, run=1.0, look_yaw=20.0 * np.sin(t / 9)))
        b = wilds.state.body
        zero = torch.zeros_like(b.feet)
        g = wilds.land.ground(wilds.land.anchor(b.x, b.z), zero, zero)
        rest = physics.standing(g.height, wilds.land.mix("lava", g.blend))
        assert float((b.feet - rest).abs().max()) < 1.3
        assert bool((b.feet >= -physics.FLOAT_DEPTH - 0.3).all()), "water carries"


def test_swimmers_float_and_are_slower():
    wilds = Wilds([7] * 64, 8, 12, config=WildsConfig(biomes=("beach",) * 64))
    rng = np.random.default_rng(1)
    x, z = (torch.tensor(rng.uniform(-900, 900, 64)) for _ in range(2))
    b = wilds.state.body
    wilds.state = replace(wilds.state, body=replace(b, x=x, z=z, feet=b.feet * 0))
    zero = torch.zeros(64, 1)
    depth = -wilds.land.height(wilds.land.anchor(x, z), zero, zero)[:, 0]
    deep = (depth > 4).numpy()
    assert deep.sum() >= 3
    before = _run(wilds, 10)
    np.testing.assert_allclose(before[deep, 2], -physics.FLOAT_DEPTH, atol=0.02)
    moved = (_run(wilds, 12, move_forward=1.0) - before)[deep]
    assert np.hypot(moved[:, 0], moved[:, 1]).max() < 0.6 * physics.WALK * 12 / 20
    assert all(f["swimming"] for f, d in zip(wilds.facts(), deep, strict=True) if d)


def test_nobody_walks_through_trunks():
    wilds = Wilds(list(range(48)), 8, 12, config=WildsConfig(biomes=("forest",) * 48))
    closest = []
    for _ in range(60):
        wilds.step(_action(48, move_forward=1.0, run=1.0))
        b = wilds.state.body
        things = objects.woods(wilds.land, wilds.land.anchor(b.x, b.z), b.x, b.z, 1)
        radius = objects.trunks(things)
        gap = (things.dx**2 + things.dz**2).sqrt() - radius
        closest.append(float(torch.where(radius > 0, gap, 9.0).min()))
    assert min(closest) > 0.1
    assert min(closest) < physics.BODY + 0.1, "in 48 runs somebody meets a tree"


def test_landmarks_are_solid():
    wilds = Wilds(list(range(40)), 8, 12)
    from training.worlds.wilds.episodes import aims

    goal = aims(wilds)
    b = wilds.state.body
    yaw = torch.remainder(b.yaw + torch.deg2rad(torch.tensor(goal.bearing).float()), 2 * torch.pi)
    known = torch.isfinite(yaw)
    wilds.state = replace(wilds.state, body=replace(b, yaw=torch.where(known, yaw, b.yaw)))
    for _ in range(200):
        wilds.step(_action(40, move_forward=1.0, run=1.0))
    b = wilds.state.body
    sites = objects.sites(wilds.land, wilds.land.anchor(b.x, b.z), b.x, b.z, 1)
    things = objects.landmarks(
        wilds.land, wilds.land.anchor(b.x, b.z), sites, torch.zeros_like(b.feet)
    )
    gap = (things.dx**2 + things.dz**2).sqrt() - objects.trunks(things)
    assert float(torch.where(objects.trunks(things) > 0, gap, 9.0).min()) > 0.1


def test_steep_walls_cannot_be_climbed():
    wilds = Wilds(list(range(64)), 8, 12, config=WildsConfig(biomes=("canyon",) * 64))
    worst = 0.0
    for _ in range(80):
        before = wilds.state.body
        wilds.step(_action(64, move_forward=1.0))
        after = wilds.state.body
        here = torch.zeros_like(after.feet)
        g = wilds.land.ground(wilds.land.anchor(before.x, before.z), here, here)
        steep = (g.slope_x**2 + g.slope_z**2).sqrt() > 1.4
        gain = (after.x - before.x).float() * g.slope_x + (after.z - before.z).float() * g.slope_z
        if bool(steep.any()):
            worst = max(worst, float(gain[steep].max()))
    assert worst < 0.12, "metres climbed in one frame on a slope beyond the limit"


def test_there_is_no_border():
    wilds = Wilds([1, 2], 16, 24)
    wilds.place(3.0e6, -2.0e6, yaw=45)
    before = wilds.poses()
    after = _run(wilds, 20, move_forward=1.0)
    assert (np.hypot(*(after - before)[:, :2].T) > 0.5).all()
    assert float(wilds.render().float().std()) > 4


def test_columns_of_the_spec_are_where_physics_reads_them():
    order = (FORWARD, STRAFE, YAW, PITCH, JUMP, RUN)
    names = ("move_forward", "strafe", "look_yaw", "look_pitch", "jump", "run")
    assert tuple(SPEC.names[i] for i in order) == names
