"""The names of every input of a keyboard, a mouse and a gamepad, as bindings write them.

Keys have bare names (`w`, `space`, `left shift`), mouse inputs begin with `mouse.`, gamepad inputs
with `pad.` and are named as on an Xbox pad whatever its maker. Up and right are positive on every
stick and for the mouse. Not here: which device code has which name (engine.input.devices).
"""

from difflib import get_close_matches

KEYS = frozenset(
    (
        *"abcdefghijklmnopqrstuvwxyz0123456789",
        *(f"f{i}" for i in range(1, 16)),
        *(f"keypad {i}" for i in range(10)),
        *("up", "down", "left", "right", "home", "end", "page up", "page down"),
        *("space", "return", "enter", "tab", "backspace", "escape", "insert", "delete"),
        *("left shift", "right shift", "left ctrl", "right ctrl", "left alt", "right alt"),
        *("caps lock", "print screen", "break", "menu"),
        *("minus", "equals", "plus", "comma", "period", "slash", "backslash", "semicolon"),
        *("quote", "backquote", "left bracket", "right bracket"),
    )
)
"""Keys by the name printed on a US keyboard. Another layout's Latin letter is its own single sign;
a key of another script, or a dead one, has the name of the US key in its place."""
LAST_LATIN = "\u024f"
"""The last sign that can be a name."""

MOUSE_BUTTONS = ("left", "middle", "right", "x1", "x2")
MOUSE_COUNTS = ("mouse.x", "mouse.y")
"""Motion, which only an axis can follow."""
MOUSE = frozenset((*MOUSE_COUNTS, "mouse.wheel_up", "mouse.wheel_down")) | frozenset(
    f"mouse.{name}" for name in MOUSE_BUTTONS
)

PAD_STICKS = ("left_x", "left_y", "right_x", "right_y")
PAD_TRIGGERS = ("left_trigger", "right_trigger")
PAD_AXES = (*PAD_STICKS, *PAD_TRIGGERS)
PAD_BUTTONS = (
    *("a", "b", "x", "y", "left_shoulder", "right_shoulder", "back", "start", "guide"),
    *("left_stick", "right_stick", "dpad_up", "dpad_down", "dpad_left", "dpad_right"),
)
PAD = frozenset(f"pad.{name}" for name in (*PAD_AXES, *PAD_BUTTONS))

_LABELS = {
    **{
        "return": "Enter",
        "enter": "Num Enter",
        "backspace": "⌫",
        "escape": "Esc",
        "space": "Space",
        "tab": "Tab",
    },
    **{"up": "↑", "down": "↓", "left": "←", "right": "→", "page up": "PgUp", "page down": "PgDn"},
    **{"left shift": "Shift", "left ctrl": "Ctrl", "left alt": "Alt", "minus": "−", "equals": "="},
    **{"comma": ",", "period": ".", "slash": "/", "backslash": "\\", "semicolon": ";", "plus": "+"},
    **{"left bracket": "[", "right bracket": "]", "quote": "'", "backquote": "`"},
    **{"mouse.wheel_down": "Wheel ↓", "mouse.left": "Click", "mouse.right": "Right click"},
    **{"mouse.x": "Mouse ↔", "mouse.y": "Mouse ↕", "mouse.wheel_up": "Wheel ↑"},
}


def check(name: str) -> str:
    """The name itself, or a ValueError that gives the nearest one."""
    known = KEYS | MOUSE | PAD
    if name in known or is_sign(name):
        return name
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "keys are named like 'w' or 'left shift'"
    raise ValueError(f"no input is called {name!r}; {hint}")


def is_sign(name: str) -> bool:
    """Whether a key may be called by this sign."""
    return len(name) == 1 and name <= LAST_LATIN and name.isprintable() and not name.isspace()


def label(name: str) -> str:
    """How the name reads on a key cap or in a list: `left shift` is Shift."""
    if name in _LABELS:
        return _LABELS[name]
    device, _, rest = name.rpartition(".")
    words = rest.replace("_", " ")
    words = words.upper() if len(words) <= 3 else words.title()
    return f"{device.title()} {words}" if device else words
