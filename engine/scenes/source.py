"""One YAML file as plain data, with the line and column of every key and value.

Built from the parser's events in one pass, without recursion, so that a hostile file costs no more
than its length: size, depth and number of values are capped, aliases and tags refused. Scalars
follow YAML 1.2 (`no` is text, `12:30` too). Not here: what the keys mean (build).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from engine.scenes.problems import Problem, quoted

MAX_BYTES = 100_000
MAX_DEPTH = 12
MAX_VALUES = 8_000

KeyPath = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the file."""


@dataclass(frozen=True)
class Place:
    """Where a key and its value stand, counted from 1."""

    key: tuple[int, int]
    value: tuple[int, int]
    inline: bool = False
    """The value is one plain or quoted line, so that an offset into it is an offset in the file."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that was read; `problems` says what kept it from being read whole."""

    name: str
    """As messages show it."""
    folder: Path
    content: dict[str, Any]
    places: dict[KeyPath, Place]
    problems: tuple[Problem, ...] = ()

    def place(self, path: KeyPath) -> Place:
        """The place of a path, or of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place((1, 1), (1, 1))

    def problem(
        self, path: KeyPath, text: str, *, at_key: bool = False, offset: int | None = None
    ) -> Problem:
        """A mistake at a path, at its key, or so many signs into its value."""
        place = self.place(path)
        line, column = place.key if at_key else place.value
        if offset and place.inline:
            column += offset
        text = "".join(sign if sign.isprintable() else "·" for sign in text)
        return Problem(file=self.name, line=line, column=column, text=text)


def read_source(path: Path, name: str) -> Source:
    """The file as far as it can be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return _unread(name, path, f"cannot be read: {reason}")
    if len(data) > MAX_BYTES:
        return _unread(name, path, f"longer than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return _unread(name, path, "this is not UTF-8 text", line)
    return parse_source(text, name, path.parent)


def parse_source(text: str, name: str, folder: Path) -> Source:
    """The data of a text, up to the first thing that cannot be read."""
    reader = _Reader(name)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            reader.take(event)
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context).split())
        if what == OPEN_QUOTE:
            mark = error.context_mark
        reader.note(mark, f"this is not YAML: {what}{_remedy(what)}")
    except yaml.reader.ReaderError as error:
        at = error.position
        place = (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        reader.note(place, f"this is not YAML: {error.reason}; delete U+{error.character:04X} here")
    except (ValueError, OverflowError) as error:  # PyYAML's scanner lets a bad escape through
        reader.note(None, f"this is not YAML: {error}")
    content = reader.root
    if content is None and not reader.problems:
        reader.note(None, "the file is empty; `helios new scene NAME` writes one to start from")
    elif not isinstance(content, dict) and not reader.problems:
        reader.note(None, "a scene is a list of `key: value` lines, and this is something else")
    return Source(
        name=name,
        folder=folder,
        content=content if isinstance(content, dict) else {},
        places=reader.places,
        problems=tuple(reader.problems),
    )


OPEN_QUOTE = "found unexpected end of stream"
_INDENT = "give all keys of one thing the same indentation"
_REMEDIES = {
    "mapping values are": f"put text that holds ': ' in quotes, or {_INDENT}",
    "expected <block end>, but found '<scalar>'": "in single quotes, write a ' twice",
    "expected <block end>": _INDENT,
    "expected ',' or": "put text that holds ':', '{' or '[' in quotes, or close the bracket",
    "found character '\\t'": "indent with spaces instead of tabs",
    "found character": "put the text in quotes",
    "could not find expected ':'": "write `key: value`",
    OPEN_QUOTE: "this quote is never closed",
}
"""What to do about the messages of the parser that a slip of the pen leads to most often."""


def _remedy(what: str) -> str:
    """The end of a message of the parser."""
    return next((f"; {text}" for begins, text in _REMEDIES.items() if what.startswith(begins)), "")


def _unread(name: str, path: Path, text: str, line: int = 1) -> Source:
    problem = Problem(file=name, line=line, column=1, text=text)
    return Source(name=name, folder=path.parent, content={}, places={}, problems=(problem,))


class _Stop(Exception):
    """The rest of the file is not worth reading."""


@dataclass
class _Open:
    """A mapping or list whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    path: KeyPath
    key: str | None = None
    key_at: tuple[int, int] = (1, 1)
    doubled: bool = False
    """The current key was there before; its value is read and dropped."""


@dataclass
class _Reader:
    name: str
    root: Any = None
    stack: list[_Open] = field(default_factory=list)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    documents: int = 0

    def note(self, mark: yaml.Mark | tuple[int, int] | None, text: str) -> None:
        line, column = mark if isinstance(mark, tuple) else _at(mark) if mark else (1, 1)
        self.problems.append(Problem(file=self.name, line=line, column=column, text=text))

    def stop(self, mark: yaml.Mark, text: str) -> None:
        self.note(mark, text)
        raise _Stop

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.stop(event.start_mark, "a second document; a file holds one scene")
        elif isinstance(event, yaml.AliasEvent):
            self.stop(
                event.start_mark, "aliases are not read here; name a value under `vars` instead"
            )
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()

    def _node(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self.stop(
                event.start_mark, "anchors are not read here; name a value under `vars` instead"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            remedy = "put text that begins with ! in quotes"
            self.stop(event.start_mark, f"tags such as {quoted(tag)} are not read here; {remedy}")
        if len(self.places) > MAX_VALUES:
            self.stop(event.start_mark, f"more than {MAX_VALUES} values in a file")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        else:
            self._begin(event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.value, dict) and top.key is None:
            top.key, top.key_at = event.value, _at(event.start_mark)
            top.doubled = top.key in top.value
            if top.doubled:
                self.note(event.start_mark, f"{quoted(event.value)} is here twice")
            return
        plain = event.style is None
        one_line = event.start_mark.line == event.end_mark.line and "\\" not in event.value
        line, column = _at(event.start_mark)
        inline = event.style in (None, "'", '"') and one_line
        quote = inline and not plain
        value = _resolve(event.value) if plain else event.value
        self._put(value, (line, column + quote), inline)

    def _begin(self, event: yaml.NodeEvent) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.value, dict) and top.key is None:
            self.stop(event.start_mark, "a key must be a single word")
        if len(self.stack) >= MAX_DEPTH:
            self.stop(event.start_mark, f"nested deeper than {MAX_DEPTH}")
        value: dict[str, Any] | list[Any]
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._put(value, _at(event.start_mark), False)
        self.stack.append(_Open(value, path))

    def _end(self) -> None:
        self.stack.pop()

    def _put(self, value: Any, at: tuple[int, int], inline: bool) -> KeyPath:
        """Hang a value into what is open, and note its place."""
        if not self.stack:
            self.root = value
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            path, key_at = (*top.path, len(top.value)), at
            top.value.append(value)
        else:
            assert top.key is not None
            path, key_at = (*top.path, top.key), top.key_at
            if top.doubled:
                top.key = None
                return (*path, "(twice)")
            top.value[top.key] = value
            top.key = None
        self.places[path] = Place(key_at, at, inline)
        return path


def _at(mark: yaml.Mark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


_INTEGER = re.compile(r"[-+]?[0-9]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS = {"": None, "null": None, "~": None, "true": True, "false": False}


def _resolve(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar is in YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) < 40:
        return float(text)
    return text


def walk(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every scalar below a value, with its path."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        yield path, value
    for key, item in items:
        yield from walk(item, (*path, key))
