"""From what the player asked for to the parts of a play: world, director, place, bindings, input.

A scene file, a session file, or free play; windowed and headless play open the same way, so that
they play the same. Not here: running it (engine.loop, engine.headless), parsing arguments.

    opening = open_play(OpeningConfig(what="demos/storm.yaml"))
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.director import Director, PassThrough
from engine.input.bindings import Bindings, bindings_from, read_user_bindings
from engine.input.events import InputSource
from engine.input.mapper import InputMapper
from engine.input.scripted import ScriptedInput
from engine.maker import Place
from engine.named_states import unpack_moments
from engine.session_file import (
    InputHistory,
    SavedSession,
    find_scene,
    is_session,
    read_session,
    refuse_other_world,
)
from engine.video import read_clip, read_image
from engine.warm_up import warm_up
from helios_core.world_api import World, WorldInfo

if TYPE_CHECKING:
    from engine.scenes.load import SceneFile

PREFERRED_PACKS = ("wilds", "wilds-nano")
"""Shipped packs in the order in which they become the default."""


@dataclass(frozen=True, kw_only=True)
class OpeningConfig:
    """What to play."""

    what: str = ""
    """A scene file, a session file, or empty for free play."""
    pack: str = ""
    """Name or folder of a pack; the scene's or the default one if empty."""
    prompt: str | None = None
    """What the world is; in a session, where it goes next."""
    image: Path | None = None
    """Start from a picture."""
    clip: Path | None = None
    """Start from the end of a video."""
    seed: int | None = None
    """The scene's, or 0, if None."""
    device: str | None = None
    """`cpu` or `cuda`; None for what suits this machine."""
    dtype: str | None = None
    """`fp32` or `bf16`; None for what suits this machine."""
    threads: int | None = None
    """Threads of a CPU; None for what suits this machine."""
    graphs: bool = False
    """Replay pyramid stages as CUDA graphs."""
    codec_device: str | None = None
    """Another device that codes and decodes."""
    eight_bits: str | None = None
    """`fp8` or `int8` products in the blocks; None for plain ones."""
    compile: bool = False
    """Compile the decoder of an imported checkpoint, while the world warms up."""
    actions: Path | None = None
    """A script of actions."""
    user_bindings: Path | None = None
    """The player's own bindings file."""
    live: bool = False
    """Follow the scene file while it is played."""

    def jumped(self, scene: str) -> "OpeningConfig":
        """What to play after a jump: how the first scene begins and its script are not for the
        next one, which has a beginning of its own."""
        return replace(self, what=scene, prompt=None, image=None, clip=None, actions=None)


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What the player's keys do in a scene."""

    bindings: Bindings
    defaults: Bindings
    """Without the player's own, against which changes are kept."""
    presets: tuple[str, ...]
    """Prompts for the number keys: those that the scene offers, or the pack's on a free walk."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Opening:
    """All that a play begins with."""

    world: World
    director: Director
    place: Place
    hands: Hands
    mapper: InputMapper
    sources: tuple[InputSource, ...]
    prompt: str | None
    """A prompt to head for from the first chunk on, when a session was asked to."""
    title: str
    """Of the window: the scene's, or the pack's name on a free walk."""
    fps: float
    """Frames shown per second."""
    scene: "SceneFile | None" = None
    history: InputHistory | None = None
    """Input of the session that goes on."""
    reloaded: "deque[SceneFile]" = field(default_factory=deque)
    """Scenes that a live director took over in the producer's thread, for the loop's thread to
    show."""


def hands_for(info: WorldInfo, scene: "SceneFile | None", user_file: Path | None) -> Hands:
    """Bindings and presets; reads the player's file anew, which the window may have written."""
    layer = scene.scene.bindings.layer() if scene else None
    user = read_user_bindings(user_file) if user_file else {}
    texts = [p.text for p in scene.scene.presets.values()] if scene else _prompts(info)
    return Hands(
        bindings=bindings_from(
            info.spec, pack=info.bindings, user=user, user_name=str(user_file), scene=layer
        ),
        defaults=bindings_from(info.spec, pack=info.bindings, scene=layer),
        presets=tuple(texts),
    )


def open_play(
    config: OpeningConfig,
    *,
    world: World | None = None,
    on_loading: Callable[[str, float], None] = lambda what, fraction: None,
) -> Opening:
    """Read, load and check everything; what is wrong with it is a ValueError. A `world` that is
    loaded already is used again if it is of the pack that is wanted."""
    scene, saved = _read_what(config, on_loading)
    pack = config.pack or (saved.pack if saved else "") or (scene.scene.pack if scene else "")
    world = _ready(config, pack or default_pack(), world, scene, on_loading)
    info = world.info
    if saved is not None:
        refuse_other_world(saved, info, Path(config.what))
    on_loading("preparing the first frames", 0.8)
    place = _place(config, world, scene, saved)
    hands = hands_for(info, scene, config.user_bindings)
    mapper = InputMapper(info.spec, hands.bindings, fps=info.fps)
    script = () if config.actions is None else (ScriptedInput.read(config.actions, info.spec),)
    reloaded: deque[SceneFile] = deque()

    def rebind(file: "SceneFile") -> None:
        mapper.rebind(hands_for(info, file, config.user_bindings).bindings)
        reloaded.append(file)

    director = _director(scene, world, rebind if config.live else None)
    if place.director is not None:
        _check_memory(director, place, Path(config.what))
    on_loading("ready", 1.0)
    return Opening(
        world=world,
        director=director,
        place=place,
        hands=hands,
        mapper=mapper,
        sources=script,
        prompt=config.prompt if saved else None,
        title=scene.scene.title if scene else info.name,
        fps=(scene.scene.fps if scene else None) or info.fps,
        scene=scene,
        history=saved.history if saved else None,
        reloaded=reloaded,
    )


def refuse_new_beginning(config: OpeningConfig) -> None:
    """A saved session has begun already, the one that a scene starts from, too: a ValueError for
    what would begin a world. A scene that is jumped to later takes no notice of a seed then."""
    given = [name for name in ("seed", "image", "clip") if getattr(config, name) is not None]
    if not given:
        return
    _, saved = _read_what(config, lambda what, fraction: None)
    if saved is not None:
        raise ValueError(
            f"--{given[0]} begins a world, and {config.what} goes on from a saved session: "
            f"leave out --{given[0]}"
        )


def _ready(
    config: OpeningConfig,
    pack: str,
    loaded: World | None,
    scene: "SceneFile | None",
    on_loading: Callable[[str, float], None],
) -> World:
    """The pack's world, loaded unless it is, steered as the scene wants; a new one is warmed up."""
    world = loaded
    if world is None or not _is_of(world, pack):
        on_loading(f"loading {pack}", 0.2)
        world = load(
            pack,
            device=config.device,
            dtype=config.dtype,
            threads=config.threads,
            graphs=config.graphs,
            codec_device=config.codec_device,
            eight_bits=config.eight_bits,
            compile=config.compile,
        )
    world = _avoiding(world, scene)
    if world is not loaded:
        warm_up(
            world,
            on_progress=lambda what, share: on_loading(f"warming up: {what}", 0.3 + share / 2),
        )
    return world


def _is_of(world: World, pack: str) -> bool:
    """Whether a world was made of the pack of this name, or of the pack in this folder."""
    from helios_core.packs.find import BUILTIN, find
    from helios_core.packs.manifest import read, read_hashes

    if world.info.name == pack or pack in BUILTIN:
        return world.info.name == pack
    folder = find(pack)
    manifest = read(folder)
    here = manifest.name, manifest.hash(read_hashes(folder))
    return here == (world.info.name, world.info.pack_hash)


def _avoiding(world: World, scene: "SceneFile | None") -> World:
    """The world with the scene's negative prompt, or the pack's own; only models have guidance."""
    avoiding = getattr(world, "avoiding", None)
    if avoiding is None:
        return world
    return avoiding(scene.scene.negative or None if scene else None)


def default_pack() -> str:
    """The first of the preferred packs that is there, else any trained one, else the null world."""
    from helios_core.packs.find import installed

    names = installed()
    return next((n for n in (*PREFERRED_PACKS, *names) if n in names), "null")


def load(
    pack: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    graphs: bool = False,
    codec_device: str | None = None,
    eight_bits: str | None = None,
    compile: bool = False,
) -> World:
    """A world by name or folder, computed as asked for or as suits this machine."""
    from helios_core.packs import load_world

    if pack == "null":
        return load_world(pack)
    from engine.device import choose

    long = {"fp32": "float32", "bf16": "bfloat16", None: None}
    choice = choose(device=device, dtype=long.get(dtype, dtype), threads=threads)
    coder = codec_device or choice.device
    wanted = (("--graphs", graphs, choice.device), ("--compile", compile, coder))
    for option, asked, place in wanted:
        if asked and not place.startswith("cuda"):
            raise ValueError(f"{option} wants a CUDA device, not {place}: leave it out")
    return load_world(
        pack,
        device=choice.device,
        dtype=choice.dtype,
        threads=choice.threads,
        graphs=graphs,
        codec_device=codec_device,
        eight_bits=eight_bits,
        compile=compile,
    )


def _read_what(
    config: OpeningConfig, on_loading: Callable[[str, float], None]
) -> tuple["SceneFile | None", SavedSession | None]:
    """The scene or the session that was named, or that the session was saved in."""
    if not config.what:
        return None, None
    from engine.scenes.load import load_scene
    from engine.scenes.packs import pack_facts

    on_loading(f"reading {config.what}", 0.0)
    path = Path(config.what)
    if not path.is_file():
        raise ValueError(f"{path}: no such scene or session")
    if not is_session(path):
        scene = load_scene(path, packs=lambda name: pack_facts(config.pack or name))
        start = scene.scene.start.session
        return scene, None if start is None else read_session(start.resolve_in(scene.folder))
    saved = read_session(path)
    if not saved.scene:
        return None, saved
    pack = config.pack or saved.pack
    return load_scene(find_scene(saved.scene, path), packs=lambda name: pack_facts(pack)), saved


def _place(
    config: OpeningConfig, world: World, scene: "SceneFile | None", saved: SavedSession | None
) -> Place:
    """Where the play begins."""
    if saved is not None:
        own = is_session(Path(config.what))
        state = world.load_state(saved.state)
        if not own:  # a scene that begins where a session stood
            return Place(state=state)
        named = unpack_moments(world, saved.named, Path(config.what))
        return Place(state=state, director=saved.director, named=named, overlays=saved.overlays)
    start = scene.scene.start if scene else None
    image, clip, prompt = config.image, config.clip, config.prompt
    if scene and start and image is None and clip is None:
        image = start.image.resolve_in(scene.folder) if start.image else None
        clip = start.clip.resolve_in(scene.folder) if start.clip else None
    if scene and prompt is None:
        prompt = scene.scene.first_prompt.text
    seed = config.seed if config.seed is not None else (scene.scene.seed if scene else 0)
    return Place(state=first_state(world, seed=seed, prompt=prompt, image=image, clip=clip))


def first_state(
    world: World,
    *,
    seed: int,
    prompt: str | None = None,
    image: Path | None = None,
    clip: Path | None = None,
) -> Any:
    """Where a walk begins: as it was asked for, else as the pack's first preset says. A preset's
    picture shows its own prompt, so another prompt does without."""
    preset = world.info.first_preset
    if prompt is None and image is None and clip is None:
        image = preset.image
    return world.start(
        seed=seed,
        prompt=preset.prompt if prompt is None else prompt,
        image=None if image is None else read_image(image),
        clip=None if clip is None else read_clip(clip),
    )


def _check_memory(director: Director, place: Place, path: Path) -> None:
    """Refuse a session whose scene memory cannot be gone on from, before anything is shown."""
    try:
        director.restore(place.director)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _prompts(info: WorldInfo) -> list[str]:
    return [preset.prompt for preset in info.presets]


def _director(
    scene: "SceneFile | None", world: World, on_change: "Callable[[SceneFile], None] | None"
) -> Director:
    """Free play, the scene, or the scene that follows its file."""
    if scene is None:
        return PassThrough()
    from engine.scenes.director import SceneDirector
    from engine.scenes.live import LiveDirector

    if on_change is None:
        return SceneDirector(scene, world.info)
    return LiveDirector(scene, world.info, on_change=on_change)
