"""Frozen dataclasses from plain mappings and back: unknown keys and wrong types are errors.

For files that a person may have edited. It knows dataclasses, tuples, dicts, Literal, optional and
plain scalars, nothing else. Not here: reading YAML or JSON, ranges (each dataclass checks its own).

    manifest = build(Manifest, yaml.safe_load(text), "pack.yaml")
"""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


def build(kind: type[T], values: Any, where: str) -> T:
    """A dataclass from a mapping; `where` begins every error message."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected keys and values, got {values!r}")
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(typing.cast(Any, kind)) if f.init}
    refuse_unknown(values, list(known), where)
    missing = [name for name, field in known.items() if name not in values and _required(field)]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} missing")
    return kind(**{k: convert(hints[k], v, f"{where}: {k}") for k, v in values.items()})


def refuse_unknown(keys: Iterable[Any], known: Sequence[str], where: str) -> None:
    """A ValueError for the first key that is not known; it names the nearest one."""
    for key in keys:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"{where}: unknown key {key!r}; {hint}")


def convert(kind: Any, value: Any, where: str) -> Any:
    """The value as an annotated type."""
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(options, value, where)
    if origin is typing.Literal:
        if value not in options:
            raise ValueError(f"{where} is {value!r}; give one of {', '.join(map(repr, options))}")
        return value
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, where)
    if origin is tuple:
        return _tuple(options, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {value!r}; give keys and values")
        return {str(k): convert(options[1], v, f"{where}.{k}") for k, v in value.items()}
    return _scalar(kind, value, where)


def to_plain(value: Any) -> Any:
    """Dataclasses and tuples as mappings and lists, for YAML and JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return value


def _required(field: dataclasses.Field) -> bool:
    no_default = field.default is dataclasses.MISSING
    return no_default and field.default_factory is dataclasses.MISSING


def _optional(options: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    assert len(rest) == 1, "of unions, only `kind | None` is known here"
    return convert(rest[0], value, where)


def _tuple(options: tuple, value: Any, where: str) -> tuple:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} is {value!r}; give a list")
    kinds = options
    if len(options) == 2 and options[1] is Ellipsis:
        kinds = options[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} entries; give {len(kinds)}")
    rows = enumerate(zip(kinds, value, strict=True))
    return tuple(convert(kind, item, f"{where}[{i}]") for i, (kind, item) in rows)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if not right:
        raise ValueError(f"{where} is {value!r}; give a {kind.__name__}")
    return value
