"""The keys of a scene file as JSON Schema for editors, and as tables for readers.

Both follow the same annotations as the validator (build) and take their words from the text under
each field of the dataclasses, so that they cannot drift from what is accepted.

    helios check --schema > demos/scene.schema.json
"""

import ast
import inspect
import textwrap
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from engine.scenes.build import spelled
from engine.scenes.scene import Scene
from engine.scenes.values import Colour, Named, Range, Reference, Span

_PLAIN = {
    str: {"type": ["string", "number"]},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scene file."""
    definitions: dict[str, Any] = {}
    root = _schema(Scene, definitions)
    # A file may be completed by those that it uses, so what it needs is left to `helios check`.
    definitions["Scene"].pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Helios scene",
        **root,
        "$defs": definitions,
    }


@cache
def field_docs(kind: type) -> dict[str, str]:
    """The text under each field of a dataclass and of those that it extends."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not is_dataclass(base):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        assert isinstance(tree.body[0], ast.ClassDef)
        body = tree.body[0].body
        for line, after in pairwise(body):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                docs[line.target.id] = _literal(after)
    return docs


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


def _literal(node: ast.stmt) -> str:
    """The text of a string that stands alone on its line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _marked(arguments, definitions)
    if origin in (Union, types.UnionType):
        kinds = [_schema(k, definitions) for k in arguments if k is not type(None)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is dict:
        names = _schema(arguments[0], definitions)
        values = _schema(arguments[1], definitions)
        return {"type": "object", "propertyNames": names, "additionalProperties": values}
    if origin is tuple:
        item = _schema(arguments[0], definitions)
        return {"anyOf": [{"type": "array", "items": item}, item]}
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if hasattr(kind, "parse"):
        return dict(kind.SCHEMA)
    return _object(kind, definitions)


def _marked(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(arguments[0], definitions)
    for mark in arguments[1:]:
        if isinstance(mark, Range):
            schema |= {"minimum": mark.low, "maximum": mark.high}
        elif isinstance(mark, Named):
            schema = {"type": "string", "pattern": mark.pattern}
        elif isinstance(mark, Reference):
            schema = {"type": "string"}
    return schema


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}
        hints, docs = get_type_hints(kind, include_extras=True), field_docs(kind)
        properties = {}
        for f in fields(kind):
            described = {"description": docs[f.name]}
            properties[spelled(f.name)] = described | _schema(hints[f.name], definitions)
        needed = [
            spelled(f.name)
            for f in fields(kind)
            if f.default is MISSING and f.default_factory is MISSING
        ]
        definitions[name] |= {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split()),
            "properties": properties,
            "additionalProperties": False,
        }
        if needed:
            definitions[name]["required"] = needed
    short = getattr(kind, "SHORT", None)
    whole = {"$ref": f"#/$defs/{name}"}
    if short is None:
        return whole
    hints = get_type_hints(kind, include_extras=True)
    return {"anyOf": [_schema(hints[short], definitions), whole]}
