"""What a player of the wilds can do, and at what rate.

Not here: how actions move a body (physics), how people come to choose them (policies).
"""

from helios_core.actions import WALK_SPEC

FPS = 20
"""Frames, and therefore actions, per second of world time."""

SPEC = WALK_SPEC
"""The channels of an action row, in order."""

FORWARD, STRAFE, YAW, PITCH, JUMP, RUN = (SPEC.index(name) for name in SPEC.names)
"""Columns of an action array, by name."""
