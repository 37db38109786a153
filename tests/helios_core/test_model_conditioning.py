"""Actions as model input: units, windows, the lone first frame.

Run: `pytest tests/helios_core/test_model_conditioning.py`.
"""

import numpy as np
import pytest
import torch

from helios_core.actions import WALK_SPEC, ActionSpec, Channel
from helios_core.conditioning import (
    DEGREES_PER_UNIT,
    ActionConditioning,
    ActionEncoder,
    encode_actions,
)


def test_axes_and_buttons_in_model_units() -> None:
    values = WALK_SPEC.build(4, move_forward=[0, 0.5, 1, -1], look_yaw=120.0, jump=[0, 1, 0, 0])
    encoded = encode_actions(WALK_SPEC, 20, values, window=2)
    assert encoded.shape == (2, 2, 6)
    names = WALK_SPEC.names
    assert encoded.flatten(0, 1)[:, names.index("move_forward")].tolist() == [0, 0.5, 1, -1]
    assert encoded.flatten(0, 1)[:, names.index("jump")].tolist() == [0, 1, 0, 0]
    turn = encoded[0, 0, names.index("look_yaw")].item()
    assert turn == pytest.approx(120 / 20 / DEGREES_PER_UNIT)


def test_half_the_frame_rate_turns_twice_as_far_per_frame() -> None:
    values = WALK_SPEC.build(2, look_yaw=60.0)
    slow, fast = (encode_actions(WALK_SPEC, fps, values, window=2) for fps in (10, 20))
    assert torch.equal(slow, 2 * fast)


def test_axes_without_a_rate_are_scaled_to_one() -> None:
    spec = ActionSpec(channels=(Channel(name="throttle", kind="axis", low=-2, high=8),))
    encoded = encode_actions(spec, 20, np.array([[8.0], [-2.0]]), window=1)
    assert encoded.flatten().tolist() == [1, -0.25]


def test_lone_first_frame_fills_its_window() -> None:
    spec = ActionSpec(channels=(Channel(name="strafe", kind="axis", low=-1),))
    values = np.array([[0.1], [0.2], [0.3], [0.4], [0.5]], np.float32)
    encoded = encode_actions(spec, 20, values, window=4, single_first=True)[..., 0]
    assert encoded.tolist() == [pytest.approx([0.1] * 4), pytest.approx([0.2, 0.3, 0.4, 0.5])]


@pytest.mark.parametrize(("frames", "single"), [(0, False), (3, False), (0, True), (4, True)])
def test_frames_that_fill_no_latent_are_refused(frames: int, single: bool) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        encode_actions(WALK_SPEC, 20, WALK_SPEC.zeros(frames), window=4, single_first=single)


def test_order_within_a_window_matters() -> None:
    """A turn early in a latent frame is not a turn late in it, on either path."""
    torch.manual_seed(0)
    encoder = ActionEncoder(ActionConditioning(channels=2, window=4, width=8), 12)
    assert encoder.to_modulation is not None
    torch.nn.init.normal_(encoder.to_modulation.weight)
    early = torch.zeros(1, 1, 4, 2)
    early[0, 0, 0] = 1
    late = early.flip(2)
    a, b = (encoder.embed(x, None, 1, 1) for x in (early, late))
    assert not torch.allclose(encoder.tokens(a).sum(1), encoder.tokens(b).sum(1), atol=1e-4)
    assert not torch.allclose(encoder.modulation(a), encoder.modulation(b), atol=1e-4)


def test_impossible_conditioning_is_refused() -> None:
    with pytest.raises(ValueError, match="leave `actions` out"):
        ActionConditioning(channels=0, window=4)
    with pytest.raises(ValueError, match="switch on"):
        ActionConditioning(channels=1, window=4, cross_attention=False, modulation=False)
