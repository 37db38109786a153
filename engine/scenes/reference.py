"""The keys of a scene file and the words of its expressions as Markdown tables.

`demos/README.md` holds them between two marks; a test checks that they are current.

    helios check --keys
"""

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from engine.scenes.build import spelled
from engine.scenes.expressions import FUNCTIONS, SENSES
from engine.scenes.scene import Scene
from engine.scenes.schema import field_docs
from engine.scenes.values import Colour, Named, Range, Reference, Span

BEGIN = "<!-- keys: written by `helios check --keys` -->"
END = "<!-- end of keys -->"
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def reference() -> str:
    """All tables, between the marks."""
    parts = [BEGIN, *(_section(kind) for kind in sections()), _expressions(), END]
    return "\n\n".join(parts) + "\n"


def _section(kind: type) -> str:
    title = "A scene" if kind is Scene else kind.__name__
    lines = [f"### {title}", "", " ".join((kind.__doc__ or "").split())]
    short = getattr(kind, "SHORT", None)
    if short:
        lines += ["", f"In short: its `{short}` alone, in place of the whole."]
    lines += ["", "| key | takes | unless given | what it is |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {what} | {default} | {doc} |" for key, what, default, doc in table(kind)
    ]
    return "\n".join(lines)


def _expressions() -> str:
    lines = ["### Words of expressions", "", "| word | is | what it is |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {doc} |" for name, (kind, doc) in SENSES.items()]
    for name, (argument, kind, doc) in FUNCTIONS.items():
        shown = {"1": "a", "2": "a, b"}.get(argument, argument)
        lines.append(f"| `{name}({shown})` | {kind} | {doc} |")
    return "\n".join(lines)


def sections() -> list[type]:
    """Every dataclass of a scene file, each once, in the order in which keys lead to it."""
    found: list[type] = []
    waiting: list[Any] = [Scene]
    while waiting:
        kind = waiting.pop(0)
        if not isinstance(kind, type) or get_origin(kind) is not None:
            waiting += get_args(kind)
        elif is_dataclass(kind) and not hasattr(kind, "parse") and kind not in found:
            found.append(kind)
            waiting += get_type_hints(kind, include_extras=True).values()
    return found


def table(kind: type) -> list[tuple[str, str, str, str]]:
    """(key, what it takes, default, meaning) of each key of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    docs = field_docs(kind)
    return [
        (spelled(f.name), takes(hints[f.name]), _default(f), docs[f.name]) for f in fields(kind)
    ]


def takes(kind: Any) -> str:
    """What a key takes, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _takes_marked(arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(takes(k) for k in arguments if k is not type(None))
    if origin is Literal:
        return " / ".join(f"`{choice}`" for choice in arguments)
    if origin is dict:
        return f"{takes(arguments[0])} → {takes(arguments[1])}"
    if origin is tuple:
        return f"list of {takes(arguments[0])}"
    if kind in _WORDS:
        return _WORDS[kind]
    return kind.MEANS if hasattr(kind, "MEANS") else f"[{kind.__name__}](#{kind.__name__.lower()})"


def _takes_marked(arguments: tuple[Any, ...]) -> str:
    for mark in arguments[1:]:
        if isinstance(mark, Reference):
            return f"a {mark.kind}'s name" if mark.kind != "variable" else "a counter or flag"
        if isinstance(mark, Named):
            return "a new name"
        if isinstance(mark, Range):
            return f"{takes(arguments[0])} from {mark.low:.12g} to {mark.high:.12g}"
    return takes(arguments[0])


def _default(f: Field[Any]) -> str:
    value = f.default
    if f.default_factory is not MISSING:
        return ""
    if value is MISSING:
        return "**needed**"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Span):
        return f"`{value}`"
    if isinstance(value, Colour):
        return "`black`"
    if value in (None, "", ()) or is_dataclass(value):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
