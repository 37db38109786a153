"""What is asked of judges: only what leaves a trace; and that judges learn at all."""

import json

import numpy as np
import pytest
import torch

from training.evaluation import judges, lessons
from training.evaluation.networks import ACTED, InverseDynamics, small_luma, windows
from training.worlds.wilds.physics import SPRINT, WALK
from training.worlds.wilds.spec import FORWARD, FPS, JUMP, PITCH, RUN, SPEC, STRAFE, YAW


def visible(*, speed: float = 0.0, turn: float = 0.0, nod: float = 0.0, rise: float = 0.0, **told):
    """Visibility of one frame that moved forward, turned, nodded and rose by so much a second."""
    action = SPEC.zeros(1)
    for name, value in told.items():
        action[0, SPEC.index(name)] = value
    poses = np.zeros((2, 6))
    poses[1] = [0, speed / FPS, rise, 0, turn / FPS, nod / FPS]
    return lessons.visible(action, poses)[0]


def test_walking_into_a_rock_is_not_asked() -> None:
    assert visible(move_forward=1.0, speed=WALK)[FORWARD]
    assert not visible(move_forward=1.0, speed=0.1)[FORWARD]
    assert not visible(move_forward=1.0, speed=-WALK)[FORWARD]
    assert not visible(speed=WALK)[FORWARD]
    assert visible()[FORWARD] and visible()[STRAFE]


def test_running_is_asked_of_those_who_move() -> None:
    assert not visible(run=1.0)[RUN] and not visible()[RUN]
    assert visible(run=1.0, move_forward=1.0, speed=SPRINT)[RUN]
    assert visible(move_forward=1.0, speed=WALK)[RUN]


def test_a_jump_is_asked_when_feet_leave_the_ground() -> None:
    assert not visible(jump=1.0)[JUMP]
    assert visible(jump=1.0, rise=0.24)[JUMP]
    assert visible()[JUMP]


def test_faint_and_stopped_looks_are_not_asked() -> None:
    assert visible(look_yaw=60.0, turn=60.0)[YAW]
    assert not visible(look_yaw=9.0, turn=9.0)[YAW]
    assert not visible(look_pitch=40.0, nod=0.0)[PITCH]


def test_steady_waits_until_a_push_was_held() -> None:
    actions = np.zeros((8, SPEC.size), np.float32)
    actions[4:, FORWARD] = 1.0
    shown = lessons.steady(actions)[:, FORWARD]
    assert shown.tolist() == [True] * 4 + [False] * 3 + [True]


def test_a_window_is_the_pictures_around_its_action() -> None:
    pictures = torch.arange(9, dtype=torch.uint8)[:, None, None, None].expand(9, 64, 96, 3)
    x = windows(pictures * 20)
    assert x.shape == (5, 5, 32, 48)
    middle = (x[2, ACTED - 1].mean() * 255 / 20).item(), (x[2, ACTED].mean() * 255 / 20).item()
    assert middle == pytest.approx((4, 5), abs=1e-3)
    assert small_luma(pictures).shape == (9, 32, 48)


def test_a_judge_learns_which_way_a_pattern_turns() -> None:
    torch.manual_seed(0)
    config = judges.JudgeConfig(steps=60, batch=16)
    model = InverseDynamics(8, 32, 48)
    texture = np.random.default_rng(0).random((40, 160)).astype(np.float32)
    weights = [torch.ones(3)] * SPEC.size

    def batch(rng):
        ways = rng.integers(-1, 2, config.batch)
        rows = rng.integers(0, 8, config.batch)
        starts = rng.integers(40, 60, config.batch)
        x = np.stack([
            [texture[r : r + 32, s + 3 * w * i : s + 3 * w * i + 48] for i in range(5)]
            for w, r, s in zip(ways, rows, starts, strict=True)
        ])  # fmt: skip
        way = torch.ones(config.batch, SPEC.size, dtype=torch.long)
        way[:, YAW] = torch.from_numpy(ways) + 1
        return torch.from_numpy(x), way

    shown = torch.zeros(config.batch, SPEC.size, dtype=torch.bool)
    shown[:, YAW] = True

    def loss(rng):
        x, way = batch(rng)
        return judges._masked_loss(*model(x), way, (way - 1).float(), shown, weights)

    judges._fit(model, loss, config, lambda _: None)
    x, way = batch(np.random.default_rng(9))
    assert (model(x)[0].argmax(-1)[:, YAW] == way[:, YAW]).float().mean() > 0.85


def test_a_mirror_swaps_sides_and_nothing_else() -> None:
    x = torch.rand(1, 5, 4, 6)
    way, value = torch.full((1, SPEC.size), 2), torch.ones(1, SPEC.size)
    flipped, ways, values = judges._mirrored(x, way, value)
    assert torch.equal(flipped.flip(-1), x)
    sides = {SPEC.names[i] for i in range(SPEC.size) if ways[0, i] == 0}
    assert sides == {"strafe", "look_yaw"} and (values < 0).sum() == 2


def test_judges_are_taught_once_and_examined(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = judges.JudgeConfig(clips=4, frames=8, held_clips=4, steps=2, batch=4, width=8)
    said: list[str] = []
    first, exam = judges.inverse_dynamics(height=32, width=48, config=config, report=said.append)
    again, same = judges.inverse_dynamics(height=32, width=48, config=config, report=said.append)
    assert len([s for s in said if "teaching" in s]) == 1
    assert json.loads(json.dumps(exam)) == same
    assert set(exam["channels"]) == set(SPEC.names)
    clip = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3)).astype(np.uint8)
    assert np.array_equal(first.read(clip), again.read(clip))
    facts, exam = judges.classifier(height=32, width=48, config=config, report=said.append)
    assert set(exam["accuracy"]) == set(lessons.QUESTIONS)
    assert facts.read(clip)["biome"].shape == (9, len(lessons.QUESTIONS["biome"]))
