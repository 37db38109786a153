"""One X server for all window tests, one play for each."""

import pytest

from tests.engine.window.desktop import MISSING, Desktop, Play


@pytest.fixture(scope="session")
def desktop(tmp_path_factory):
    if MISSING:
        pytest.skip(f"{' and '.join(MISSING)} not installed: no real window to test in")
    server = Desktop(tmp_path_factory.mktemp("x"))
    yield server
    server.close()


@pytest.fixture
def play(desktop, tmp_path):
    """Starts `helios play --pack null` with more options; ends it after the test."""
    started = []

    def start(*options: str) -> Play:
        started.append(Play(desktop, tmp_path, *options))
        return started[-1]

    yield start
    for each in started:
        each.kill()
