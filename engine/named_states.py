"""The moments that a scene saved by name (`save: camp`), to and from session files.

Not here: what a scene does with them (engine.maker), the file itself (engine.session_file).

    saved = pack_moments(world, chunk.named); named = unpack_moments(world, saved, path)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.director import LatchPlan, plan_of, shot_of
from engine.maker import Named, Place
from engine.session_file import SavedMoment
from helios_core.world_api import World


def pack_moments(world: World, named: Mapping[str, Named]) -> tuple[SavedMoment, ...]:
    """As a session file holds them."""
    return tuple(
        SavedMoment(
            name=name,
            state=world.save_state(moment.place.state),
            director=moment.place.director,
            memory=moment.memory,
            plan={**shot_of(moment.plan), "applied": moment.plan.applied.tolist()},
            overlays_before=moment.place.overlays,
            overlays=moment.overlays,
        )
        for name, moment in named.items()
    )


def unpack_moments(world: World, moments: Sequence[SavedMoment], path: Path) -> dict[str, Named]:
    """As the maker holds them; `path` is the file that they are from."""
    return {
        moment.name: Named(
            place=Place(
                state=world.load_state(moment.state),
                director=moment.director,
                overlays=moment.overlays_before,
            ),
            plan=_plan(moment.plan, path),
            memory=moment.memory,
            overlays=moment.overlays,
        )
        for moment in moments
    }


def _plan(plain: Mapping[str, Any], path: Path) -> LatchPlan:
    try:
        return plan_of(plain, np.array(plain["applied"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a whole session file (a saved state: {error})") from error
