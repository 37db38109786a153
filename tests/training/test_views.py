"""Views of Wilds: true pictures, called by what is true of them."""

import numpy as np
import pytest

from training.views import ViewsConfig, names, wilds_views
from training.worlds.wilds import weather

FACTS = {
    "biome": "beach",
    "time": "noon",
    "weather": "clear",
    "landmark": None,
    "landmark_side": None,
}


def test_every_weather_is_shown_at_every_time_and_landmarks_ahead():
    views = wilds_views(ViewsConfig(of_biomes=1, places=6), height=16, width=24)
    plain = [view for view in views if "ahead" not in view.texts[0]]
    marked = [view for view in views if "ahead" in view.texts[0]]
    assert len(plain) >= 4 * (len(weather.NAMES) - 1) and marked
    assert all(view.picture.shape == (16, 24, 3) for view in views)
    assert len({view.texts[0] for view in views}) == len(views)
    night = np.mean([v.picture.mean() for v in plain if "night" in v.texts[0]])
    rest = np.mean([v.picture.mean() for v in plain if "night" not in v.texts[0]])
    assert night < 0.6 * rest


def test_what_goes_without_saying_may_be_left_out():
    assert names(FACTS) == (
        "a sandy beach at noon under a clear sky", "a sandy beach at noon", "at noon",
        "a sandy beach under a clear sky", "under a clear sky", "a sandy beach",
    )  # fmt: skip
    storm = names({**FACTS, "weather": "storm", "time": "night"})
    assert storm == ("a sandy beach at night in a thunderstorm",)
    tower = names({**FACTS, "landmark": "tower", "landmark_side": "ahead"})
    assert tower[0].endswith("a stone tower ahead") and "a stone tower ahead" in tower


def test_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match="1 to 12 biomes"):
        ViewsConfig(of_biomes=13)
