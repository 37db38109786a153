"""What an event does: one dataclass per kind, and the `Effects` that events share.

Not here: when they happen (timeline, triggers, phases), and doing them (director, controls).
"""

from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal

from engine.scenes.expressions import Expression
from engine.scenes.tracks import Track
from engine.scenes.values import Colour, Ease, FileName, Name, Range, Reference, Span

NOW = Span()
_WHILE = Span(seconds=4.0)
_CARD = Span(seconds=3.0)
_SECOND = Span(seconds=1.0)
_BLACK = Colour(0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class PromptChange:
    """Head for another prompt."""

    SHORT: ClassVar[str] = "to"

    to: Annotated[str, Reference("prompt")]
    """A name under `prompts`."""
    over: Span | None = None
    """How long the crossfade takes; the prompt's own `crossfade` when not given. `0s` switches."""


@dataclass(frozen=True, kw_only=True)
class Injection:
    """Move the controls as a macro or a track says; what it does not name stays the player's."""

    SHORT: ClassVar[str] = "macro"

    macro: Annotated[str, Reference("macro")] | None = None
    """A name under `macros`."""
    track: Track | None = None
    """A track written here, instead of a macro."""
    mode: Literal["replace", "add"] = "replace"
    """Take the channels over, or add to what the player does."""
    times: Annotated[int, Range(1, 1000)] = 1
    """How often it is played, end to end."""
    over: Span = NOW
    """How long it takes to blend in at the beginning and out at the end."""
    ease: Ease = "smooth"
    """The shape of that blend."""

    def __post_init__(self) -> None:
        if (self.macro is None) == (self.track is None):
            raise ValueError("name either a macro or a track")


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Make some channels weaker or stronger for a while."""

    channels: dict[Annotated[str, Reference("channel")], Annotated[float, Range(-4, 4)]]
    """Channels and their factors: 0 stops one, 1 is as it was, -1 turns it round."""
    for_: Span | None = None
    """How long; until another `scale` of that channel when not given."""
    over: Span = NOW
    """How long it takes to get there, and back."""
    ease: Ease = "smooth"
    """The shape of that change."""


@dataclass(frozen=True, kw_only=True)
class SoundCue:
    """Play a sound file."""

    SHORT: ClassVar[str] = "file"

    file: FileName
    """An ogg or wav file beside the scene, or `assets/sounds/...`."""
    volume: Annotated[float, Range(0, 1)] = 1.0
    """0 is silent."""
    loop: bool = False
    """Ambience: repeats until another looped sound."""


@dataclass(frozen=True, kw_only=True)
class CaptionLine:
    """Show a line of text over the picture."""

    SHORT: ClassVar[str] = "text"

    text: str
    """The line."""
    for_: Span = _WHILE
    """How long it stays."""
    style: Literal["plain", "whisper", "warning"] = "plain"
    """How it looks."""


@dataclass(frozen=True, kw_only=True)
class Title:
    """Show large text over the whole picture."""

    SHORT: ClassVar[str] = "text"

    text: str
    """A few words."""
    for_: Span = _CARD
    """How long it stays."""


@dataclass(frozen=True, kw_only=True)
class ScreenFade:
    """Fade the screen to a colour, or back to the picture."""

    SHORT: ClassVar[str] = "to"

    to: Literal["colour", "picture"]
    """Where to."""
    over: Span = _SECOND
    """How long it takes."""
    colour: Colour = _BLACK
    """Which colour."""


@dataclass(frozen=True, kw_only=True)
class RecordChange:
    """Start or stop a rollout recording of the scene's own; the player's goes on."""

    SHORT: ClassVar[str] = "do"

    do: Literal["start", "stop"]
    """Which."""
    name: Name = "scene"
    """Name of the recording's folder."""


@dataclass(frozen=True, kw_only=True)
class CutShot:
    """Begin a new shot: the world forgets what it showed."""

    SHORT: ClassVar[str] = "keep"

    keep: Literal["nothing", "anchor", "last"]
    """What it remembers: nothing, the first-frame anchor, or the last latents."""
    latents: Annotated[int, Range(1, 16)] = 2
    """How many latents `last` keeps."""


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Everything that an event can do; one event may do several things."""

    prompt: PromptChange | None = None
    """Crossfade to another prompt."""
    inject: Injection | None = None
    """Move the controls by a macro or a track."""
    scale: Scaling | None = None
    """Make channels weaker or stronger."""
    sound: SoundCue | None = None
    """Play a sound."""
    caption: CaptionLine | None = None
    """Show a line of text."""
    title: Title | None = None
    """Show a title card."""
    fade: ScreenFade | None = None
    """Fade the screen to a colour, or back."""
    screenshot: Name | None = None
    """Keep the picture under this name; a second one becomes name-2."""
    record: RecordChange | None = None
    """Start or stop a recording."""
    save: Name | None = None
    """Keep the whole state of the world and of the scene under this name."""
    load: Name | None = None
    """Go back to a state that `save` kept."""
    set: dict[Annotated[str, Reference("variable")], Expression] = field(default_factory=dict)
    """New values of counters and flags; all are worked out before any changes."""
    go: Annotated[str, Reference("phase")] | None = None
    """Enter another phase."""
    anchor: Literal["renew"] | None = None
    """Take the newest frame as the picture that the world remembers for good."""
    cut: CutShot | None = None
    """Begin a new shot."""
    jump: FileName | None = None
    """Go on with another scene beside this one."""
    end: bool = False
    """End the session, before anything else of that moment is seen."""

    def __post_init__(self) -> None:
        if not any(getattr(self, f.name) for f in fields(Effects)):
            kinds = ", ".join(f.name for f in fields(Effects))
            raise ValueError(f"this does nothing; say what with one of {kinds}")
        if self.jump and not self.jump.endswith((".yaml", ".yml")):
            raise ValueError(f"{self.jump!s} is no scene to jump to; name a YAML file")

    def kinds(self) -> tuple[str, ...]:
        """Names of what it does."""
        return tuple(f.name for f in fields(Effects) if getattr(self, f.name))
