"""Doubts about a scene that can be played: what can never happen, is never used, or is missing.

Not here: mistakes that keep it from being played (build, names).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.input.bindings import DEFAULT_COMMANDS, Binding
from engine.scenes.build import Builder, dotted
from engine.scenes.effects import Effects
from engine.scenes.expressions import Apply, Ask, Constant, Expression, Node, Time, Variable
from engine.scenes.packs import PackFacts
from engine.scenes.problems import Problem, quoted
from engine.scenes.scene import MENU, Scene
from engine.scenes.source import KeyPath, walk
from engine.scenes.timeline import TimedEvent
from engine.scenes.tracks import Track
from engine.scenes.values import FileName, Span

FPS = 20
"""Only to compare times that are given in frames with times in seconds."""
PackLookup = Callable[[str | None], PackFacts | None]
"""From the name of a pack, or None for the default one, to what is known of it."""
_ENDS = ("end", "jump", "record")
"""What an event that ends a play can do: a recording is closed then anyway."""
_BOUNDED = ("brightness", "red", "green", "blue", "crossfade")


def warnings_of(
    scene: Scene, builder: Builder, folder: Path, facts: PackLookup
) -> Iterator[Problem]:
    """Every doubt, as a problem of level `warning`."""
    found: list[tuple[KeyPath, str]] = []
    events = list(scene.all_events())
    found += _never_fires(scene, events)
    found += [doubt for doubt in _unused(scene, builder) if builder.is_own(doubt[0])]
    found += _missing_files(builder, folder)
    found += _empty(builder)
    found += _deaf(scene, builder)
    try:
        pack = facts(scene.pack)
        found += _pack_lacks(scene, builder, pack) if pack is not None else []
    except ValueError as error:
        found.append((("pack",), str(error)))
    for path, text in found:
        problem = builder.source(path).problem(path, f"{dotted(path)}: {text}")
        yield replace(problem, level="warning")


# ---- what can never happen


def _never_fires(
    scene: Scene, events: list[tuple[KeyPath, Effects]]
) -> Iterator[tuple[KeyPath, str]]:
    reachable = {next(iter(scene.phases), None), *(e.go for _, e in events if e.go)}
    for name in scene.phases:
        if name not in reachable:
            yield ("phases", name), "no event goes to this phase"
    saved = {event.save for _, event in events}
    for path, event in events:
        lost = [kind for kind in event.kinds() if kind not in _ENDS]
        if lost and (event.end or event.jump):
            yield path, f"{', '.join(lost)}: the session ends before; do it at an earlier time"
        if event.load and event.load not in saved:
            yield (*path, "load"), f"no event saves {event.load}"
        if isinstance(event, TimedEvent) and event.until is not None:
            begin = event.at or event.every
            if begin is not None and begin.frames_at(FPS) > event.until.frames_at(FPS):
                yield path, "it ends before it begins"
    for path, part in [((), scene), *((("phases", n), p) for n, p in scene.phases.items())]:
        yield from _after_the_end(path, part.timeline)
        for i, trigger in enumerate(part.triggers):
            verdict = _constant(trigger.when)
            repeats = trigger.cooldown is not None and not trigger.once
            if verdict is not None and not (verdict and repeats):
                always = "is always true: it fires once, at the start"
                text = always if verdict else "can never be true"
                yield (*path, "triggers", i, "when"), text


def _after_the_end(
    path: KeyPath, timeline: tuple[TimedEvent, ...]
) -> Iterator[tuple[KeyPath, str]]:
    # The scene's own timeline holds in every phase: `go` ends that of a phase only.
    ends = [e for e in timeline if e.at and (e.end or e.jump or (path and e.go))]
    if not ends:
        return
    frames = {id(e): (e.at or e.every or Span()).frames_at(FPS) for e in timeline}
    first = min(ends, key=lambda e: frames[id(e)])
    stop = frames[id(first)]
    # What comes at the time of a `go` happens still, what comes with an end does not.
    same_time = not (first.end or first.jump)
    for i, event in enumerate(timeline):
        frame = frames[id(event)]
        if frame > stop or (frame == stop and not same_time and event not in ends):
            yield (*path, "timeline", i), f"never happens: {stop / FPS:g}s ends this timeline"


def _constant(condition: Expression) -> bool | None:
    """True or False if the condition is always so, as far as bounds show; else None."""
    bounds = _bounds(condition.root)
    return bounds[0] if isinstance(bounds[0], bool) and bounds[0] == bounds[1] else None


def _bounds(node: Node) -> tuple[Any, Any]:
    """The smallest and largest value that a node can have."""
    anything = (-float("inf"), float("inf"))
    if isinstance(node, Constant):
        return node.value, node.value
    if isinstance(node, Time):
        seconds = node.span.seconds_at(FPS)
        return seconds, seconds
    if isinstance(node, Variable):
        return (0.0, 1.0) if node.name in _BOUNDED else anything if _signed(node) else (0.0, 1e9)
    if isinstance(node, Ask):
        if node.function == "chance":
            return (False, False) if float(node.argument) == 0 else (False, True)
        return (0.0, 1e9) if node.function == "held" else (False, True)
    return _apply_bounds(node)


def _signed(node: Variable) -> bool:
    return node.name not in ("time", "phase_time", "idle", "distance", "away")


def _apply_bounds(node: Apply) -> tuple[Any, Any]:
    parts = [_bounds(operand) for operand in node.operands]
    if node.operator == "and":
        return all(p[0] is True for p in parts), all(p[1] is not False for p in parts)
    if node.operator == "or":
        return any(p[0] is True for p in parts), any(p[1] is not False for p in parts)
    if node.operator == "not":
        ((low, high),) = parts
        return (not high, not low) if isinstance(low, bool) else (False, True)
    if node.operator in ("<", "<=", ">", ">="):
        (a, b), (c, d) = parts if node.operator[0] == ">" else parts[::-1]
        strict = len(node.operator) == 1
        certain = a > d if strict else a >= d
        possible = b > c if strict else b >= c
        return certain, possible
    if node.operator in ("==", "!="):
        return False, True
    return -float("inf"), float("inf")


# ---- what is never used


def _unused(scene: Scene, builder: Builder) -> Iterator[tuple[KeyPath, str]]:
    used = {(use.kind, use.name) for use in builder.uses}
    used.add(("prompt", scene.start.prompt or next(iter(scene.prompts))))
    keys = list(scene.presets)[:MENU]
    for name in scene.prompts:
        if ("prompt", name) not in used and name not in keys:
            yield ("prompts", name), "never used: no event names it and no number key has it"
    for name in scene.macros:
        if ("macro", name) not in used:
            yield ("macros", name), "never used"
    read = {n.name for e in _expressions(builder) for n in e.nodes() if isinstance(n, Variable)}
    for section, names in (("counters", scene.counters), ("flags", scene.flags)):
        for name in names:
            if name not in read:
                yield (section, name), "no condition reads it"
    text = str([source.content for source in builder.sources])
    for name in scene.vars:
        if f"${{vars.{name}}}" not in text:
            yield ("vars", name), "never used"


def _expressions(builder: Builder) -> Iterator[Expression]:
    return (value for value in builder.parsed.values() if isinstance(value, Expression))


# ---- what is missing


def _missing_files(builder: Builder, folder: Path) -> Iterator[tuple[KeyPath, str]]:
    for path, value in builder.parsed.items():
        if isinstance(value, FileName) and not value.resolve_in(folder).is_file():
            yield path, f"there is no file {value!s}"


def _empty(builder: Builder) -> Iterator[tuple[KeyPath, str]]:
    for path, value in walk(builder.content):
        # None over what a used file says takes that away.
        if value is None and sum(path in source.places for source in builder.sources) == 1:
            text = "empty, as if it were not there; put a value such as null or #20304f in quotes"
            yield path, text


def _deaf(scene: Scene, builder: Builder) -> Iterator[tuple[KeyPath, str]]:
    """Conditions on a key that gives a command, of which the scene does not hear."""
    own = scene.bindings
    bound = {**DEFAULT_COMMANDS, **own.commands}
    commands = {Binding.parse(i).input: name for name, inputs in bound.items() for i in inputs}
    taken = {Binding.parse(i).input for inputs in own.channels.values() for i in inputs}
    for path, value in builder.parsed.items():
        for node in value.nodes() if isinstance(value, Expression) else ():
            if isinstance(node, Ask) and node.function in ("held", "tapped"):
                command = commands.get(node.argument)
                if command is not None and node.argument not in taken:
                    text = f"{node.argument!r} never reaches the scene: it gives {command}"
                    yield path, f"{text}; ask for another key, or bind {command} to one"


def _pack_lacks(scene: Scene, builder: Builder, pack: PackFacts) -> Iterator[tuple[KeyPath, str]]:
    for path, value in builder.parsed.items():
        if isinstance(value, Track):
            for name in sorted(value.channels - set(pack.spec.names)):
                yield path, f"the pack {pack.name} has no channel {name!r}"
    for use in builder.uses:
        if use.kind == "channel" and use.name not in pack.spec.names:
            yield use.path, f"the pack {pack.name} has no channel {use.name!r}"
    if pack.known_words is not None:
        for name, prompt in scene.prompts.items():
            yield from _unknown_words(("prompts", name), prompt.text, pack)


def _unknown_words(path: KeyPath, text: str, pack: PackFacts) -> Iterator[tuple[KeyPath, str]]:
    from helios_core.text.api import report_words  # brings torch along: only when there are words

    reports = {r.word.lower(): r for r in report_words(text, pack.known_words) if not r.known}
    for word, report in reports.items():
        hint = f"; did you mean {report.suggestion!r}?" if report.suggestion else ""
        yield path, f"the pack {pack.name} was never taught {quoted(word)}{hint}"
