"""pack.yaml: what a pack is, as a dataclass.

A pack is a folder: this manifest, safetensors, and tensors.json with a hash of every tensor. An
imported pack names the released folder as its `source` and holds no weights; a delta pack names
the pack that it differs from as its `base`. Not here: weights (tensors), building (build).

    manifest = read(Path("assets/packs/wilds"))
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

import yaml

from helios_core.actions import ActionSpec, Channel
from helios_core.codecs.joined import Joining
from helios_core.plain import build, to_plain
from helios_core.stillness import Stillness

FORMAT = 1
"""Version of the layout on disk; another one is refused."""
FILE = "pack.yaml"
HASHES = "tensors.json"
MODULES = ("transformer", "codec", "text_encoder")
Hashes = Mapping[str, Mapping[str, str]]
"""Module to tensor to sha256."""


@dataclass(frozen=True, kw_only=True)
class ModuleSpec:
    """One of the networks of a pack."""

    kind: Literal["helios", "tiny_codec", "small_text", "wan_codec", "umt5"]
    """Which implementation."""
    config: dict[str, Any] = field(default_factory=dict)
    """Its sizes."""
    files: tuple[str, ...] = ()
    """Its safetensors, below the pack's folder or its source."""


@dataclass(frozen=True, kw_only=True)
class PresetSpec:
    """A beginning worth showing."""

    prompt: str
    """What the world is then."""
    image: str = ""
    """A picture in the pack's folder to start from."""

    def __post_init__(self) -> None:
        if self.image:
            check_file("image", self.image)


@dataclass(frozen=True, kw_only=True)
class ViewsSpec:
    """Pictures to begin from where there is only a text (helios_core.views)."""

    file: str
    """In the pack's folder: an npz of `pictures`, uint8 [views, height, width, 3]."""
    sha256: str
    """Of the pictures' bytes."""
    texts: tuple[tuple[str, ...], ...]
    """How each may be called, in one way or more."""

    def __post_init__(self) -> None:
        check_file("views", self.file)


@dataclass(frozen=True, kw_only=True)
class BaseRef:
    """The pack that a delta pack differs from."""

    name: str
    hash: str

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of pack.yaml."""

    format: int
    """Version of this layout."""
    name: str
    """Lower case letters, digits and dashes; the folder's name."""
    about: str = ""
    """What world it is, in a sentence or two."""
    licence: str = "unknown"
    """Of the weights."""
    fps: int
    """Pixel frames per second."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    chunk_latents: int
    """Latent frames generated at a time."""
    layout: Literal["windowed", "streamed"]
    """How chunks are coded; see helios_core.codecs.api."""
    crossfade_chunks: int = 10
    """Chunks that a prompt change takes unless told otherwise."""
    actions: tuple[dict[str, Any], ...] = ()
    """Channels of the action spec, in order; empty for a pack that plays by text."""
    presets: tuple[PresetSpec, ...] = ()
    """Beginnings on the number keys; play starts as the first one says."""
    views: ViewsSpec | None = None
    """Pictures that a world with nothing but a text begins from."""
    stillness: Stillness | None = None
    """How the world keeps its moment while nothing is asked of it; none by default."""
    joining: Joining | None = None
    """How chunks lead over into each other; none by default."""
    bindings: dict[str, Any] = field(default_factory=dict)
    """Default device bindings, as in engine.input."""
    negative_prompt: str = ""
    """What guidance steers away from."""
    start_noise: tuple[float, float] = (0.0, 0.0)
    """Share of noise mixed into start images and clips, from and to."""
    sampler: dict[str, Any]
    """A helios_core.sampling.plan.SamplerPlan."""
    transformer: ModuleSpec
    codec: ModuleSpec
    text_encoder: ModuleSpec
    source: str | None = None
    """Folder of a released checkpoint that is used in place."""
    base: BaseRef | None = None
    """Pack whose weights these are the difference to."""
    card: dict[str, Any] = field(default_factory=dict)
    """How it was trained and measured."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(
                f"this pack has format {self.format}; this version of helios reads format {FORMAT}"
            )
        check_name(self.name)
        self._check_files()
        for name in ("fps", "height", "width", "chunk_latents", "crossfade_chunks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        for name in self.stillness.goes_on if self.stillness else ():
            if name not in self.spec.names:
                known = ", ".join(self.spec.names)
                raise ValueError(f"stillness.goes_on names {name!r}; the channels are {known}")
        low, high = self.start_noise
        if not 0 <= low <= high <= 1:
            raise ValueError(f"start_noise is {self.start_noise}; give two rising shares of 0 to 1")

    def _check_files(self) -> None:
        """Weights lie in the pack's folder; those of an imported pack anywhere below its source."""
        check = check_file if self.source is None else check_below
        for name in MODULES:
            for file in self.module(name).files:
                check(f"{name} file", file)

    @property
    def spec(self) -> ActionSpec:
        rows = enumerate(self.actions)
        return ActionSpec(channels=tuple(build(Channel, row, f"actions[{i}]") for i, row in rows))

    def module(self, name: str) -> ModuleSpec:
        return {
            "transformer": self.transformer,
            "codec": self.codec,
            "text_encoder": self.text_encoder,
        }[name]

    def hash(self, hashes: Hashes) -> str:
        """Identity of what the pack generates: not of its name, texts, place or shards."""
        plain = to_plain(self)
        for key in ("name", "about", "licence", "presets", "bindings", "source", "card"):
            del plain[key]
        for name in MODULES:
            del plain[name]["files"]
        if self.base:
            del plain["base"]["name"]
        for key in ("views", "stillness", "joining"):
            if plain[key] is None:
                del plain[key]  # packs from before there were such things keep their hash
        if self.views is not None:
            del plain["views"]["file"]
        text = json.dumps([plain, hashes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def check_file(what: str, name: str) -> None:
    """Refuse a file outside the pack's folder: a pack may come from a stranger."""
    if not name or Path(name).name != name or name.startswith("."):
        raise ValueError(f"{what} {name!r}: name a file in the pack's folder")


def check_below(what: str, name: str) -> None:
    """Refuse a path that leads out of the folder that it is relative to, on any system."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if not path.parts or path.anchor or ".." in path.parts:
            raise ValueError(f"{what} {name!r}: name a place below the source, without '..'")


def check_name(name: str) -> None:
    """Refuse a name that is no plain folder name."""
    if not name or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name):
        raise ValueError(f"pack name {name!r}: use letters, digits, dashes and dots")
    if name.startswith("."):
        raise ValueError(f"pack name {name!r}: begin with a letter or digit")


class _Loader(yaml.SafeLoader):
    """Reads no aliases: a few lines of them unfold into any number of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases are not read here", problem_mark=mark)
        return super().compose_node(parent, index)


def read(folder: Path) -> Manifest:
    """The manifest of a pack's folder; every mistake is a ValueError that names the file."""
    path = folder / FILE
    if not path.is_file():
        raise ValueError(f"{folder} is no pack: it has no {FILE}")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: format is {found!r}; this version of helios reads {FORMAT}")
    try:
        _check_plain(values, str(path))
        manifest = build(Manifest, values, str(path))
        # Checked here so that a bad channel is the manifest's mistake, not the loader's.
        assert isinstance(manifest.spec, ActionSpec)
    except (ValueError, TypeError, RecursionError) as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    for preset in manifest.presets:
        if preset.image and not (folder / preset.image).is_file():
            raise ValueError(f"{path}: the picture {preset.image} of a preset is missing")
    return manifest


def _check_plain(value: Any, where: str) -> None:
    """Refuse what YAML reads as no plain value, such as a date: it has no place in a hash."""
    if isinstance(value, dict):
        for key, below in value.items():
            _check_plain(below, f"{where}: {key}")
    elif isinstance(value, list):
        for i, below in enumerate(value):
            _check_plain(below, f"{where}[{i}]")
    elif value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{where} is {value!r}; give a number, or a text in quotes")


def write(manifest: Manifest, folder: Path) -> None:
    """Write pack.yaml, in the order of the dataclass."""
    text = yaml.safe_dump(to_plain(manifest), sort_keys=False, allow_unicode=True, width=100)
    (folder / FILE).write_text(text, encoding="utf-8")


def read_hashes(folder: Path) -> Hashes:
    """tensors.json of a pack's folder."""
    path = folder / HASHES
    try:
        hashes = json.loads(path.read_text())
        if not isinstance(hashes, dict) or not all(isinstance(h, dict) for h in hashes.values()):
            raise ValueError("no table of hashes")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is missing or cannot be read; `helios packs verify`") from error
    return hashes


def write_hashes(hashes: Hashes, folder: Path) -> None:
    (folder / HASHES).write_text(json.dumps(hashes, indent=0, sort_keys=True))
