"""A whole scene as a value: the keys at the top of a file.

The other keys stand beside what uses them: effects, timeline, triggers, phases, controls. Not
here: reading and checking a file (load), playing it (director).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from engine.input.bindings import DEFAULT_COMMANDS, Binding, Tuning
from engine.scenes.controls import Autopilot, Limit, Macro
from engine.scenes.effects import Effects
from engine.scenes.phases import Phase
from engine.scenes.problems import nearest, quoted
from engine.scenes.senses import Speed
from engine.scenes.timeline import TimedEvent
from engine.scenes.tracks import Track
from engine.scenes.triggers import Trigger
from engine.scenes.values import FileName, Name, Range, Reference, Span

MENU = 9
"""Prompts that have a number key."""
_FADE = Span(seconds=2.0)
_SPEED = Speed()


class InputName(str):
    """An input that drives a channel: `w`, `-s`, `right*0.5`, `mouse.x`, `pad.left_y`."""

    SCHEMA: ClassVar[dict[str, Any]] = {"type": ["string", "integer"]}
    MEANS: ClassVar[str] = "input"

    @classmethod
    def parse(cls, value: object) -> Self:
        return cls(Binding.parse(value))


class PackName(str):
    """A pack by its name."""

    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
    }
    MEANS: ClassVar[str] = "pack name"

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value)
        plain = all(sign.isalnum() or sign in "._-" for sign in text)
        if not plain or not text.isascii() or not text[:1].isalnum() or len(text) > 80:
            raise ValueError(
                f"{quoted(value)} is not the name of a pack; `helios packs` lists them"
            )
        return cls(text)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text that the world can head for."""

    SHORT: ClassVar[str] = "text"

    text: str
    """What the world shows."""
    crossfade: Span = _FADE
    """How long a change to it takes."""
    menu: bool = True
    """Number keys offer it, in the order of the file."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the first frame comes from."""

    SHORT: ClassVar[str] = "prompt"

    prompt: Annotated[str, Reference("prompt")] | None = None
    """A name under `prompts`; the first one there when not given."""
    image: FileName | None = None
    """A picture (png or jpg) that becomes the first frame."""
    clip: FileName | None = None
    """A video whose frames become the first memory."""
    session: FileName | None = None
    """A saved session to go on from."""

    def __post_init__(self) -> None:
        given = [name for name in ("image", "clip", "session") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"start from one of {' and '.join(given)}, not both")


@dataclass(frozen=True, kw_only=True)
class SceneBindings:
    """Differences from the pack's and the player's bindings, as in a bindings file."""

    channels: dict[Annotated[str, Reference("channel")], tuple[InputName, ...]] = field(
        default_factory=dict
    )
    """Inputs of a channel, instead of those it had."""
    commands: dict[str, tuple[InputName, ...]] = field(default_factory=dict)
    """Inputs of a command such as `rewind` or `screenshot`."""
    tuning: dict[
        Literal["mouse_sensitivity", "invert_look", "dead_zone", "curve", "trigger_threshold"],
        float | bool,
    ] = field(default_factory=dict)
    """How a hand's movement becomes a value."""

    def __post_init__(self) -> None:
        values: dict[str, Any] = {str(name): value for name, value in self.tuning.items()}
        Tuning(**values)
        for name in self.commands:
            if name not in DEFAULT_COMMANDS:
                raise ValueError(f"no command {quoted(name)}{nearest(name, DEFAULT_COMMANDS)}")

    def layer(self) -> dict[str, Any]:
        """As `engine.input.bindings.bindings_from` takes it."""
        return {
            "channels": {name: [str(i) for i in inputs] for name, inputs in self.channels.items()},
            "commands": {name: [str(i) for i in inputs] for name, inputs in self.commands.items()},
            "tuning": dict(self.tuning),
        }


@dataclass(frozen=True, kw_only=True)
class PlatformChanges:
    """What may differ between machines; the story may not, so that a scene plays alike."""

    pack: PackName | None = None
    """Another pack."""
    fps: Annotated[int, Range(1, 240)] | None = None
    """Another pace."""
    hud: bool | None = None
    """Whether the HUD is shown."""
    hints: tuple[str, ...] = ()
    """Other key hints."""
    bindings: SceneBindings | None = None
    """Other bindings."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The top of a scene file."""

    title: str
    """Name on the start screen and in the window."""
    description: str = ""
    """One or two sentences for the start screen."""
    author: str = ""
    """Who made it."""
    pack: PackName | None = None
    """The pack to play it with; the default pack when not given."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """Seed of the world and of `chance`."""
    start: Start = Start()
    """What the first frame comes from."""
    negative: str = ""
    """What not to show; packs without guidance, such as the shipped ones, take no notice."""
    fps: Annotated[int, Range(1, 240)] | None = None
    """Frames shown per second, for slow motion or haste; the pack's own when not given."""
    hud: bool | None = None
    """Show the HUD, or not; the player's choice when not given."""
    hints: tuple[str, ...] = ()
    """Lines of key help, shown when the scene begins."""
    thumbnail: FileName | None = None
    """A picture for the start screen."""
    vars: dict[Name, str | float | bool] = field(default_factory=dict)
    """Values to use elsewhere as `${vars.name}`."""
    use: tuple[FileName, ...] = ()
    """Files beside this one whose keys are merged under its own."""
    platform: dict[Literal["linux", "mac", "windows"], PlatformChanges] = field(
        default_factory=dict
    )
    """Differences on one kind of machine."""
    prompts: dict[Name, Prompt]
    """Named texts; the first one starts the scene unless `start` says otherwise."""
    bindings: SceneBindings = SceneBindings()
    """Differences in keys, mouse and pads."""
    macros: dict[Name, Macro] = field(default_factory=dict)
    """Named action tracks."""
    limits: dict[Annotated[str, Reference("channel")], Limit] = field(default_factory=dict)
    """How far channels go in this scene."""
    autopilot: Autopilot | None = None
    """Who walks when nobody touches the controls."""
    speed: Speed = _SPEED
    """How fast the player walks, for `distance` and `away`."""
    counters: dict[Name, float] = field(default_factory=dict)
    """Numbers of the scene's own, with their first values."""
    flags: dict[Name, bool] = field(default_factory=dict)
    """Yes-or-no values of the scene's own, with their first values."""
    timeline: tuple[TimedEvent, ...] = ()
    """Events at a time."""
    triggers: tuple[Trigger, ...] = ()
    """Events on a condition."""
    phases: dict[Name, Phase] = field(default_factory=dict)
    """Acts; the first one begins with the scene."""

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError("`prompts` needs at least one prompt")

    @property
    def first_prompt(self) -> Prompt:
        return self.prompts[self.start.prompt or next(iter(self.prompts))]

    @property
    def presets(self) -> dict[str, Prompt]:
        """Prompts that the number keys offer, by name."""
        return {name: prompt for name, prompt in self.prompts.items() if prompt.menu}

    def all_events(self) -> Iterator[tuple[tuple[str | int, ...], Effects]]:
        """Every event with the keys that lead to it in the file."""
        parts: list[tuple[tuple[str | int, ...], Scene | Phase]] = [((), self)]
        parts += [(("phases", name), phase) for name, phase in self.phases.items()]
        for path, part in parts:
            yield from (((*path, "timeline", i), event) for i, event in enumerate(part.timeline))
            yield from (((*path, "triggers", i), event) for i, event in enumerate(part.triggers))
            if isinstance(part, Phase) and part.enter is not None:
                yield (*path, "enter"), part.enter

    def tracks(self) -> Iterator[tuple[str, Track]]:
        """Every action track with what it belongs to."""
        for name, macro in self.macros.items():
            if macro.track is not None:
                yield f"macro {name}", macro.track
        for part in (self, *self.phases.values()):
            if part.autopilot is not None and part.autopilot.track is not None:
                yield "the autopilot", part.autopilot.track
        for _, event in self.all_events():
            if event.inject is not None and event.inject.track is not None:
                yield "an injected track", event.inject.track
