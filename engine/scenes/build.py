"""From plain data to frozen dataclasses, collecting every mistake with its place.

The one validator of scene files. It follows the annotations: dataclasses, `dict`, `tuple`,
`Literal`, `X | None`, values with marks (`Range`, `Named`, `Reference`), and any value type that
has `parse`. A dataclass with `SHORT` may be written as that one field's value. Not here: reading
YAML (source), what names refer to (names), the same walk as JSON Schema (schema).
"""

import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from engine.scenes.problems import Problem, nearest, quoted
from engine.scenes.source import KeyPath, Source
from engine.scenes.values import Reference

LONGEST_TEXT = 2000


class Absent:
    """Stands for a value that could not be read; its mistake is already noted."""


ABSENT = Absent()


@dataclass(frozen=True, kw_only=True)
class Use:
    """A name that must exist somewhere."""

    kind: str
    name: str
    path: KeyPath
    at_key: bool


@dataclass(kw_only=True)
class Builder:
    """One walk over one scene's data."""

    sources: tuple[Source, ...]
    """The files, the last one winning: the scene's own, or its changes for this platform."""
    content: dict[str, Any]
    """What they say together, variables expanded."""
    broken: frozenset[KeyPath] = frozenset()
    """Paths whose mistakes are already noted."""
    problems: list[Problem] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    parsed: dict[KeyPath, Any] = field(default_factory=dict)
    """Values that have a language of their own, for later checks."""

    def source(self, path: KeyPath) -> Source:
        """The file that has the say over a path: lists come whole from one file."""
        stem = path
        for i, key in enumerate(path):
            if isinstance(key, int):
                stem = path[:i]
                break
        for source in reversed(self.sources):
            if stem in source.places:
                return source
        return self.source(stem[:-1]) if stem else self.sources[-1]

    def is_own(self, path: KeyPath) -> bool:
        """Whether the scene's own file says it, rather than one that it uses."""
        return self.source(path).name == self.sources[-1].name

    def note(
        self, path: KeyPath, text: str, *, at_key: bool = False, offset: int | None = None
    ) -> None:
        where = dotted(path)
        text = f"{where}: {text}" if where else text
        self.problems.append(self.source(path).problem(path, text, at_key=at_key, offset=offset))

    def build(self, kind: Any, value: Any, path: KeyPath = ()) -> Any:
        """A value of a kind, or ABSENT."""
        if path in self.broken:
            return ABSENT
        origin = get_origin(kind)
        if origin is Annotated:
            return self._annotated(get_args(kind), value, path)
        if origin in (Union, types.UnionType):
            return self._union(get_args(kind), value, path)
        if origin is Literal:
            return self._literal(get_args(kind), value, path)
        if origin is dict:
            key_kind, kind = get_args(kind)
            return self._mapping(key_kind, kind, value, path)
        if origin is tuple:
            return self._list(get_args(kind)[0], value, path)
        if is_dataclass(kind) and not hasattr(kind, "parse"):
            return self._dataclass(kind, value, path)
        return self._scalar(kind, value, path)

    # ---- what holds other values

    def _dataclass(self, kind: Any, value: Any, path: KeyPath) -> Any:
        short = getattr(kind, "SHORT", None)
        if short and not isinstance(value, dict):
            value = {short: value}
            hints = get_type_hints(kind, include_extras=True)
            inner = self.build(hints[short], value[short], path)
            return ABSENT if inner is ABSENT else self._make(kind, {short: inner}, path)
        if not isinstance(value, dict):
            self.note(path, f"expected `key: value` lines, not {_kind_of(value)}")
            return ABSENT
        hints = get_type_hints(kind, include_extras=True)
        known = [f.name for f in fields(kind)]
        names = {spelled(name): name for name in known}
        given = {}
        for key, item in value.items():
            if key not in names:
                hint = "; put a space after its ':'" if ":" in key else nearest(key, names)
                self.note((*path, key), f"no such key here{hint}", at_key=True)
            elif item is not None or (*path, key) in self.broken:
                name = names[key]
                given[name] = self.build(hints[name], item, (*path, key))
        return self._make(kind, given, path)

    def _make(self, kind: Any, given: dict[str, Any], path: KeyPath) -> Any:
        """The dataclass itself, once nothing it needs is missing."""
        whole = True
        for f in fields(kind):
            needed = f.default is MISSING and f.default_factory is MISSING
            if needed and f.name not in given:
                self.note(path, f"the key {spelled(f.name)!r} is missing")
                whole = False
        if not whole or _holds_absent(given.values()):
            return ABSENT
        try:
            return kind(**given)
        except ValueError as error:
            self.note(path, str(error))
            return ABSENT

    def _mapping(self, key_kind: Any, kind: Any, value: Any, path: KeyPath) -> Any:
        if not isinstance(value, dict):
            self.note(path, f"expected `name: value` lines, not {_kind_of(value)}")
            return ABSENT
        built = {
            self._key(key_kind, key, (*path, key)): self.build(kind, item, (*path, key))
            for key, item in value.items()
        }
        return ABSENT if ABSENT in built or _holds_absent(built.values()) else built

    def _key(self, kind: Any, key: str, path: KeyPath) -> Any:
        if get_origin(kind) is Annotated:
            return self._marked(get_args(kind)[1:], key, path, at_key=True)
        choices = get_args(kind)
        if choices and key not in choices:
            self.note(path, f"no such key here{nearest(key, choices)}", at_key=True)
            return ABSENT
        return key

    def _list(self, kind: Any, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            self.note(path, "expected a list: begin each item with `- `")
            return ABSENT
        if not isinstance(value, list):
            built = [self.build(kind, value, path)]
        else:
            built = [self.build(kind, item, (*path, i)) for i, item in enumerate(value)]
        return ABSENT if _holds_absent(built) else tuple(built)

    # ---- single values

    def _annotated(self, arguments: tuple[Any, ...], value: Any, path: KeyPath) -> Any:
        built = self.build(arguments[0], value, path)
        return built if built is ABSENT else self._marked(arguments[1:], built, path)

    def _marked(
        self, marks: tuple[Any, ...], value: Any, path: KeyPath, *, at_key: bool = False
    ) -> Any:
        """The value, if it is what its marks say."""
        for mark in marks:
            if isinstance(mark, Reference):
                self.uses.append(Use(kind=mark.kind, name=value, path=path, at_key=at_key))
                continue
            try:
                mark.check(value)
            except ValueError as error:
                self.note(path, str(error), at_key=at_key)
                return ABSENT
        return value

    def _union(self, kinds: tuple[Any, ...], value: Any, path: KeyPath) -> Any:
        if value is None and type(None) in kinds:
            return None
        kinds = tuple(kind for kind in kinds if kind is not type(None))
        if len(kinds) == 1:
            return self.build(kinds[0], value, path)
        for kind in kinds:  # plain scalars: the first that fits as it is
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                return self.build(float, value, path)
            if isinstance(value, bool) == (kind is bool) and isinstance(value, kind):
                return self.build(kind, value, path)
        names = " or ".join(_NAMES[kind] for kind in kinds)
        self.note(path, f"expected {names}, not {_kind_of(value)}")
        return ABSENT

    def _literal(self, choices: tuple[Any, ...], value: Any, path: KeyPath) -> Any:
        if value in choices and isinstance(value, str):
            return value
        if isinstance(value, dict | list) or value is None:
            self.note(path, f"expected one of {', '.join(choices)}, not {_kind_of(value)}")
        else:
            hint = nearest(str(value), choices)
            self.note(path, f"{quoted(value)} is not known here{hint}")
        return ABSENT

    def _scalar(self, kind: Any, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict | list) or value is None:
            wanted = _NAMES.get(kind) or f"{_article(kind.MEANS)} {kind.MEANS}"
            self.note(path, f"expected {wanted}, not {_kind_of(value)}")
            return ABSENT
        if kind in _PLAIN:
            try:
                return _PLAIN[kind](value)
            except ValueError as error:
                self.note(path, str(error))
                return ABSENT
        try:
            built = kind.parse(value)
        except ValueError as error:
            self.note(path, str(error), offset=getattr(error, "offset", None))
            return ABSENT
        self.parsed[path] = built
        return built


def spelled(name: str) -> str:
    """A field's key in the file: Python keeps `for` and `from` for itself."""
    return name.rstrip("_")


def dotted(path: KeyPath) -> str:
    """A path as a message shows it; list positions count from 1."""
    text = ""
    for key in path:
        shown = f"[{key + 1}]" if isinstance(key, int) else f".{key[:40]}"
        text += shown
    return text.lstrip(".")


def _holds_absent(values: Iterable[Any]) -> bool:
    return any(isinstance(value, Absent) for value in values)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "`key: value` lines"
    return "a list" if isinstance(value, list) else quoted(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError(f"expected text; put {str(value).lower()} in quotes")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"longer than {LONGEST_TEXT} signs")
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in text):
        raise ValueError("a control character")
    if not text.strip():
        raise ValueError("expected text, not an empty one")
    return text


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, not {quoted(value)}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, not {quoted(value)}")
    if not abs(value) < 1e12:
        raise ValueError(f"{quoted(value)} is too large")
    return float(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {quoted(value)}")
    return value


_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _yes_or_no,
}
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
