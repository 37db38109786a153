"""The maker of the front README's pictures cuts out the world, and plays what the README says."""

from pathlib import Path

import numpy as np

from tests.engine.window.readme_pictures import TYPED, WALK, cell

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_a_cell_is_the_world_without_the_bars_beside_it():
    window = np.full((384, 640, 3), 255, np.uint8)
    window[:, 32:608] = 7
    picture = cell(window, 216)
    assert picture.shape == (216, 324, 3) and (picture == 7).all()


def test_the_readme_names_what_is_typed_and_walked():
    said = " ".join(README.split())
    assert all(f'"{text}"' in said for text in TYPED)
    assert all(line in said for line in WALK.splitlines())
