"""Bindings: which input drives which channel of a world, and which one gives which command.

Written in YAML by a pack, by the user and by a scene; a later layer replaces the list of each
channel that it names and takes the inputs it claims away from earlier layers. A channel's inputs
are `input`, `-input` for the opposite direction, and `input*0.5` for a part of the range:

    channels:
      move_forward: [w, -s, pad.left_y]
      look_yaw: [mouse.x, right*0.5, -left*0.5, pad.right_x]
    commands:
      rewind: [backspace, pad.left_shoulder]
    tuning:
      mouse_sensitivity: 0.12

A mistake is a ValueError that names the layer, the entry and the nearest valid name. Not here:
devices, and what a command does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from engine.input import names
from helios_core.actions import ActionSpec, Channel

DEFAULT_CHANNELS: dict[str, tuple[str, ...]] = {
    "move_forward": ("w", "-s", "pad.left_y"),
    "strafe": ("d", "-a", "pad.left_x"),
    "look_yaw": ("mouse.x", "right*0.4", "-left*0.4", "pad.right_x*0.75"),
    "look_pitch": ("mouse.y", "up*0.4", "-down*0.4", "pad.right_y*0.75"),
    "jump": ("space", "pad.a"),
    "run": ("left shift", "pad.left_trigger"),
    "use": ("e", "pad.x"),
    "attack": ("mouse.left", "pad.right_trigger"),
}
"""Inputs of the channel names that every world shares, unless its pack says otherwise."""

DEFAULT_COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("f1",),
    "settings": ("f2",),
    "hud": ("f3",),
    "save": ("f5",),
    "record": ("f8",),
    "load": ("f9",),
    "video": ("f10",),
    "fullscreen": ("f11",),
    "screenshot": ("f12",),
    "prompt": ("return", "enter"),
    "pause": ("p", "pad.start"),
    "menu": ("escape", "pad.back"),
    "rewind": ("backspace", "pad.left_shoulder"),
    **{f"preset_{i}": (str(i),) for i in range(1, 10)},
}
"""What the window itself obeys. A channel may take one of these inputs; then the channel has it."""


SECTIONS = ("channels", "commands", "tuning")


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a hand's movement becomes a channel's value."""

    mouse_sensitivity: float = 0.15
    """Degrees per mouse count, for channels in deg/s; other axes take 1/100 of their range."""
    invert_look: bool = False
    """Mouse and stick up look down."""
    dead_zone: float = 0.15
    """Radius of a stick's rest, of 1."""
    curve: float = 1.7
    """Exponent of a stick's response beyond the dead zone; 1 is straight."""
    trigger_threshold: float = 0.3
    """A trigger bound to a button is down beyond this."""

    def __post_init__(self) -> None:
        limits = {
            "mouse_sensitivity": (0.001, 10.0),
            "dead_zone": (0.0, 0.9),
            "curve": (0.2, 5.0),
            "trigger_threshold": (0.05, 0.95),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"tuning {name}: {value!r} is not a number")
            if not low <= value <= high:
                raise ValueError(f"tuning {name}: {value} is outside [{low:g}, {high:g}]")
        if not isinstance(self.invert_look, bool):
            raise ValueError(f"tuning invert_look: {self.invert_look!r} is neither true nor false")


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One input that drives a channel."""

    input: str
    """Name of the input, as in engine.input.names."""
    scale: float = 1.0
    """Part of the channel's range that the input reaches; negative for the other direction."""

    @staticmethod
    def parse(text: Any) -> "Binding":
        if isinstance(text, bool) or not isinstance(text, str | int):
            raise ValueError(f"{text!r} is not the name of an input; write it in quotes")
        name, star, factor = str(text).strip().partition("*")
        sign = -1.0 if name.startswith("-") and len(name) > 1 else 1.0
        name = name[1:] if sign < 0 else name
        try:
            scale = float(factor) if star else 1.0
        except ValueError:
            raise ValueError(f"{text!r}: {factor!r} is not a number") from None
        if not 0.0 < scale <= 10.0:
            raise ValueError(f"{text!r}: the part of the range must be above 0 and at most 10")
        return Binding(input=names.check(name.strip()), scale=sign * scale)

    def __str__(self) -> str:
        size = abs(self.scale)
        return ("-" if self.scale < 0 else "") + self.input + ("" if size == 1 else f"*{size:g}")


def refuse_for_channel(channel: Channel, binding: Binding) -> None:
    """A ValueError for motion that drives a button."""
    if channel.kind == "button" and binding.input in names.MOUSE_COUNTS:
        raise ValueError(
            f"{channel.name} is a button and {binding.input} is motion; bind a key, "
            "a mouse button or mouse.wheel_up"
        )


def refuse_for_command(binding: Binding) -> None:
    """A command is given by a press, and neither a stick nor the mouse's motion is one."""
    if binding.input in (*names.MOUSE_COUNTS, *(f"pad.{axis}" for axis in names.PAD_STICKS)):
        raise ValueError(
            f"{binding.input!r} is motion and gives no command; bind a key, a button, the wheel "
            "or a trigger"
        )


_Bound = tuple[Binding, ...]
"""Every input of one channel or command."""


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """The inputs of every channel of a world and of every command; an input is claimed once."""

    channels: Mapping[str, tuple[Binding, ...]]
    """Inputs by channel name; a channel with no input is present and empty."""
    commands: Mapping[str, tuple[Binding, ...]]
    """Inputs by command name."""
    tuning: Tuning = field(default_factory=Tuning)
    notes: tuple[str, ...] = ()
    """What a layer took from another, or named for another world; for the settings screen."""

    def owner(self, name: str) -> str | None:
        """The channel or command that an input drives."""
        for target, inputs in (*self.channels.items(), *self.commands.items()):
            if any(binding.input == name for binding in inputs):
                return target
        return None

    def command(self, name: str) -> str | None:
        """The command that an input gives, if any."""
        owner = self.owner(name)
        return owner if owner in self.commands else None

    def label(self, target: str) -> str:
        """The inputs of a channel or command as a line for the player."""
        inputs = self.channels.get(target, self.commands.get(target, ()))
        signs = [("−" if b.scale < 0 else "") + names.label(b.input) for b in inputs]
        return "  ".join(signs) or "not bound"

    def unbound(self) -> tuple[str, ...]:
        """Channels that no input drives."""
        return tuple(channel for channel, inputs in self.channels.items() if not inputs)

    def bind(self, target: str, *inputs: Binding) -> "Bindings":
        """Another set in which a channel or command has these inputs, taken from their owners."""
        section = "channels" if target in self.channels else "commands"
        layer = {section: {target: [str(binding) for binding in inputs]}}
        return _apply(self, layer, "this change", strict=True)

    def tuned(self, **changes: float | bool) -> "Bindings":
        return replace(self, tuning=replace(self.tuning, **changes))

    def to_dict(self) -> dict[str, Any]:
        """As YAML writes it; `bindings_from` reads it back."""
        return {
            "channels": {c: [str(b) for b in bound] for c, bound in self.channels.items()},
            "commands": {c: [str(b) for b in bound] for c, bound in self.commands.items()},
            "tuning": {f.name: getattr(self.tuning, f.name) for f in fields(Tuning)},
        }


def bindings_from(
    spec: ActionSpec,
    *,
    pack: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    scene: Mapping[str, Any] | None = None,
    user_name: str = "your bindings",
) -> Bindings:
    """Defaults under the pack's under the user's under the scene's.

    A pack or scene that names a channel its world lacks is an error; the user's file serves every
    world, so there it is a note.
    """
    channels = {name: _parsed(DEFAULT_CHANNELS.get(name, ())) for name in spec.names}
    taken = {binding.input for bound in channels.values() for binding in bound}
    commands = {
        name: tuple(b for b in _parsed(texts) if b.input not in taken)
        for name, texts in DEFAULT_COMMANDS.items()
    }
    bindings = Bindings(channels=channels, commands=commands)
    bindings = _apply(bindings, pack or {}, "the pack's bindings", strict=True)
    bindings = _apply(bindings, user or {}, user_name, strict=False)
    return _apply(bindings, scene or {}, "the scene's bindings", strict=True)


def read_user_bindings(path: Path) -> dict[str, Any]:
    """The user's layer; an absent file is an empty one."""
    if not path.exists():
        return {}
    try:
        layer = yaml.safe_load(path.read_bytes())  # editors write UTF-16, too
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from error
    _known({} if layer is None else layer, SECTIONS, str(path))
    return layer or {}


def write_user_bindings(path: Path, before: Bindings, after: Bindings, base: Bindings) -> None:
    """Write what a change altered, or take it out where that is `base`'s; the rest of the file
    stays, except that no input may be claimed twice."""
    old, plain, new = read_user_bindings(path), base.to_dict(), after.to_dict()
    altered = _altered(before, after)
    targets = {**after.channels, **after.commands}
    claimed = {b.input for name in altered for b in targets.get(name, ())}
    layer: dict[str, Any] = {"tuning": dict(old.get("tuning") or {})}
    for section in ("channels", "commands"):
        layer[section] = {
            name: [str(binding) for binding in bound if binding.input not in claimed]
            for name, bound in _section(old, section, str(path)).items()
        }
    for section, entries in new.items():
        layer[section] = {k: v for k, v in layer[section].items() if k not in altered} | {
            k: v for k, v in entries.items() if k in altered and v != plain[section].get(k)
        }
    layer = {section: entries for section, entries in layer.items() if entries}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(yaml.safe_dump(layer, allow_unicode=True), encoding="utf-8")
    temporary.replace(path)


def _altered(before: Bindings, after: Bindings) -> set[str]:
    """Names of what a change is about. What lost an input to something else is not: a layer gives
    way by itself, and what is bound there may be the scene's and not the player's."""
    old, new = before.to_dict(), after.to_dict()
    names = {k for k, value in new["tuning"].items() if value != old["tuning"][k]}
    bound = {**before.channels, **before.commands}
    for name, inputs in (*after.channels.items(), *after.commands.items()):
        left = [b for b in bound[name] if after.owner(b.input) in (None, name)]
        if list(inputs) != left:
            names.add(name)
    return names


def _apply(base: Bindings, layer: Mapping[str, Any], where: str, *, strict: bool) -> Bindings:
    """One layer over another; `strict` makes a channel of no use here an error, not a note."""
    _known(layer, SECTIONS, where)
    channels, notes = _split_foreign(_section(layer, "channels", where), base, where, strict)
    commands = _section(layer, "commands", where)
    _known(commands, base.commands, f"{where}, commands")
    for command, bound in commands.items():
        for binding in bound:
            try:
                refuse_for_command(binding)
            except ValueError as error:
                raise ValueError(f"{where}, {command}: {error}") from error
    owner = _owners({**channels, **commands}, where)
    kept: dict[str, _Bound] = {}
    for target, bound in (*base.channels.items(), *base.commands.items()):
        kept[target] = tuple(b for b in bound if owner.get(b.input, target) == target)
        if target not in channels and target not in commands:
            lost = [b.input for b in bound if b not in kept[target]]
            notes += [f"{where}: {i!r} moved from {target} to {owner[i]}" for i in lost]
    return Bindings(
        channels={name: channels.get(name, kept[name]) for name in base.channels},
        commands={name: commands.get(name, kept[name]) for name in base.commands},
        tuning=_tuning(base.tuning, layer.get("tuning") or {}, where),
        notes=(*base.notes, *notes),
    )


def _split_foreign(
    channels: dict[str, _Bound], base: Bindings, where: str, strict: bool
) -> tuple[dict[str, _Bound], list[str]]:
    """The channels that this world has, and a note for each known one that it has not."""
    own, notes = {}, []
    for name, bound in channels.items():
        near = get_close_matches(name, [*base.channels, *DEFAULT_CHANNELS], n=1)
        if name in base.channels:
            own[name] = bound
        elif strict or (near and name not in DEFAULT_CHANNELS):
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(base.channels)}"
            raise ValueError(f"{where}: this world has no channel {name!r}; {hint}")
        else:
            notes.append(f"{where}: {name} is not a channel of this world")
    return own, notes


def _section(layer: Mapping[str, Any], section: str, where: str) -> dict[str, _Bound]:
    entries = layer.get(section) or {}
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where}, {section}: expected `name: [input, ...]`")
    bound = {}
    for target, inputs in entries.items():
        if inputs is not None and not isinstance(inputs, str | int | list | tuple):
            raise ValueError(f"{where}, {target}: expected a list of inputs, not {inputs!r}")
        try:
            bound[str(target)] = _parsed([inputs] if isinstance(inputs, str | int) else inputs)
        except ValueError as error:
            raise ValueError(f"{where}, {target}: {error}") from error
    return bound


def _parsed(texts: Iterable[Any] | None) -> _Bound:
    return tuple(Binding.parse(text) for text in texts or ())


def _tuning(base: Tuning, changes: Mapping[str, Any], where: str) -> Tuning:
    _known(changes, [f.name for f in fields(Tuning)], f"{where}, tuning")
    try:
        return replace(base, **changes)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _known(entries: Any, known: Iterable[str], where: str) -> None:
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where}: expected keys ({', '.join(known)}), not {entries!r}")
    for name in entries:
        if name not in known:
            near = get_close_matches(str(name), list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(known)}"
            raise ValueError(f"{where}: unknown key {name!r}; {hint}")


def _owners(targets: Mapping[str, _Bound], where: str) -> dict[str, str]:
    """The target of each input; within one layer an input drives one thing."""
    owner: dict[str, str] = {}
    for target, bound in targets.items():
        for binding in bound:
            first = owner.setdefault(binding.input, target)
            if first != target:
                raise ValueError(f"{where}: {binding.input!r} is bound to {first} and to {target}")
    return owner
