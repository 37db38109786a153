"""Recipes: an ordered list of steps, each with its stage, its loop and its settings.

A recipe is YAML with OmegaConf interpolation (`${shared.model}`) or, frozen, one JSON file with
everything resolved, which needs no OmegaConf to read. Steps name each other; each runs in
`<root>/<step name>` and is skipped once it is done. Lengths written as `${share:45000}` are that
many times `shared.share`: one number makes a night of an evening. Batches written as `${wide:32}`
are that many times `shared.wide`: one number makes windows by the dozen of windows by the hundred,
which cost a GPU little more.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from helios_core.plain import build, to_plain
from training.trainer.loop import LoopConfig

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """One step of a recipe."""

    stage: str
    """Name in training.steps."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The stage's own config."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, budget and checkpoints of a trained stage."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A pack, or any other result, from nothing."""

    name: str
    root: str
    """Folder of all runs; outside the repository or ignored by it."""
    steps: dict[str, StepConfig]
    """In the order in which they run."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "fp32"
    """Of matrix products; auto = bf16 where this machine is clearly faster in it; tf32 on CUDA."""
    threads: int = 0
    """CPU threads; 0 = torch's choice."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("steps is empty; name at least one step with its stage")


def find(name: str) -> Path:
    """A recipe by path, or by name among the shipped ones."""
    for path in (Path(name), RECIPES / f"{name}.yaml"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    problem = f"no recipe {name!r}" if name else "no recipe was named"
    raise ValueError(f"{problem}: give a file, or one of {shipped}")


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key=value` overrides; a key may start with a step's name."""
    path = find(name)
    if path.suffix == ".json":
        values = _json(path)
        _check_shared({}, overrides, path)
        values = _overridden_json(values, overrides)
    else:
        values = _resolved_yaml(path, overrides)
    values.pop("shared", None)
    return build(Recipe, values, path.stem)


def _json(path: Path) -> dict[str, Any]:
    """The keys of a frozen recipe."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    _names(values, path)
    return values


def _names(values: Any, path: Path) -> list[str]:
    """Names of a recipe's steps, before anything is made of it."""
    if not isinstance(values, dict):
        raise ValueError(f"{path} is no recipe: write keys such as name, root and steps")
    if not isinstance(values.get("steps"), dict):
        raise ValueError(f"{path}: steps is missing or empty; name at least one with its stage")
    return list(values["steps"])


def freeze(recipe: Recipe, path: Path) -> None:
    """Write everything, resolved, as one JSON file."""
    path.write_text(json.dumps(to_plain(recipe), indent=1) + "\n")


def _resolved_yaml(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    OmegaConf.register_resolver("share", _share, replace=True)
    OmegaConf.register_resolver("wide", _wide, replace=True)
    try:
        tree = OmegaConf.load(path)
        plain = OmegaConf.to_container(tree, resolve=False)
        names = _names(plain, path)
        _check_shared(plain, overrides, path)
        for override in overrides:
            key, value = _split(override)
            OmegaConf.update(tree, _full_key(key, names), _parse(value), force_add=True)
        resolved = OmegaConf.to_container(tree, resolve=True)
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except OmegaConfBaseException as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error
    assert isinstance(resolved, dict)
    return resolved  # type: ignore[return-value]


def _check_shared(values: Any, overrides: Sequence[str], path: Path) -> None:
    """Refuse overrides of shared values that the recipe lacks: nothing would come of them."""
    known = _dotted(values.get("shared"), "shared")
    for override in overrides:
        key = _split(override)[0]
        if key.split(".")[0] == "shared" and key not in known:
            near = get_close_matches(key, known, 1) or known
            hint = f"it has {', '.join(near)}" if near else "it shares nothing; set values of steps"
            raise ValueError(f"{path} has no {key!r}: {hint}")


def _dotted(values: Any, above: str) -> list[str]:
    """Dotted keys of everything below `above`."""
    if not isinstance(values, dict):
        return []
    rows = [(f"{above}.{key}", value) for key, value in values.items()]
    return [key for name, value in rows for key in (name, *_dotted(value, name))]


def _share(length: int, *, _root_: Any) -> int:
    """A length as many times as `shared.share` asks for; never nothing."""
    share = _root_.shared.share
    if not isinstance(share, int | float) or not 0 < share <= 10:
        raise ValueError(f"shared.share={share}: give a number above 0, at most 10")
    return max(1, round(length * share))


def _wide(count: int, *, _root_: Any) -> int:
    """A batch as many times as `shared.wide` asks for."""
    wide = _root_.shared.wide
    if not isinstance(wide, int) or not 1 <= wide <= 64:
        raise ValueError(f"shared.wide={wide}: give a whole number from 1 to 64")
    return count * wide


def _overridden_json(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for override in overrides:
        key, value = _split(override)
        node: Any = values
        parts = _full_key(key, list(values["steps"])).split(".")
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"{override}: {part} has no keys below it")
        node[parts[-1]] = _parse(value)
    return values


def _split(override: str) -> tuple[str, str]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ValueError(f"{override!r} is no setting; write key=value, such as base.loop.seed=1")
    return key, value


def _full_key(key: str, steps: Sequence[str]) -> str:
    return f"steps.{key}" if key.split(".")[0] in steps else key


def _parse(text: str) -> Any:
    """JSON where it is JSON (numbers, true, null); `[a, {b: c}]` as YAML reads it, without its
    quotes, which a shell takes away; else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        inside = text[1:-1]
        if text.startswith("[") and text.endswith("]"):
            return [_parse(part) for part in _parts(inside)]
        if text.startswith("{") and text.endswith("}"):
            pairs = [part.partition(":") for part in _parts(inside)]
            return {key.strip(" \"'"): _parse(value.strip()) for key, _, value in pairs}
        quoted = len(text) > 1 and text[0] == text[-1] == "'"
        return inside if quoted else text


def _parts(text: str) -> list[str]:
    """What stands between commas outside of brackets and quotes."""
    depth, quote, parts = 0, "", [""]
    for letter in text:
        if letter == quote:
            quote = ""
        elif letter in "\"'" and not quote and parts[-1].rstrip()[-1:] in ("", ":", "[", "{", ","):
            quote = letter  # where a value begins; elsewhere it is an apostrophe
        elif not quote:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
