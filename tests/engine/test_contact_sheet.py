"""Contact sheets: which frames they hold, and where."""

import numpy as np

from engine.contact_sheet import ContactSheet, tiled


class Grey:
    """A chunk of four frames whose grey says how many came before."""

    def __init__(self, first):
        self.frames = np.stack([np.full((2, 3, 3), first + i, np.uint8) for i in range(4)])


def test_keeps_every_so_manieth_frame_from_the_first_on():
    sheet = ContactSheet(every=3)
    for first in (0, 4, 8):
        chunk = Grey(first)
        sheet.presented(chunk, range(2), [0.0] * 2)
        sheet.presented(chunk, range(2, 4), [0.0] * 2)
        chunk.frames[:] = 99  # memory that is used again
    assert [int(p[0, 0, 0]) for p in sheet.pictures] == [0, 3, 6, 9]


def test_pictures_stand_in_rows_of_ten():
    pictures = [np.full((2, 3, 3), i + 1, np.uint8) for i in range(12)]
    sheet = tiled(pictures, columns=10)
    assert sheet.shape == (4, 30, 3)
    assert sheet[0, ::3, 0].tolist() == list(range(1, 11))
    assert sheet[2, ::3, 0].tolist() == [11, 12, *[0] * 8]
    assert tiled(pictures[:3], columns=3).shape == (2, 9, 3)


def test_a_scene_may_lead_to_a_world_of_another_size():
    small, large = np.full((2, 3, 3), 1, np.uint8), np.full((4, 2, 3), 2, np.uint8)
    sheet = tiled([small, large], columns=2)
    assert sheet[..., 0].tolist() == [*[[1, 1, 1, 2, 2, 0]] * 2, *[[0, 0, 0, 2, 2, 0]] * 2]
