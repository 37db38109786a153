"""From a path to a `Scene`, or to everything that is wrong with it.

Reads the file and what it `use`s beside it, expands variables, merges with OmegaConf, builds the
dataclasses and checks the names. Opens no other file than those; sounds and pictures are only
looked for, and a pack's channels are the caller's to look up. Not here: playing (director),
reloading (live).

    scene = load_scene(Path("demos/storm.yaml")).scene
"""

import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from engine.scenes.build import ABSENT, Builder
from engine.scenes.names import check_names
from engine.scenes.problems import Problem, SceneError
from engine.scenes.scene import PlatformChanges, Scene
from engine.scenes.source import KeyPath, Source, parse_source, read_source
from engine.scenes.tracks import SHARED_SPEC
from engine.scenes.values import FileName
from engine.scenes.variables import check_references, merge
from engine.scenes.warnings import PackLookup, warnings_of
from helios_core.actions import ActionSpec

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
    files: tuple[Path, ...]
    """Every file that it was made of or wanted, those that are not there included."""
    problems: tuple[Problem, ...]
    """Errors and warnings, in the order of the file."""


def load_scene(path: Path | str, *, packs: PackLookup = lambda name: None) -> SceneFile:
    """The scene of a file, or a SceneError that names every mistake; `packs` as for a check."""
    checked = check_scene(Path(path), packs=packs)
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

    `packs` tells what the pack can do; without it the scene may name the shared channels only, and
    there are no warnings about packs.
    """
    read = _read(path, text)
    files = tuple(read.files)
    if not read.whole:
        return Checked(file=None, files=files, problems=tuple(sorted(read.problems)))
    found, broken = check_references(read.sources)
    layers = [*read.sources, *_platform_layer(read.sources, platform or this_platform(), broken)]
    content = merge((layer.content for layer in layers), broken)
    builder = Builder(sources=tuple(layers), content=content, broken=frozenset(broken))
    scene = builder.build(Scene, content)
    check_names(builder, _channels(builder, packs))
    problems = {*read.problems, *found, *builder.problems}
    if scene is ABSENT or problems:
        return Checked(file=None, files=files, problems=tuple(sorted(problems)))
    doubts = tuple(sorted(warnings_of(scene, builder, path.parent, packs)))
    file = SceneFile(scene=scene, path=path, files=files, warnings=doubts)
    return Checked(file=file, files=files, problems=doubts)


def is_shared(path: Path) -> bool:
    """Whether a file is meant for `use`, by its name."""
    return path.name.startswith(SHARED)


def check_shared(path: Path) -> tuple[Problem, ...]:
    """What is wrong with a file that scenes `use`: its keys and values. What its names refer to is
    known to the scenes alone, so `check_scene` tells that."""
    read = _read(path, None)
    if not read.whole:
        return tuple(sorted(read.problems))
    needed = {"title": "-", "prompts": {"any": {"text": "-"}}}
    stand_in = Source(name="", folder=path.parent, content=needed, places={})
    layers = (stand_in, *read.sources)
    _, broken = check_references(read.sources)
    content = merge((layer.content for layer in layers), broken)
    builder = Builder(sources=layers, content=content, broken=frozenset(broken))
    builder.build(Scene, content)
    return tuple(sorted({*read.problems, *builder.problems}))


@dataclass(kw_only=True)
class _Read:
    """A scene's files as far as they could be read."""

    sources: list[Source] = field(default_factory=list)
    """What is used before what uses it."""
    files: list[Path] = field(default_factory=list)
    """Of the sources, in their order, and those that are not there."""
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True
    """All that is there could be read."""


def _read(path: Path, text: str | None) -> _Read:
    """The file and what it uses."""
    name = str(path)
    main = read_source(path, name) if text is None else parse_source(text, name, path.parent)
    read = _with_includes(main, path)
    unread = [problem for source in read.sources for problem in source.problems]
    read.problems += unread
    read.whole = not unread
    return read


def _channels(builder: Builder, packs: PackLookup) -> ActionSpec:
    """The channels that a scene may name: those of its pack, if that is found, and the shared."""
    try:
        pack = packs(builder.parsed.get(("pack",)))
    except ValueError:  # the warnings say so
        pack = None
    own = pack.spec if pack is not None else ActionSpec()
    shared = (channel for channel in SHARED_SPEC.channels if channel.name not in own.names)
    return ActionSpec(channels=(*own.channels, *shared))


def this_platform() -> Platform:
    if sys.platform == "darwin":
        return "mac"
    return "windows" if sys.platform.startswith("win") else "linux"


def _with_includes(main: Source, main_path: Path) -> _Read:
    read = _Read()
    started: set[str] = set()

    def visit(source: Source, file: Path) -> None:
        started.add(Path(source.name).name)
        for index, entry in _entries(source):
            path = ("use", index) if index is not None else ("use",)
            try:
                name = _beside(entry)
            except ValueError as error:
                read.problems.append(source.problem(path, f"use: {error}"))
                continue
            if name in started:
                continue
            if len(started) >= MAX_FILES:
                read.problems.append(source.problem(path, f"use: more than {MAX_FILES} files"))
                continue
            shown = str(Path(main.name).parent / name)
            place = _inside(source.folder, name)
            used = read_source(place, shown)
            if not used.content and used.problems and "cannot be read" in used.problems[0].text:
                text = f"use: {name} {used.problems[0].text}"
                read.problems.append(source.problem(path, text))
                read.files.append(place)
                continue
            visit(used, place)
        read.sources.append(source)
        read.files.append(file)

    visit(main, main_path)
    return read


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


def _platform_layer(
    sources: list[Source], platform: Platform, broken: set[KeyPath]
) -> list[Source]:
    """What the files say for this platform, as layers over all of them.

    Only the keys that may differ: others are mistakes, and a `vars` among them would change what
    references were counted with. Nothing at all if a reference there is broken: as the layer has
    other paths, `merge` would not find it and expand it.
    """
    if any(path[0] == "platform" for path in broken):
        return []
    known = {f.name for f in fields(PlatformChanges)}
    layers = []
    for source in sources:
        changes = source.content.get("platform")
        own = changes.get(platform) if isinstance(changes, dict) else None
        if isinstance(own, dict):
            own = {key: value for key, value in own.items() if key in known}
            prefix = ("platform", platform)
            places = {path[2:]: at for path, at in source.places.items() if path[:2] == prefix}
            places.pop((), None)
            layers.append(replace(source, content=own, places=places))
    return layers
