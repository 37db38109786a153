"""The keys of a scene file as JSON Schema, so that editors complete and check them.

Follows the same annotations as the validator (build) and takes its words from the text under each
field of the dataclasses, so that it cannot drift from what is accepted. Not here: the same as
tables for readers (reference).

    helios check --schema > demos/scene.schema.json
"""

import ast
import inspect
import textwrap
import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from engine.scenes.build import spelled
from engine.scenes.scene import Scene
from engine.scenes.values import Named, Range, Reference

VARIABLE = r"\$\{vars\."
"""A text that holds a reference to one of the file's own values."""
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": ["string", "number"]},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scene file."""
    definitions: dict[str, Any] = {"Variable": {"type": "string", "pattern": VARIABLE}}
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
        return _or_variable({"enum": list(arguments)})
    if origin is dict:
        names = _names(arguments[0])
        values = _schema(arguments[1], definitions)
        return {"type": "object", "propertyNames": names, "additionalProperties": values}
    if origin is tuple:
        item = _schema(arguments[0], definitions)
        return {"anyOf": [{"type": "array", "items": item}, item]}
    if kind in _PLAIN:
        return dict(_PLAIN[kind]) if kind is str else _or_variable(_PLAIN[kind])
    if hasattr(kind, "parse"):
        return _or_variable(kind.SCHEMA)
    return _object(kind, definitions)


def _names(kind: Any) -> dict[str, Any]:
    """What the keys of a mapping may be."""
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    marks = [mark for mark in get_args(kind)[1:] if isinstance(mark, Named)]
    return {"type": "string", "pattern": marks[0].pattern} if marks else {"type": "string"}


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or a reference to a value under `vars`, whose kind only the validator can tell."""
    return {"anyOf": [schema, {"$ref": "#/$defs/Variable"}]}


def _marked(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(arguments[0], definitions)
    for mark in arguments[1:]:
        if isinstance(mark, Range):
            bounds = {"minimum": mark.low, "maximum": mark.high}
            schema = _or_variable(_PLAIN[arguments[0]] | bounds)
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
