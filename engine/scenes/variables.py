"""`${vars.name}`: a scene's own variables, checked before OmegaConf sees them.

Only plain references to the file's own `vars` pass; every other `${` is an error, so that no
resolver, environment variable or path is ever reached. Expansion is bounded by counting first: a
reference costs one and what it expands to, so that chains of doublings are refused instead of run.
"""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from omegaconf import OmegaConf

from engine.scenes.problems import Problem, nearest, quoted
from engine.scenes.source import KeyPath, Source, walk

REFERENCE = re.compile(r"\$\{vars\.([A-Za-z_][A-Za-z0-9_]*)\}")
MISSING = "???"
"""OmegaConf's word for a value that is not there; a reference to it would raise."""
MAX_DEPTH = 6
MAX_REFERENCES = 500
"""References in a whole scene, each counted as often as it expands."""
MAX_LENGTH = 4000
"""Signs of one text after expansion."""


class VariableError(ValueError):
    """A reference that is not expanded, with its offset in the text."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


def check_references(sources: Iterable[Source]) -> tuple[list[Problem], set[KeyPath]]:
    """What is wrong with the references of some files, and the paths that hold them."""
    sources = list(sources)
    variables = _variables(sources)
    problems, broken = [], set()
    budget = MAX_REFERENCES
    for source in sources:
        for path, value in walk(source.content):
            if not isinstance(value, str) or "${" not in value:
                continue
            try:
                budget -= _cost(value, variables)[0]
                if budget < 0:
                    raise VariableError(f"more than {MAX_REFERENCES} references in a scene")
            except VariableError as error:
                broken.add(path)
                problems.append(source.problem(path, str(error), offset=error.offset))
    return problems, broken


def merge(contents: Iterable[dict[str, Any]], broken: set[KeyPath]) -> dict[str, Any]:
    """Later data over earlier, references expanded, broken ones None.

    Mappings merge key by key; everything else, lists included, is replaced.
    """
    merged: dict[str, Any] = {}
    for content in contents:
        content = deepcopy(content)
        for path in broken:
            _blank(content, path)
        _drop_other_kinds(merged, content)
        merged = _plain(OmegaConf.merge(merged, content), resolve=False)
    return _plain(OmegaConf.create(merged), resolve=True)


def _plain(config: Any, *, resolve: bool) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _drop_other_kinds(base: dict[str, Any], over: dict[str, Any]) -> None:
    """OmegaConf refuses a list over a mapping; here the later file wins and is then checked."""
    for key in base.keys() & over.keys():
        old, new = base[key], over[key]
        if isinstance(old, dict) and isinstance(new, dict):
            _drop_other_kinds(old, new)
        elif isinstance(old, dict | list) and isinstance(new, dict | list):
            del base[key]


def _variables(sources: Iterable[Source]) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for source in sources:
        if "vars" in source.content:
            own = source.content["vars"]
            variables = {**variables, **own} if isinstance(own, dict) else {}  # as `merge` does
    return variables


def _cost(text: str, variables: Mapping[str, Any], above: tuple[str, ...] = ()) -> tuple[int, int]:
    """References expanded and signs in the end, or a VariableError."""
    references, length, end = 0, 0, 0
    for match in REFERENCE.finditer(text):
        name, start = match[1], match.start()
        _refuse_other(text[end:start], end)
        length += start - end
        end = match.end()
        value = _value(name, variables, above, start)
        inner, size = (0, len(str(value)))
        if isinstance(value, str) and "${" in value:
            try:
                inner, size = _cost(value, variables, (*above, name))
            except VariableError as error:
                raise VariableError(str(error), start) from error
        references, length = references + 1 + inner, length + size
        if references > MAX_REFERENCES:
            raise VariableError(f"expands through more than {MAX_REFERENCES} references", start)
        if length > MAX_LENGTH:
            raise VariableError(f"expands to more than {MAX_LENGTH} signs", start)
    _refuse_other(text[end:], end)
    return references, length + len(text) - end


def _value(name: str, variables: Mapping[str, Any], above: tuple[str, ...], at: int) -> Any:
    if name in above:
        raise VariableError(f"vars.{name} refers to itself", at)
    if len(above) >= MAX_DEPTH:
        raise VariableError(f"variables refer to one another deeper than {MAX_DEPTH}", at)
    if name not in variables:
        raise VariableError(f"no variable {name!r} under `vars`{nearest(name, variables)}", at)
    value = variables[name]
    if isinstance(value, dict | list):
        raise VariableError(f"vars.{name} is not a single value", at)
    if value == MISSING:
        raise VariableError(f"vars.{name} is {MISSING}, which is never expanded", at)
    return "" if value is None else value


def _refuse_other(text: str, offset: int) -> None:
    at = text.find("${")
    if at >= 0:
        shown = quoted(text[at : at + 24])
        raise VariableError(
            f"{shown} is not expanded here; only ${{vars.name}} with a name under `vars` is",
            offset + at,
        )


def _blank(content: Any, path: KeyPath) -> None:
    """Put None where a path leads, if this content has it."""
    for i, key in enumerate(path):
        if isinstance(content, list) and isinstance(key, int) and key < len(content):
            held: Any = content
        elif isinstance(content, dict) and key in content:
            held = content
        else:
            return
        if i == len(path) - 1:
            held[key] = None
        content = held[key]
