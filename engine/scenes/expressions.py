"""The little language of conditions and counters: parsed, checked, and evaluated without `eval`.

Numbers, times (`5s`, `1m30s`), true, false, + - * / %, comparisons, `and` `or` `not`, brackets,
what the scene senses (`SENSES`), its own counters and flags, and a few functions (`FUNCTIONS`). No
loops, no assignment, no strings, no attribute access: an expression ends after as many steps as it
has signs. Division by zero gives 0.

    Expression.parse("idle > 5s and not wet").check(counters=(), flags={"wet"})
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

from engine.scenes.problems import nearest, quoted
from engine.scenes.values import Span

Kind = Literal["number", "yes or no"]
LONGEST = 400
"""Signs of an expression."""
DEEPEST = 24
"""Brackets, `not` and minus signs within one another."""
MOST = 50
"""Operators of an expression; bounds the depth of the tree they make from left to right."""

SENSES: dict[str, tuple[Kind, str]] = {
    "time": ("number", "seconds of world time since the scene began"),
    "phase_time": ("number", "seconds since the phase began"),
    "idle": ("number", "seconds since anybody touched the controls"),
    "distance": ("number", "metres walked, along the path"),
    "away": ("number", "metres from where the scene began, by dead reckoning"),
    "turned": ("number", "degrees turned, right positive; it goes on beyond 360"),
    "tilted": ("number", "degrees looked up (positive) or down"),
    "brightness": ("number", "mean brightness of the frames generated last, 0 to 1"),
    "red": ("number", "mean red of the frames generated last, 0 to 1"),
    "green": ("number", "mean green of the frames generated last, 0 to 1"),
    "blue": ("number", "mean blue of the frames generated last, 0 to 1"),
    "crossfade": ("number", "how far the last prompt change has come, 0 to 1"),
}
"""What an expression may read, with its kind and meaning."""

FUNCTIONS: dict[str, tuple[str, Kind, str]] = {
    "held": ("input", "number", "seconds that a key or channel has been held; 0 when it is not"),
    "tapped": ("input", "yes or no", "a key or channel was pressed since the last chunk"),
    "chance": ("rate", "yes or no", "true at random, so often per second; drawn from the seed"),
    "prompt": ("prompt", "yes or no", "this prompt is in force, or being crossfaded to"),
    "phase": ("phase", "yes or no", "the scene is in this phase"),
    "abs": ("1", "number", "without its sign"),
    "min": ("2", "number", "the smaller one"),
    "max": ("2", "number", "the larger one"),
}
"""What an expression may call: what it takes (a name or so many numbers), its kind, its meaning."""

WORDS = frozenset({"and", "or", "not", "true", "false", *SENSES, *FUNCTIONS})
"""Names that counters and flags may not take."""


class ExpressionError(ValueError):
    """A mistake at an offset into the text of an expression."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Facts(Protocol):
    """What an expression reads while the scene runs."""

    @property
    def fps(self) -> int: ...

    def sense(self, name: str) -> float: ...

    def variable(self, name: str) -> float | bool: ...

    def call(self, function: str, name: str, offset: int) -> float | bool: ...


@dataclass(frozen=True)
class Constant:
    value: float | bool
    offset: int


@dataclass(frozen=True)
class Time:
    span: Span
    offset: int


@dataclass(frozen=True)
class Variable:
    """A sense, a counter or a flag."""

    name: str
    offset: int


@dataclass(frozen=True)
class Ask:
    """A call whose argument is a name or a rate: held(e), chance(0.1), phase(storm)."""

    function: str
    argument: str
    offset: int


@dataclass(frozen=True)
class Apply:
    """An operator or a numeric function and what it works on."""

    operator: str
    operands: tuple["Node", ...]
    offset: int


Node = Constant | Time | Variable | Ask | Apply


@dataclass(frozen=True)
class Expression:
    """A parsed text; two are equal when their texts are."""

    text: str
    root: Node

    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": ["string", "number", "boolean"],
        "maxLength": LONGEST,
        "examples": ["idle > 5s", "laps + 1", "held(e) > 1s and not door"],
    }
    MEANS: ClassVar[str] = "expression"

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return cls(text=text, root=_Parser(text).parse())

    def nodes(self) -> list[Node]:
        """Every node, in the order in which they are written."""
        found: list[Node] = []
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            found.append(node)
            if isinstance(node, Apply):
                waiting += reversed(node.operands)
        return found

    def check(self, counters: Collection[str], flags: Collection[str]) -> Kind:
        """Its kind, or an ExpressionError for an unknown name or numbers mixed with yes and no."""
        return _kind(self.root, frozenset(counters), frozenset(flags))

    def evaluate(self, facts: Facts) -> float | bool:
        return _evaluate(self.root, facts)


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d+)?(?:ms|[smhf]))+\b|\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9.]*)|(?P<sign><=|>=|==|!=|[-+*/%<>(),]))"
)
_MEANT = {"=": "== to compare", "&": "`and`", "|": "`or`", "!": "`not`, or != to compare"}
"""What a sign of another language is here."""
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else 0.0,
    "%": lambda a, b: a % b if b else 0.0,
    "min": min,
    "max": max,
}
_LEVELS = (("or",), ("and",), ("not",), tuple(_COMPARE), ("+", "-"), ("*", "/", "%"))
"""Operators from the loosest to the tightest."""


class _Parser:
    """Recursive descent over the levels of operators; brackets count towards the depth."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ExpressionError(f"an expression has at most {LONGEST} signs", 0)
        self.text = text
        self.at = 0
        self.depth = 0
        self.operators = 0
        self.token, self.what, self.offset = "", "", 0
        self._next()

    def parse(self) -> Node:
        node = self._level(0)
        if self.what != "end":
            raise ExpressionError(f"did not expect {quoted(self.token)} here", self.offset)
        return node

    def _next(self) -> None:
        rest = self.text[self.at :]
        self.offset = self.at + len(rest) - len(rest.lstrip())
        if not rest.strip():
            self.token, self.what = "", "end"
            return
        match = _TOKEN.match(self.text, self.at)
        if not match:
            sign = self.text[self.offset]
            hint = f"; write {_MEANT[sign]}" if sign in _MEANT else ""
            raise ExpressionError(f"did not expect {sign!r} here{hint}", self.offset)
        self.what, self.token = next((k, v) for k, v in match.groupdict().items() if v)
        self.at = match.end()

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._signed()
        operators = _LEVELS[level]
        if operators == ("not",):
            return self._not(level)
        node = self._level(level + 1)
        while self.what != "end" and self.token in operators:
            operator, offset = self.token, self.offset
            self.operators += 1
            if self.operators > MOST:
                raise ExpressionError(f"an expression has at most {MOST} operators", offset)
            self._next()
            node = Apply(operator, (node, self._level(level + 1)), offset)
        return node

    def _not(self, level: int) -> Node:
        if self.token != "not":
            return self._level(level + 1)
        offset = self.offset
        self._next()
        return Apply("not", (self._deeper(lambda: self._not(level)),), offset)

    def _signed(self) -> Node:
        if self.token != "-":
            return self._atom()
        offset = self.offset
        self._next()
        return Apply("negate", (self._deeper(self._signed),), offset)

    def _atom(self) -> Node:
        token, what, offset = self.token, self.what, self.offset
        if what == "end":
            raise ExpressionError("the expression ends too early", offset)
        if token == "(":
            self._next()
            node = self._deeper(lambda: self._level(0))
            self._expect(")")
            return node
        if what == "sign" or token in ("and", "or", "not"):
            raise ExpressionError(f"did not expect {token!r} here", offset)
        if what == "name" and self.text[self.at :].lstrip().startswith("("):
            return self._call(token, offset)
        self._next()
        if what == "number":
            return Constant(float(token), offset) if token[-1].isdigit() else _time(token, offset)
        return (
            Constant(token == "true", offset)
            if token in ("true", "false")
            else Variable(token, offset)
        )

    def _call(self, name: str, offset: int) -> Node:
        if name not in FUNCTIONS:
            raise ExpressionError(f"no function {name!r}{nearest(name, FUNCTIONS)}", offset)
        self._next()
        takes = FUNCTIONS[name][0]
        if takes.isdigit():
            return Apply(name, self._operands(name, int(takes)), offset)
        closing = self.text.find(")", self.at)
        if closing < 0:
            raise ExpressionError(f"the bracket of {name} is never closed", self.offset)
        argument = " ".join(self.text[self.at : closing].split())
        if not argument:
            raise ExpressionError(f"{name} wants the {takes} it is about in brackets", offset)
        if name == "chance":
            _rate(argument, offset)
        self.at = closing + 1
        self._next()
        return Ask(name, argument, offset)

    def _operands(self, name: str, count: int) -> tuple[Node, ...]:
        offset = self.offset
        self._next()
        operands = [self._deeper(lambda: self._level(0))]
        while self.token == ",":
            self._next()
            operands.append(self._deeper(lambda: self._level(0)))
        self._expect(")")
        if len(operands) != count:
            raise ExpressionError(f"{name} takes {count}, not {len(operands)}", offset)
        return tuple(operands)

    def _expect(self, sign: str) -> None:
        if self.token != sign:
            found = quoted(self.token) if self.token else "the end"
            raise ExpressionError(f"expected {sign!r}, found {found}", self.offset)
        self._next()

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"nested deeper than {DEEPEST}", self.offset)
        node = read()
        self.depth -= 1
        return node


def _time(token: str, offset: int) -> Time:
    return Time(Span.parse(token), offset)


def _rate(text: str, offset: int) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise ExpressionError(f"chance wants a number from 0 to 1, not {quoted(text)}", offset)
    return rate


def _kind(node: Node, counters: frozenset[str], flags: frozenset[str]) -> Kind:
    if isinstance(node, Constant):
        return "yes or no" if isinstance(node.value, bool) else "number"
    if isinstance(node, Time):
        return "number"
    if isinstance(node, Ask):
        return FUNCTIONS[node.function][1]
    if isinstance(node, Variable):
        return _variable_kind(node, counters, flags)
    kinds = [_kind(operand, counters, flags) for operand in node.operands]
    wanted: Kind = "yes or no" if node.operator in ("and", "or", "not") else "number"
    if node.operator in ("==", "!=") and kinds[0] == kinds[1]:
        return "yes or no"
    for operand, kind in zip(node.operands, kinds, strict=True):
        if kind != wanted:
            name = "-" if node.operator == "negate" else node.operator
            remedy = "; compare it, as in idle > 5s" if wanted == "yes or no" else ""
            message = f"{name!r} wants a {wanted}, and this is a {kind}{remedy}"
            raise ExpressionError(message, operand.offset)
    return "yes or no" if node.operator in _COMPARE else wanted


def _variable_kind(node: Variable, counters: frozenset[str], flags: frozenset[str]) -> Kind:
    if node.name in SENSES:
        return SENSES[node.name][0]
    if node.name in counters:
        return "number"
    if node.name in flags:
        return "yes or no"
    if node.name in FUNCTIONS:
        takes = FUNCTIONS[node.name][0]
        raise ExpressionError(f"{node.name} wants its {takes} in brackets", node.offset)
    known = {*SENSES, *counters, *flags}
    raise ExpressionError(
        f"nothing is called {node.name!r}{nearest(node.name, known)}", node.offset
    )


def _evaluate(node: Node, facts: Facts) -> Any:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Time):
        return node.span.seconds_at(facts.fps)
    if isinstance(node, Variable):
        return facts.sense(node.name) if node.name in SENSES else facts.variable(node.name)
    if isinstance(node, Ask):
        return facts.call(node.function, node.argument, node.offset)
    return _apply(node, facts)


def _apply(node: Apply, facts: Facts) -> Any:
    if node.operator == "and":
        return all(_evaluate(operand, facts) for operand in node.operands)
    if node.operator == "or":
        return any(_evaluate(operand, facts) for operand in node.operands)
    values = [_evaluate(operand, facts) for operand in node.operands]
    if node.operator == "not":
        return not values[0]
    if node.operator == "negate":
        return -values[0]
    if node.operator == "abs":
        return abs(values[0])
    if node.operator in _COMPARE:
        return _COMPARE[node.operator](*values)
    return _ARITHMETIC[node.operator](*values)
