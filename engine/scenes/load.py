"""From a path to a `Scene`, or to everything that is wrong with it.

Reads the file and what it `use`s beside it, expands variables, merges with OmegaConf, builds the
dataclasses and checks the names. Opens no other file than those; sounds and pictures are only
looked for. Not here: playing (director), reloading (live).

    scene = load_scene(Path("demos/storm.yaml")).scene
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from engine.scenes.build import ABSENT, Builder
from engine.scenes.names import check_names
from engine.scenes.problems import Problem, SceneError
from engine.scenes.scene import Scene
from engine.scenes.source import Source, parse_source, read_source
from engine.scenes.values import FileName
from engine.scenes.variables import check_references, merge
from engine.scenes.warnings import PackLookup, warnings_of

MAX_FILES = 8
"""Files that one scene may be made of."""
SHARED = "_"
"""Begins the name of a file that scenes `use` and that is no scene of its own."""
Platform = Literal["linux", "mac", "windows"]


@dataclass(frozen=True, kw_only=True)
class SceneFile:
    """A scene with the files that it came from."""

    scene: Scene
    path: Path
    files: tuple[Path, ...]
    """Every file that was read, this one last."""
    warnings: tuple[Problem, ...] = ()
    """Doubts that do not keep it from being played."""

    @property
    def folder(self) -> Path:
        return self.path.parent


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The answer of `check_scene`."""

    file: SceneFile | None
    """The scene, if it can be played."""
    problems: tuple[Problem, ...]
    """Errors and warnings, in the order of the file."""


def load_scene(path: Path | str) -> SceneFile:
    """The scene of a file, or a SceneError that names every mistake."""
    checked = check_scene(Path(path))
    if checked.file is None:
        raise SceneError(checked.problems)
    return checked.file


def check_scene(
    path: Path,
    *,
    text: str | None = None,
    packs: PackLookup = lambda name: None,
    platform: Platform | None = None,
) -> Checked:
    """All that can be said of a scene file. `text` stands in for the file's own content.

    `packs` tells what the pack can do, for warnings; without it none are given about packs.
    """
    sources, problems, whole = _sources(path, text)
    if not whole:
        return Checked(file=None, problems=tuple(sorted(problems)))
    layers = [*sources, *_platform_layer(sources, platform or this_platform())]
    found, broken = check_references(sources)
    content = merge((layer.content for layer in layers), broken)
    builder = Builder(sources=tuple(layers), content=content, broken=frozenset(broken))
    scene = builder.build(Scene, content)
    check_names(builder)
    problems += [*found, *builder.problems]
    if scene is ABSENT or problems:
        return Checked(file=None, problems=tuple(sorted(set(problems))))
    doubts = tuple(sorted(warnings_of(scene, builder, path.parent, packs)))
    files = tuple(source.folder / PurePosixPath(source.name).name for source in sources)
    file = SceneFile(scene=scene, path=path, files=files, warnings=doubts)
    return Checked(file=file, problems=doubts)


def is_shared(path: Path) -> bool:
    """Whether a file is meant for `use`, by its name."""
    return path.name.startswith(SHARED)


def check_shared(path: Path) -> tuple[Problem, ...]:
    """What is wrong with a file that scenes `use`: its keys and values. What its names refer to is
    known to the scenes alone, so `check_scene` tells that."""
    sources, problems, whole = _sources(path, None)
    if not whole:
        return tuple(sorted(problems))
    needed = {"title": "-", "prompts": {"any": {"text": "-"}}}
    stand_in = Source(name="", folder=path.parent, content=needed, places={})
    layers = (stand_in, *sources)
    _, broken = check_references(sources)
    content = merge((layer.content for layer in layers), broken)
    builder = Builder(sources=layers, content=content, broken=frozenset(broken))
    builder.build(Scene, content)
    return tuple(sorted({*problems, *builder.problems}))


def _sources(path: Path, text: str | None) -> tuple[list[Source], list[Problem], bool]:
    """The file and what it uses, what is wrong so far, and whether all could be read."""
    name = str(path)
    main = read_source(path, name) if text is None else parse_source(text, name, path.parent)
    sources, problems = _with_includes(main)
    unread = [problem for source in sources for problem in source.problems]
    return sources, problems + unread, not unread


def this_platform() -> Platform:
    if sys.platform == "darwin":
        return "mac"
    return "windows" if sys.platform.startswith("win") else "linux"


def _with_includes(main: Source) -> tuple[list[Source], list[Problem]]:
    """The file and what it uses, what is used before what uses it."""
    ordered: list[Source] = []
    problems: list[Problem] = []
    started: set[str] = set()

    def visit(source: Source) -> None:
        started.add(Path(source.name).name)
        for index, entry in _entries(source):
            path = ("use", index) if index is not None else ("use",)
            try:
                name = _beside(entry)
            except ValueError as error:
                problems.append(source.problem(path, f"use: {error}"))
                continue
            if name in started:
                continue
            if len(started) >= MAX_FILES:
                problems.append(source.problem(path, f"use: more than {MAX_FILES} files"))
                continue
            shown = str(Path(main.name).parent / name)
            used = read_source(_inside(source.folder, name), shown)
            if not used.content and used.problems and "cannot be read" in used.problems[0].text:
                problems.append(source.problem(path, f"use: {name} {used.problems[0].text}"))
                continue
            visit(used)
        ordered.append(source)

    visit(main)
    return ordered, problems


def _entries(source: Source) -> list[tuple[int | None, object]]:
    used = source.content.get("use")
    if isinstance(used, list):
        return list(enumerate(used))
    return [] if used is None or isinstance(used, dict) else [(None, used)]


def _beside(entry: object) -> str:
    """A plain YAML file name in the same folder."""
    name = FileName.parse(entry)
    if "/" in name or not name.endswith((".yaml", ".yml")):
        raise ValueError(f"{name!s} is not a YAML file in the same folder, such as common.yaml")
    return name


def _inside(folder: Path, name: str) -> Path:
    """The file itself; one that is a link to somewhere else counts as missing."""
    path = (folder / name).resolve()
    return path if path.parent == folder.resolve() else folder / ".outside" / name


def _platform_layer(sources: list[Source], platform: Platform) -> list[Source]:
    """What the files say for this platform, as layers over all of them."""
    layers = []
    for source in sources:
        changes = source.content.get("platform")
        own = changes.get(platform) if isinstance(changes, dict) else None
        if isinstance(own, dict):
            prefix = ("platform", platform)
            places = {path[2:]: at for path, at in source.places.items() if path[:2] == prefix}
            places.pop((), None)
            layers.append(replace(source, content=own, places=places))
    return layers
