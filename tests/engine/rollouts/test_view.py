"""The viewer: what it draws, what keys do, and that a presenter ends it."""

import numpy as np
import pytest

from engine.input.events import Command, InputEvent, KeyEvent
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.view import APPLIED, Viewer, view
from tests.engine.rollouts.scenes import CHUNK, HEIGHT, WIDTH, record_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("view") / "a"
    record_dataset(root, [3, 12])
    return RolloutDataset.open(root)


def press(viewer, *names):
    for name in names:
        viewer.take(KeyEvent(name, True, 0.0))
        viewer.take(KeyEvent(name, False, 0.0))


def test_a_picture_shows_frame_actions_and_time(data):
    viewer = Viewer([(data, 0)])
    press(viewer, "right", "right")
    picture = viewer.picture()
    assert picture.shape == (HEIGHT + 6 * 5 + 4, WIDTH, 3)
    np.testing.assert_array_equal(picture[:HEIGHT], data.read(0, 2, 1).frames[0])
    lit = (picture[HEIGHT : HEIGHT + 30].reshape(6, 5, WIDTH, 3)[:, 3] == APPLIED).all(-1).sum(1)
    scale = np.array([c.scale for c in data.spec.actions.channels])
    expected = np.abs(data.read(0, 2, 1).applied[0] / scale) * (WIDTH // 2 - 1)
    np.testing.assert_allclose(lit, expected, atol=1)
    assert (picture[-1] == APPLIED).all(-1).sum() == round(3 / 12 * WIDTH)


def test_keys_scrub_and_turn(data):
    viewer = Viewer([(data, 0)])
    press(viewer, "end")
    assert viewer.paused and viewer.number == 3 * CHUNK - 1
    press(viewer, "right")
    assert viewer.number == 3 * CHUNK - 1, "not beyond the end"
    viewer.tick()
    assert viewer.number == 3 * CHUNK - 1, "paused"
    press(viewer, "space")
    viewer.tick()
    assert viewer.number == 0, "from the beginning again"
    press(viewer, "down", "page down")
    assert (viewer.number, viewer.length) == (20, 12 * CHUNK)
    np.testing.assert_array_equal(viewer.picture()[:HEIGHT], data.read(1, 20, 1).frames[0])
    assert viewer.hud.chunk == 5 and viewer.hud.prompt == "snow ☃ falls"


def test_two_recordings_stand_side_by_side(data):
    viewer = Viewer([(data, 0), (data, 1)])
    press(viewer, "end")
    picture = viewer.picture()
    assert picture.shape[1] == 2 * WIDTH + 4
    np.testing.assert_array_equal(picture[:HEIGHT, :WIDTH], data.read(0, 11, 1).frames[0])
    np.testing.assert_array_equal(picture[:HEIGHT, -WIDTH:], data.read(1, 47, 1).frames[0])


def test_a_window_that_closes_ends_it(data):
    class Three:
        def __init__(self):
            self.shown = []

        def poll(self, now) -> list[InputEvent]:
            return [Command("quit", now)] if len(self.shown) == 3 else []

        def show(self, frame, hud, overlays):
            self.shown.append(hud.frame)

    window = Three()
    view(Viewer([(data, 0)]), window, sleep=lambda seconds: None)
    assert window.shown == [0, 1, 2]
