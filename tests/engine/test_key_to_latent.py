"""One key and one stick, from the X server and SDL to the latent frames inside the transformer."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from engine.input.bindings import bindings_from
from engine.input.signals import respond
from helios_core.actions import WALK_SPEC
from helios_core.conditioning import DEGREES_PER_UNIT
from tests.engine.key_to_latent_child import LATENTS, STICK
from tests.engine.window.desktop import MISSING, PATIENCE, ROOT, Desktop, until

FPS = 20
FORWARD, YAW, JUMP = (WALK_SPEC.index(n) for n in ("move_forward", "look_yaw", "jump"))


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Press w, let the child push its stick, tap space; what the transformer saw."""
    if MISSING:
        pytest.skip(f"{' and '.join(MISSING)} not installed: no X server to press keys on")
    folder = tmp_path_factory.mktemp("trace")
    desktop = Desktop(folder)
    environment = {k: v for k, v in os.environ.items() if k != "SDL_VIDEODRIVER"}
    environment |= {"DISPLAY": desktop.display, "HELIOS_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    log = (folder / "log").open("w+")
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.key_to_latent_child", str(folder / "out.npz")],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=log,
    )
    try:

        def chunks() -> list[list[float]]:
            assert child.poll() is None, (folder / "log").read_text()
            lines = (folder / "log").read_text().splitlines()
            return [json.loads(x.split(" ", 2)[2]) for x in lines if x.startswith("chunk")]

        until(lambda: len(chunks()) >= 2, "the first chunks", 2 * PATIENCE)
        desktop.hand("keydown", "w")
        until(lambda: chunks()[-1][YAW] != 0, "the stick")
        desktop.hand("key", "space")
        child.wait(2 * PATIENCE)
        assert child.returncode == 0, (folder / "log").read_text()
        return dict(np.load(folder / "out.npz"))
    finally:
        child.kill()
        child.wait()
        log.close()
        desktop.close()


def test_the_transformer_gets_each_frames_action_at_its_latent_frame(trace):
    scale = np.array([DEGREES_PER_UNIT * FPS if c.unit else c.scale for c in WALK_SPEC.channels])
    expected = (trace["applied"] / scale).reshape(-1, LATENTS, 4, WALK_SPEC.size)
    assert trace["received"].shape == expected.shape
    assert np.allclose(trace["received"], expected, atol=1e-6)


def test_the_key_and_the_stick_arrive_with_their_exact_values(trace):
    received = trace["received"].reshape(-1, WALK_SPEC.size)
    held = received[:, FORWARD]
    assert held[0] == 0 and held[-1] == 1 and set(np.unique(held)) == {0.0, 1.0}
    assert np.sum(np.diff(held) != 0) == 1, "pressed once and held"
    tuning = bindings_from(WALK_SPEC).tuning
    position = respond({"pad.right_x": STICK / 32767, "pad.right_y": 0.0}, tuning)["pad.right_x"]
    bound = next(
        b for b in bindings_from(WALK_SPEC).channels["look_yaw"] if b.input == "pad.right_x"
    )
    turn = WALK_SPEC.channels[YAW].high * bound.scale * position / (DEGREES_PER_UNIT * FPS)
    assert received[-1, YAW] == pytest.approx(turn, abs=1e-4)
    assert set(np.round(np.unique(received[:, YAW]), 6)) == {0.0, np.round(received[-1, YAW], 6)}


def test_a_tap_is_addressed_to_one_latent_frame(trace):
    taps = trace["received"][..., JUMP]
    chunk = int(np.argmax(taps.any((1, 2))))
    assert taps.any((1, 2)).sum() == 1
    assert taps[chunk, 0, 0] == 1 and taps[chunk, 2].max() == 0


def test_only_latent_frames_with_an_action_are_modulated_and_latents_differ(trace):
    acted = trace["received"].any((2, 3))
    assert np.array_equal(trace["rows"], acted)
    quiet = ~acted.any(1)
    assert quiet.any() and trace["change"][quiet].max() == 0
    assert trace["change"][~quiet].min() > 1e-4
