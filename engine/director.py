"""What a scene may say at each latch: the context it sees and the plan it answers with.

A director is called once per chunk, at the latch, in world time: it sees the input of the chunk
about to be generated and the frames generated so far, and it answers with the actions to apply,
a prompt and effects. It never sees wall time, so a headless run equals a windowed one. Scenes
(engine.scenes) implement `Director`; `PassThrough` is free play. Not here: drawing or sound.

F pixel frames of a chunk, A action channels, H W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A line of text over the picture."""

    text: str
    frames: int
    """How many frames it stays."""
    style: str = "plain"


@dataclass(frozen=True, kw_only=True)
class TitleCard:
    """Large text over the whole picture."""

    text: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class Fade:
    """Fade towards a colour (`to="colour"`) or back to the picture (`to="picture"`)."""

    to: Literal["colour", "picture"]
    frames: int
    colour: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class PlaySound:
    """A cue file through the mixer; silent where there is no audio device."""

    file: str
    volume: float = 1.0
    loop: bool = False
    """Ambience repeats until another looped sound, a reset, a loaded session or the end."""


@dataclass(frozen=True, kw_only=True)
class Screenshot:
    name: str = ""
    """File stem; empty for a numbered one."""


@dataclass(frozen=True, kw_only=True)
class StartRecording:
    """Begin a rollout recording into a folder."""

    dir: str


@dataclass(frozen=True, kw_only=True)
class StopRecording:
    pass


@dataclass(frozen=True, kw_only=True)
class SaveState:
    """Keep the state before this chunk, and the director's memory after it, under a name."""

    name: str


@dataclass(frozen=True, kw_only=True)
class LoadState:
    """Make the chunk before which a state was kept again, with the input of now; the director
    goes on behind it. A name never saved is a ValueError."""

    name: str


@dataclass(frozen=True, kw_only=True)
class JumpScene:
    """End this scene before this chunk is shown and begin another."""

    path: str


@dataclass(frozen=True, kw_only=True)
class EndSession:
    """End the session before this chunk is shown."""


Effect = (
    Caption
    | TitleCard
    | Fade
    | PlaySound
    | Screenshot
    | StartRecording
    | StopRecording
    | SaveState
    | LoadState
    | JumpScene
    | EndSession
)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Begin a new shot before this chunk."""

    keep_anchor: bool = False
    keep_last: int = 0
    """Latents of the old shot that stay in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LatchContext:
    """What is known when the input of a chunk is latched."""

    chunk: int
    """Index of the chunk about to be generated."""
    first_frame: int
    """World frame of its first picture: chunk * F."""
    fps: int
    requested: np.ndarray
    """[F, A] what the devices or the script ask for, in the spec's units."""
    last_frames: Callable[[], np.ndarray | None]
    """[F, H, W, 3] of the chunk generated before, None at the start; waits for them, so that who
    does not look does not wait."""
    pressed: frozenset[str]
    """Channels and scene keys that are held down."""
    tapped: frozenset[str]
    """Those pressed since the last latch, even for less than a tick."""
    idle_frames: int
    """Frames since anybody touched a device."""
    typed_prompt: str | None
    """What the player typed since the last latch."""
    state: Any
    """World state that the chunk continues; read only."""
    saved: frozenset[str] = frozenset()
    """Names that a `LoadState` may give."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LatchPlan:
    """What a director answers."""

    applied: np.ndarray
    """[F, A] the actions that the world gets."""
    prompt: str | None = None
    """A new text to head for; None keeps the one in force."""
    crossfade: int | None = None
    """Chunks that the change takes; None for the world's own."""
    effects: tuple[Effect, ...] = ()
    """They apply from the first frame of this chunk."""
    reanchor: bool = False
    """Renew the first-frame anchor before this chunk."""
    cut: Cut | None = None
    events: tuple[str, ...] = ()
    """Names of the scene events that fired, for the log."""


def shot_of(plan: LatchPlan) -> dict[str, Any]:
    """What a plan does to the shot, as plain data that JSON can hold."""
    return {
        "prompt": plan.prompt,
        "crossfade": plan.crossfade,
        "reanchor": plan.reanchor,
        "cut": None if plan.cut is None else asdict(plan.cut),
    }


def plan_of(
    shot: Mapping[str, Any], applied: np.ndarray, *, events: tuple[str, ...] = ()
) -> LatchPlan:
    """A plan that does the same again; its effects had their frame and are not repeated."""
    return LatchPlan(
        applied=applied,
        prompt=shot["prompt"],
        crossfade=shot["crossfade"],
        reanchor=shot["reanchor"],
        cut=None if shot["cut"] is None else Cut(**shot["cut"]),
        events=events,
    )


class Director(Protocol):
    """Pure world-time logic. `snapshot` and `restore` serve rewind, save and load."""

    def latch(self, ctx: LatchContext) -> LatchPlan: ...

    def snapshot(self) -> Any:
        """All that the director remembers, as plain data that JSON can hold."""
        ...

    def restore(self, value: Any) -> None: ...


class PassThrough:
    """Free play: requested actions are applied, typed prompts are followed."""

    def latch(self, ctx: LatchContext) -> LatchPlan:
        return LatchPlan(applied=ctx.requested, prompt=ctx.typed_prompt)

    def snapshot(self) -> None:
        return None

    def restore(self, value: Any) -> None:
        return None
