"""The settings (F2): which input does what, and how a hand's movement is taken.

`Settings` holds the bindings while they are being changed; a row is a channel's direction, a
command or a slider. A key that was taken from something else is named at the foot. Not here:
drawing (engine.present.menu) and where the user's bindings are kept (engine.input.bindings).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from engine.input.bindings import Binding, Bindings, Tuning
from engine.input.events import DeviceEvent, KeyEvent, MouseButton, PadAxis, PadButton, Wheel
from engine.input.names import MOUSE_COUNTS, PAD_STICKS, PAD_TRIGGERS
from engine.input.presses import input_of
from engine.present.key_help import COMMANDS, ends
from engine.present.menu import Menu, Row
from engine.present.navigation import PUSHED, Step

SLIDERS = {
    "mouse_sensitivity": ("Mouse sensitivity", 0.02, 0.6, 0.02, "{:.2f} °/count"),
    "dead_zone": ("Stick dead zone", 0.0, 0.5, 0.05, "{:.2f}"),
    "curve": ("Stick curve", 1.0, 3.0, 0.1, "{:.1f}"),
    "trigger_threshold": ("Trigger threshold", 0.1, 0.9, 0.1, "{:.1f}"),
}
"""Tuning by field: label, smallest, largest, step, how it is written."""

ASK = "Delete undoes all that you have changed of these"

HINTS = (("Enter", "change"), ("Del", "unbind"), ("← →", "slide"), ("Esc", "done"))


@dataclass(frozen=True)
class Settings:
    """The bindings as they stand, the place in the list, and whether a row waits for an input."""

    bindings: Bindings
    defaults: Bindings
    """As they are without anything of the player's own."""
    at: int = 1
    waiting: bool = False
    note: str = ""

    @property
    def menu(self) -> Menu:
        return Menu("Settings", tuple(self._rows()), self.at, self.note, HINTS)

    def step(self, step: Step) -> "Settings":
        """A step of a key or a pad; `back` is the caller's."""
        row = self.menu.row
        if step in ("up", "down", "home", "end"):
            return replace(self, at=self.menu.move(step).at, note="")
        if row.name in SLIDERS and step in ("left", "right"):
            return self._slide(row.name, 1 if step == "right" else -1)
        if row.name == "invert_look" and step in ("left", "right", "accept"):
            return self._tune(invert_look=not self.bindings.tuning.invert_look)
        if row.name == "defaults" and step in ("accept", "clear"):
            return self._undo(sure=step == "clear")
        if step == "accept" and row.name not in SLIDERS:
            return replace(self, waiting=True, note="")
        if step == "clear" and ":" in row.name:
            return self._bind([])
        return self

    def point(self, row: int) -> "Settings":
        at = self.menu.point(row).at
        return self if at == self.at else replace(self, at=at, note="")

    def capture(self, event: DeviceEvent) -> "Settings":
        """While a row waits: the next press or push becomes its input; Esc leaves it, except the
        row that Esc is meant for, which could not have it back otherwise."""
        leaves = isinstance(event, KeyEvent) and event.down and event.name == "escape"
        if leaves and self.menu.row.name != "command:menu:0":
            return replace(self, waiting=False)
        found = _pressed(event)
        if found is None:
            return self
        try:
            return replace(self._bind([found]), waiting=False)
        except ValueError as error:
            return replace(self, waiting=False, note=str(error))

    def _undo(self, *, sure: bool) -> "Settings":
        """Everything as it came, if asked for by another key than the one that chooses."""
        if self.bindings.to_dict() == self.defaults.to_dict():
            return replace(self, note="nothing is changed")
        if not sure:
            return replace(self, note=ASK)
        undone = replace(self, bindings=self.defaults, note="everything is as it came")
        return replace(undone, at=len(undone.menu.rows) - 1)  # fewer channels may be bound now

    def _rows(self) -> list[Row]:
        rows = [Row(name="", text="Moving")]
        for channel, bound in self.bindings.channels.items():
            for i, (text, inputs) in enumerate(ends(channel, bound)):
                rows.append(self._binding_row(f"channel:{channel}:{i}", text, inputs, len(rows)))
        rows.append(Row(name="", text="Mouse and sticks"))
        rows += [self._slider(name) for name in SLIDERS]
        inverted = "on" if self.bindings.tuning.invert_look else "off"
        rows.append(Row(name="invert_look", text="Invert look", value=inverted))
        rows.append(Row(name="", text="Keys of the window"))
        for name, text in COMMANDS.items():
            bound = self.bindings.commands.get(name, ())
            rows.append(self._binding_row(f"command:{name}:0", text, bound, len(rows)))
        rows.append(Row(name="", text="All of these"))
        rows.append(Row(name="defaults", text="Back to the defaults"))
        return rows

    def _binding_row(self, name: str, text: str, inputs: Sequence[Binding], at: int) -> Row:
        prompt = "press a key or a button …" if self.waiting and at == self.at else ""
        keys = tuple(binding.input for binding in inputs)
        return Row(name=name, text=text, keys=keys, value="not bound", prompt=prompt)

    def _slider(self, name: str) -> Row:
        text, low, high, _, form = SLIDERS[name]
        value = getattr(self.bindings.tuning, name)
        share = (value - low) / (high - low)
        return Row(name=name, text=text, value=form.format(value), share=share)

    def _slide(self, name: str, way: int) -> "Settings":
        _, low, high, step, _ = SLIDERS[name]
        value = getattr(self.bindings.tuning, name) + way * step
        return self._tune(**{name: round(min(high, max(low, value)), 4)})

    def _tune(self, **changes: float | bool) -> "Settings":
        return replace(self, bindings=self.bindings.tuned(**changes), note="")

    def _bind(self, found: list[Binding]) -> "Settings":
        """New inputs of the row's kind of device; those of other devices stay, unless there are
        none. Mouse motion always stays: no row could bind it again."""
        kind, target, end = self.menu.row.name.split(":")
        section = self.bindings.channels if kind == "channel" else self.bindings.commands
        bound = section[target]
        parts = ends(target, bound) if kind == "channel" else [("", list(bound))]
        mine = parts.pop(int(end))[1]
        others = [binding for _, inputs in parts for binding in inputs]
        sign = -1.0 if kind == "channel" and int(end) == 1 else 1.0
        new = [replace(b, scale=b.scale * sign * _reach(mine, b)) for b in found]
        kept = [
            b for b in mine if b.input in MOUSE_COUNTS or (new and _device(b) != _device(new[0]))
        ]
        used = {b.input for b in new}
        others = [b for b in others if b.input not in used]
        bindings = self.bindings.bind(target, *kept, *new, *others)
        taken = [note for note in bindings.notes if note not in self.bindings.notes]
        return replace(self, bindings=bindings, note="; ".join(taken))


def _reach(old: Sequence[Binding], new: Binding) -> float:
    """A key that takes another key's place reaches as far as that one did."""
    return next((abs(b.scale) for b in old if _device(b) == _device(new)), 1.0)


def _device(binding: Binding) -> str:
    """keyboard, mouse or pad; sticks and mouse motion count apart from buttons."""
    if binding.input in MOUSE_COUNTS:
        return "mouse motion"
    kind = binding.input.rpartition(".")[0] or "keyboard"
    return f"{kind} stick" if binding.input[4:] in PAD_STICKS else kind


def _pressed(event: DeviceEvent) -> Binding | None:
    """The input that an event presses; a stick gives its direction by its sign."""
    match event:
        case (
            KeyEvent(_, True, _) | MouseButton(_, True, _) | PadButton(_, _, True, _) | Wheel(_, _)
        ):
            return Binding(input=input_of(event))
        case PadAxis(_, axis, value, _) if abs(value) > PUSHED:
            sign = 1.0 if value > 0 or axis in PAD_TRIGGERS else -1.0
            return Binding(input=f"pad.{axis}", scale=sign)
    return None


assert {f.name for f in fields(Tuning)} == {*SLIDERS, "invert_look"}
