"""How a Gymnasium game's actions mean semantic channels, in a small YAML file per game.

A mapping turns channel values into an action of the environment and back, so that a policy may
speak either. Discrete actions are rows of a table, multi-discrete ones a table per component, a
box names one channel per dimension. Not here: recording (training.clips), policies.

    mapping = load_mapping("car-racing")          # a shipped name, or a path to your own YAML
    action = mapping.to_env(values)               # values [A] of mapping.spec

A channels, K components of an action.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from helios_core.actions import ActionSpec, Channel
from helios_core.plain import build, convert

FOLDER = Path(__file__).parent
KEYS = {
    "env", "kwargs", "fps", "hold", "height", "width", "licence", "prompt", "channels", "discrete",
    "multi_discrete", "box", "bindings",
}  # fmt: skip

PLAIN = {
    "env": str, "fps": int, "kwargs": dict[str, Any], "hold": int, "height": int, "width": int,
    "licence": str, "prompt": str, "bindings": dict[str, Any],
}  # fmt: skip
"""Keys that go into a mapping as they are, and what each holds."""


@dataclass(frozen=True, kw_only=True)
class BoxPart:
    """One dimension of a box action: scale * channel + offset, or a constant."""

    channel: str
    """Empty for a constant dimension."""
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class GameMapping:
    """One game: how it is made, seen and steered."""

    env: str
    """Gymnasium id, `module:id` where a module registers it."""
    spec: ActionSpec
    fps: int
    """Recorded frames per second of game time."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `gymnasium.make`."""
    hold: int = 1
    """Environment steps per recorded frame; the last one's picture is kept."""
    height: int = 0
    """Pixels of the recording; 0 keeps the game's own, made even."""
    width: int = 0
    licence: str = "unknown"
    """Of the game's pictures: goes into the data set's metadata."""
    prompt: str = ""
    """Caption when the game tells none."""
    tables: tuple[np.ndarray, ...] = ()
    """Per component of a discrete action the channel values [n, A] that each choice means."""
    single: bool = True
    """A `Discrete` space: the action is a number, not an array."""
    bindings: Mapping[str, Any] = field(default_factory=dict)
    """Devices of channels for who plays it by hand, as a pack writes them; the channel names that
    every world shares have their own."""
    box: tuple[BoxPart, ...] = ()
    """Dimensions of a box action; empty for discrete ones."""

    def __post_init__(self) -> None:
        for name, least in (("fps", 1), ("hold", 1), ("height", 0), ("width", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least {least}")

    def to_env(self, values: np.ndarray) -> Any:
        """The environment's action that comes nearest to channel values [A]."""
        values = self.spec.clip(values)
        if self.box:
            row = [
                part.scale * (values[self.spec.index(part.channel)] if part.channel else 0.0)
                + part.offset
                for part in self.box
            ]
            return np.asarray(row, np.float32)
        picks = [self._nearest(table, values) for table in self.tables]
        return picks[0] if self.single else np.asarray(picks, np.int64)

    def from_env(self, action: Any) -> np.ndarray:
        """The channel values [A] that an action of the environment means."""
        values = np.zeros(self.spec.size, np.float32)
        if self.box:
            for part, number in zip(self.box, np.asarray(action, np.float32), strict=True):
                if part.channel and part.scale:
                    values[self.spec.index(part.channel)] = (number - part.offset) / part.scale
            return self.spec.clip(values)
        for table, pick in zip(self.tables, np.atleast_1d(action), strict=True):
            values = values + table[int(pick)]
        return self.spec.clip(values)

    def check(self, space: Any) -> None:
        """Refuse an environment whose actions, a Gymnasium space, are of another kind or size."""
        from gymnasium import spaces

        sizes = [len(table) for table in self.tables]
        if self.box:
            fits = isinstance(space, spaces.Box) and space.shape == (len(self.box),)
            said = f"box with {len(self.box)} dimensions"
        elif self.single:
            fits = isinstance(space, spaces.Discrete) and space.start == 0 and sizes[0] <= space.n
            said = f"discrete with {sizes[0]} choices"
        else:
            has = [2] * space.n if isinstance(space, spaces.MultiBinary) else []  # type: ignore
            if isinstance(space, spaces.MultiDiscrete):
                has = np.ravel(space.nvec).tolist()
            fits = len(has) == len(sizes) and all(a <= b for a, b in zip(sizes, has, strict=True))
            said = f"multi_discrete with {sizes} choices"
        if not fits:
            raise ValueError(
                f"the mapping says {said}, but {self.env} takes {space}; write the mapping's "
                "discrete, multi_discrete or box as that"
            )

    def _nearest(self, table: np.ndarray, values: np.ndarray) -> int:
        """Index of the closest row, counting only the channels that the table steers."""
        scale = np.array([c.scale for c in self.spec.channels], np.float32)
        used = (table != 0).any(0)
        return int((((table - values) / scale * used) ** 2).sum(1).argmin())


def names() -> list[str]:
    """The mappings that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_mapping(name: str) -> GameMapping:
    """A shipped mapping by its name or its environment's id, or one from a YAML file."""
    import yaml

    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        path = _by_env(name)
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(body, dict):
        raise ValueError(f"{path}: a mapping file holds keys such as env, fps and channels")
    return parse(body, str(path))


def parse(body: Mapping[str, Any], where: str) -> GameMapping:
    """A mapping from the keys of its file; every mistake is named."""
    unknown = sorted(set(body) - KEYS)
    if unknown:
        near = get_close_matches(unknown[0], KEYS, n=1)
        raise ValueError(f"{where}: unknown key {unknown[0]!r}" + _did_you_mean(near))
    for key in ("env", "fps", "channels"):
        if key not in body:
            raise ValueError(f"{where}: the key {key!r} is missing")
    kinds = [key for key in ("discrete", "multi_discrete", "box") if key in body]
    if len(kinds) != 1:
        raise ValueError(f"{where}: give exactly one of discrete, multi_discrete and box")
    kept = {
        key: convert(kind, body[key], f"{where}: {key}")
        for key, kind in PLAIN.items()
        if key in body
    }
    try:
        rows = enumerate(_list(body["channels"], "channels"))
        channels = tuple(build(Channel, row, f"channels[{i}]") for i, row in rows)
        spec = ActionSpec(channels=channels)
        return GameMapping(spec=spec, **kept, **_action(spec, kinds[0], body[kinds[0]]))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _action(spec: ActionSpec, kind: str, rows: Any) -> dict[str, Any]:
    if kind == "discrete":
        return {"tables": (_table(spec, rows),)}
    if kind == "multi_discrete":
        tables = tuple(_table(spec, part) for part in _list(rows, kind))
        return {"tables": tables, "single": False}
    return {"box": tuple(_box_part(spec, row) for row in _list(rows, kind))}


def _list(rows: Any, what: str) -> list:
    """Rows of a file, where it has some."""
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError(f"{what} is {rows!r}; give a list of at least one")
    return list(rows)


def _table(spec: ActionSpec, rows: Any) -> np.ndarray:
    kind = dict[str, float]
    choices = enumerate(_list(rows, "a table of choices"))
    named = [convert(kind, row, f"choice {i}") for i, row in choices]
    return np.concatenate([spec.build(1, **row) for row in named])


def _box_part(spec: ActionSpec, row: Any) -> BoxPart:
    part = BoxPart(channel=row) if isinstance(row, str) else build(BoxPart, row, "box")
    if part.channel:
        spec.index(part.channel)
    return part


def _by_env(name: str) -> Path:
    import yaml

    for path in FOLDER.glob("*.yaml"):
        if yaml.safe_load(path.read_text())["env"] == name:
            return path
    near = get_close_matches(name, names(), n=1)
    raise ValueError(
        f"no mapping for {name!r}{_did_you_mean(near)} (shipped: {', '.join(names())}); "
        "write a YAML file that names its channels and pass it with --mapping"
    )


def _did_you_mean(near: Sequence[str]) -> str:
    return f"; did you mean {near[0]!r}?" if near else ""
