"""Whether every name in a scene refers to something, and every expression and file makes sense.

Runs over what the builder collected, so that it finds these mistakes even in a file that has
others. Not here: doubts about things that are legal (warnings).
"""

from collections.abc import Mapping
from typing import Any

from engine.input.bindings import Binding, refuse_for_channel, refuse_for_command
from engine.input.names import check as check_input
from engine.scenes.build import Builder, Use
from engine.scenes.expressions import WORDS, Ask, Expression, ExpressionError
from engine.scenes.problems import nearest, quoted
from engine.scenes.scene import InputName
from engine.scenes.source import KeyPath
from engine.scenes.tracks import Track, TrackError
from engine.scenes.values import FileName
from helios_core.actions import ActionSpec


def check_names(builder: Builder, spec: ActionSpec) -> None:
    """Note every unknown name, clash and badly typed expression; `spec` has the channels that the
    scene may name."""
    known = _known(builder, spec)
    for use in builder.uses:
        _check_use(builder, use, known)
    _check_variables(builder, known)
    for path, value in list(builder.parsed.items()):
        if isinstance(value, Expression):
            _check_expression(builder, path, value, known)
        elif isinstance(value, Track):
            try:
                value.check(spec)
            except TrackError as error:
                builder.note(path, str(error), offset=error.offset)
        elif isinstance(value, FileName) and path[0] != "use":  # those were looked for already
            try:
                value.resolve_in(builder.sources[-1].folder)
            except ValueError as error:
                builder.note(path, str(error))
    _check_bindings(builder, spec)
    _check_reversals(builder)


def _known(builder: Builder, spec: ActionSpec) -> dict[str, list[str]]:
    """Names by kind, straight from the data, so that a faulty definition still counts."""
    merged = builder.content

    def names(section: str) -> list[str]:
        value = merged.get(section)
        return list(value) if isinstance(value, dict) else []

    return {
        "prompt": names("prompts"),
        "macro": names("macros"),
        "phase": names("phases"),
        "counter": names("counters"),
        "flag": names("flags"),
        "variable": [*names("counters"), *names("flags")],
        "channel": list(spec.names),
    }


def _check_use(builder: Builder, use: Use, known: Mapping[str, list[str]]) -> None:
    if use.name not in known[use.kind]:
        what = "counter or flag" if use.kind == "variable" else use.kind
        hint = nearest(use.name, known[use.kind])
        text = f"no {what} is called {quoted(use.name)}{hint}"
        builder.note(use.path, text, at_key=use.at_key)


def _check_variables(builder: Builder, known: Mapping[str, list[str]]) -> None:
    for section, names in (("counters", known["counter"]), ("flags", known["flag"])):
        for name in names:
            if name in WORDS:
                text = f"{name!r} is a word of the expression language; take another name"
                builder.note((section, name), text, at_key=True)
    for name in set(known["counter"]) & set(known["flag"]):
        builder.note(("flags", name), f"{name!r} is a counter already", at_key=True)


def _check_expression(
    builder: Builder, path: KeyPath, value: Expression, known: Mapping[str, list[str]]
) -> None:
    try:
        kind = value.check(known["counter"], known["flag"])
        for node in value.nodes():
            if isinstance(node, Ask):
                _check_ask(node, known)
    except ExpressionError as error:
        builder.note(path, str(error), offset=error.offset)
        return
    if path[-1] == "when" and kind != "yes or no":
        builder.note(path, "a condition must be a yes or no; compare the number, as in idle > 5s")
    if len(path) > 1 and path[-2] == "set":
        wanted = "yes or no" if path[-1] in known["flag"] else "number"
        if kind != wanted and path[-1] in known["variable"]:
            builder.note(path, f"{path[-1]} is a {wanted}, and this is a {kind}")


def _check_ask(node: Ask, known: Mapping[str, list[str]]) -> None:
    at = node.offset
    if node.function in ("prompt", "phase"):
        names = known[node.function]
        if node.argument not in names:
            hint = nearest(node.argument, names)
            message = f"no {node.function} is called {quoted(node.argument)}{hint}"
            raise ExpressionError(message, at)
    elif node.function in ("held", "tapped") and node.argument not in known["channel"]:
        try:
            check_input(node.argument)
        except ValueError as error:
            hint = nearest(node.argument, known["channel"])
            near = hint if "did you mean" in hint else "; " + str(error).rpartition("; ")[2]
            message = f"no key or channel is called {quoted(node.argument)}{near}"
            raise ExpressionError(message, at) from error


def _check_bindings(builder: Builder, spec: ActionSpec) -> None:
    """Inputs that their channel or command cannot follow, and those that drive two things."""
    owners: dict[tuple[KeyPath, str], str] = {}
    inputs = [(path, v) for path, v in builder.parsed.items() if isinstance(v, InputName)]
    for path, value in inputs:
        start = 2 if path[0] == "platform" else 0
        section, target = path[start + 1], str(path[start + 2])
        binding = Binding.parse(value)
        try:
            if section == "commands":
                refuse_for_command(binding)
            elif target in spec.names:
                refuse_for_channel(spec.channels[spec.index(target)], binding)
        except ValueError as error:
            builder.note(path, str(error))
        first = owners.setdefault((path[:start], binding.input), target)
        if first != target:
            builder.note(path, f"{binding.input!r} is bound to {first} and to {target}")


def _check_reversals(builder: Builder) -> None:
    """Macros that reverse one another in a circle."""
    macros: Any = builder.content.get("macros")
    if not isinstance(macros, dict):
        return
    for name in macros:
        seen, at = {name}, _reversed_of(macros, name)
        while at is not None and at not in seen:
            seen.add(at)
            at = _reversed_of(macros, at)
        if at == name:
            path = ("macros", name, "reverse")
            builder.note(path, f"{name} reverses itself")


def _reversed_of(macros: Mapping[str, Any], name: str) -> str | None:
    macro = macros.get(name)
    other = macro.get("reverse") if isinstance(macro, dict) else None
    return other if isinstance(other, str) else None
