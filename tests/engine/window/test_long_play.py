"""A minute in a real window from each of the first beginnings of the default pack.

By hand, for any pack and any time: `python -m tests.engine.window.long_play --help`.
"""

import pytest

from engine.opening import default_pack
from helios_core.actions import WALK_SPEC, ActionSpec
from tests.engine.window.long_play import Seen, Watch, detail, stroll, watch

needs_trained_pack = pytest.mark.skipif(default_pack() == "null", reason="no trained pack is here")


def went_well(seen: Seen, *, flat: float = 1.05) -> None:
    """Ended when it was closed, moved to the end, never went blank, kept its memory."""
    assert seen.code == 0 and "Traceback" not in seen.log, seen.log
    assert seen.changes >= 0.5 * seen.looks > 0
    assert min(detail(picture) for picture in seen.pictures.values()) > 2
    assert seen.growth <= flat


def test_a_short_play_is_watched(desktop, tmp_path):
    seen = watch(desktop, tmp_path, Watch(pack="null", minutes=0.05, pictures=(1.0,)))
    went_well(seen)
    assert seen.frames > 4 and len(seen.pictures) == 2
    assert seen.memory and seen.summary()["exit_code"] == 0


def test_a_stroll_speaks_of_channels_that_are_there():
    assert "look_yaw=-45" in stroll(WALK_SPEC, 300) and stroll(ActionSpec(), 300) == ""
    only = ActionSpec(channels=(WALK_SPEC.channels[WALK_SPEC.index("look_yaw")],))
    assert "move_forward" not in stroll(only, 300) and "look_yaw=30" in stroll(only, 300)


@pytest.mark.full
@needs_trained_pack
@pytest.mark.parametrize("preset", range(4))
def test_a_minute_from_each_beginning(desktop, tmp_path, preset):
    went_well(watch(desktop, tmp_path, Watch(pack=default_pack(), minutes=1.1, preset=preset)))
