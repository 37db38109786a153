"""Standing still: a world of which nothing is asked keeps its moment.

Each chunk of a small world errs a little, and where nothing moves the errors of every chunk fall on
the same places: in seconds a sky is full of specks. So while no action is given and no change of
text is under way, each chunk is drawn back towards the last one before the rest began; what is left
of its difference is what still stirs. Any action ends it, and the world goes on from there. Not
here: what an action is (helios_core.actions), a pause of the loop (engine).

    settings = Stillness(give=0.6, goes_on={"jump": 4})
    rest, latents = settled(settings, state.rest, before, made, busy=0)

C latent channels, T latent frames of a chunk, h w latent rows and columns, F frames, A channels.
"""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from helios_core.actions import ActionSpec
from helios_core.prompts import PromptTrack


@dataclass(frozen=True, kw_only=True)
class Stillness:
    """How firmly a world keeps its moment, and when."""

    give: float = 0.6
    """How much of its difference from the moment each chunk keeps, 0 to 1."""
    settle: int = 1
    """Chunks that what was done goes on by itself: a moment that moves would move for ever."""
    goes_on: dict[str, int] = field(default_factory=dict)
    """The same for channels that take longer, such as a jump."""
    told: int = 10
    """Chunks that a change goes on after its text is wholly in force."""

    def __post_init__(self) -> None:
        if not 0 <= self.give <= 1:
            raise ValueError(f"stillness.give is {self.give}; give a share of 0 to 1")
        if min(self.settle, self.told, *self.goes_on.values()) < 0:
            raise ValueError("stillness: give 0 chunks or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Rest:
    """What a state knows of its rest."""

    busy: int = 0
    """Chunks until rest may begin."""
    moment: Tensor | None = None
    """The chunk before the rest, [1, C, T, h, w]; None where there is no rest."""


def acted(settings: Stillness, spec: ActionSpec, actions: np.ndarray | None) -> int:
    """Chunks for which [F, A] actions, this chunk's included, keep a world busy; 0 = all are zero.

    No actions at all (None) leave it to the world what happens, which is no standing still.
    """
    if actions is None:
        return 1
    used = [name for name, on in zip(spec.names, np.any(actions != 0, axis=0), strict=True) if on]
    return max((1 + settings.goes_on.get(name, settings.settle) for name in used), default=0)


def told(settings: Stillness, before: PromptTrack, track: PromptTrack) -> int:
    """Chunks for which a text that has just come, or is coming, keeps a world busy."""
    coming = before.text != track.text or before.weight < 1.0 or track.weight < 1.0
    return 1 + settings.told if coming else 0


def settled(
    settings: Stillness, rest: Rest, before: Tensor, made: Tensor, *, busy: int
) -> tuple[Rest, Tensor]:
    """The rest after a chunk, and the chunk: `made`, drawn back to the moment if there is rest.

    `before` is the newest chunk so far, `busy` for how long this chunk's input goes on.
    """
    busy = max(rest.busy, busy)
    if busy:
        return Rest(busy=busy - 1), made
    moment = before if rest.moment is None else rest.moment
    return Rest(moment=moment), moment + settings.give * (made - moment)
