"""What is asked of judges: only what leaves a trace; and that judges learn at all."""

import json

import numpy as np
import pytest
import torch

from training.evaluation import egomotion, flow, judges, lessons
from training.evaluation.networks import (
    ACTED,
    REACH,
    WINDOW,
    InverseDynamics,
    Seen,
    mirror_of,
    seen,
    small_luma,
)
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
    pictures = np.random.default_rng(0).integers(0, 256, (WINDOW + 2, 32, 48, 3)).astype(np.uint8)
    model = InverseDynamics(8, 32, 48).eval()
    assert model.read(pictures).shape == (3, SPEC.size)
    maps = seen(small_luma(torch.from_numpy(pictures))).maps
    # Row 0 reads pair ACTED - 1, which leads to frame ACTED, and REACH pairs on either side.
    assert maps.shape[1] == WINDOW + 1 and ACTED - 1 == REACH
    assert torch.equal(maps[0, ACTED - 1], flow.motion(small_luma(
        torch.from_numpy(pictures[ACTED - 1 : ACTED + 1])))[0])  # fmt: skip


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-7, 1), (11, -3)])
def test_flow_finds_how_far_a_texture_went(shift) -> None:
    texture = torch.rand(1, 1, 60, 80, generator=torch.Generator().manual_seed(3))
    texture = torch.nn.functional.interpolate(texture, scale_factor=3, mode="bilinear")[0, 0]
    before = texture[40:104, 40:136]
    after = texture[40 - shift[1] : 104 - shift[1], 40 - shift[0] : 136 - shift[0]]
    found = flow.motion(torch.stack([before, after]))[0, :2, 4:12, 4:20] * flow.CELL
    assert found.mean((1, 2)).numpy() == pytest.approx(shift, abs=0.15)
    assert found.std((1, 2)).max() < 0.4


@pytest.mark.parametrize("name", ["yaw", "pitch", "forward", "right", "up"])
def test_a_walk_over_flat_ground_is_explained(name) -> None:
    i = egomotion.MOTIONS.index(name)
    ways = egomotion._ways(16, 24)
    level = egomotion.TILTS // 2
    maps = torch.ones(1, flow.MAPS, 16, 24)
    maps[:, :2] = (ways[level, :, i] * egomotion.UNITS[i]).unflatten(0, (2, 16, 24))
    hints = egomotion.explain(maps).unflatten(1, (egomotion.TILTS, -1))[0]
    # Turning and nodding look the same at every tilt: the others may fit as well, not better.
    assert hints[level, -1] < hints[:, -1].min() + 1e-3
    assert hints[level, :-1].numpy() == pytest.approx(np.eye(5)[i], abs=0.05)


def test_a_mirror_swaps_sides_and_nothing_else() -> None:
    luma = torch.rand(2, 32, 48, generator=torch.Generator().manual_seed(0))
    here, there = seen(luma).mirrored(), seen(luma.flip(-1))
    inside = (..., slice(2, 6), slice(3, 9))
    assert torch.allclose(here.maps[inside], there.maps[inside], atol=0.3)
    values = mirror_of(torch.ones(SPEC.size))
    assert {SPEC.names[i] for i in range(SPEC.size) if values[i] < 0} == {"strafe", "look_yaw"}
    assert torch.equal(seen(luma).mirrored().mirrored().maps, seen(luma).maps)


def turning(count: int, seed: int) -> tuple[Seen, torch.Tensor]:
    """Clips of a texture that turns left, right or not at all, and which: [N, A]."""
    rng = np.random.default_rng(seed)
    texture = torch.rand(1, 1, 24, 120, generator=torch.Generator().manual_seed(1))
    texture = torch.nn.functional.interpolate(texture, scale_factor=2, mode="bilinear")[0, 0]
    way = torch.ones(count, SPEC.size, dtype=torch.long)
    way[:, YAW] = torch.from_numpy(rng.integers(0, 3, count))
    parts = []
    for turn in (way[:, YAW] - 1).tolist():
        row, start = rng.integers(0, 8), rng.integers(60, 90)
        corners = [start + 3 * turn * i for i in range(WINDOW)]
        parts.append(seen(torch.stack([texture[row : row + 32, c : c + 48] for c in corners])))
    return parts[0].beside(*parts[1:]), way


def test_a_judge_learns_which_way_a_pattern_turns() -> None:
    torch.manual_seed(0)
    model = InverseDynamics(8, 32, 48)
    clips, way = turning(24, 0)
    shown = torch.zeros(24, SPEC.size, dtype=torch.bool)
    shown[:, YAW] = True

    def loss(rng):
        logits, size = model(clips)
        value = (way - 1).float()
        return judges._masked_loss(
            logits[:, 0], size[:, 0], way, value, shown, [torch.ones(3)] * SPEC.size
        )

    judges._fit(model, loss, judges.JudgeConfig(steps=60), lambda _: None)
    clips, way = turning(24, 1)
    assert (model(clips)[0][:, 0].argmax(-1)[:, YAW] == way[:, YAW]).float().mean() > 0.85


def test_a_judge_must_be_right_and_at_chance_on_nonsense() -> None:
    assert judges.passes({"accuracy": 0.95, "chance": 1 / 3}, 0.36)
    assert not judges.passes({"accuracy": 0.85, "chance": 1 / 3}, 0.33)
    assert not judges.passes({"accuracy": 0.95, "chance": 1 / 3}, 0.6)
    assert not judges.passes({"accuracy": None, "chance": None}, None)


def test_judges_are_taught_once_and_examined(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = judges.JudgeConfig(worlds=4, frames=12, held_worlds=4, steps=2, batch=4, width=8)
    said: list[str] = []
    first, exam = judges.inverse_dynamics(height=32, width=48, config=config, report=said.append)
    again, same = judges.inverse_dynamics(height=32, width=48, config=config, report=said.append)
    assert len([s for s in said if "teaching" in s]) == 1
    assert json.loads(json.dumps(exam)) == same
    assert set(exam["channels"]) == set(SPEC.names)
    clip = np.random.default_rng(0).integers(0, 256, (11, 32, 48, 3)).astype(np.uint8)
    assert np.array_equal(first.read(clip), again.read(clip))
    facts, exam = judges.classifier(height=32, width=48, config=config, report=said.append)
    assert set(exam["channels"]) == set(lessons.QUESTIONS)
    assert facts.read(clip)["biome"].shape == (11, len(lessons.QUESTIONS["biome"]))
