"""What the engine, the scenes, the rollouts and the environment know of a world.

A world turns a state, a chunk's actions and a prompt into the next state and the chunk's frames.
States are immutable values that share storage, so saving, rewinding, branching and replaying are
all "keep the value". `helios_core.world.WorldModel` and `helios_core.null_world.NullWorld` are the
two implementations; nothing outside `helios_core` asks which one it has.

F pixel frames of a chunk, A action channels, H W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from helios_core.actions import ActionSpec
from helios_core.prompts import PromptTrack


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A beginning worth showing."""

    prompt: str
    """What the world is then; the number keys lead there from anywhere."""
    image: Path | None = None
    """A picture file to start from, since a small world paints none as good from text alone."""


@dataclass(frozen=True, kw_only=True)
class WorldInfo:
    """What a world is, for a window, a log or a scene."""

    name: str
    """Name of the pack."""
    fps: int
    """Pixel frames per second of world time."""
    chunk_frames: int
    """Pixel frames generated at a time."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    spec: ActionSpec
    """What a player can do; empty for a pack that plays by text."""
    layout: Literal["windowed", "streamed"]
    """`windowed`: each chunk is coded alone, 1 + 4(n-1) frames; `streamed`: seamless, 4n frames."""
    pack_hash: str
    """Identity of the weights and manifest, for logs and session files."""
    crossfade_chunks: int = 10
    """Chunks that a prompt change takes unless told otherwise."""
    known_words: frozenset[str] | None = None
    """Words the text encoder was taught; None when it takes any language."""
    presets: tuple[Preset, ...] = ()
    """Prompts worth showing, on the number keys; play starts as the first one says."""
    bindings: dict[str, Any] = field(default_factory=dict)
    """Default device bindings of the pack, as in engine.input."""
    latents: tuple[int, int, int, int] | None = None
    """(C, T, h, w) of a chunk's latents; None for a world that draws without any."""
    fingerprint: dict[str, str] = field(default_factory=dict)
    """Device, dtype, torch, threads, kernels: same state and inputs give the same bits under it."""

    @property
    def chunk_seconds(self) -> float:
        """Playing time of one chunk, the D of the latency formulas."""
        return self.chunk_frames / self.fps

    @property
    def first_preset(self) -> Preset:
        """How play starts when nothing is asked for."""
        return next(iter(self.presets), Preset(prompt=""))


class Arriving(NamedTuple):
    """Frames that may still be in the making."""

    wait: Callable[[], np.ndarray]
    """uint8 [F, H, W, 3] once they are there."""
    ready: bool = True
    """They are there, and nothing is won by doing something else first."""


class State(Protocol):
    """A moment of a world, as an immutable value."""

    @property
    def chunk(self) -> int:
        """Index of the next chunk; it covers frames chunk * F up to (chunk + 1) * F - 1."""
        ...

    @property
    def seed(self) -> int: ...

    @property
    def prompt(self) -> PromptTrack: ...


class World(Protocol):
    """Four verbs - start, prepare, generate, decode - and what is composed of them."""

    info: WorldInfo

    def start(
        self,
        *,
        seed: int,
        prompt: str = "",
        image: np.ndarray | None = None,
        clip: np.ndarray | None = None,
    ) -> Any:
        """A first state from text, one image [H, W, 3] or a clip [F, H, W, 3] (uint8)."""
        ...

    def prepare(self, state: Any) -> Any:
        """The part of the next chunk that needs no input; hand it to `generate`."""
        ...

    def generate(
        self,
        state: Any,
        actions: np.ndarray | None,
        prompt: str | None = None,
        *,
        crossfade: int | None = None,
        prepared: Any = None,
    ) -> tuple[Any, Any]:
        """The next state and the chunk's latents. Pure.

        `actions` [F, A] in the spec's units, or None for the null action. A `prompt` other than
        the one in force starts a crossfade over `crossfade` chunks (1 switches at once).
        """
        ...

    def decode(self, state: Any, latents: Any) -> np.ndarray:
        """uint8 [F, H, W, 3]; `state` is the one that `generate` returned with the latents."""
        ...

    def begin_decode(self, state: Any, latents: Any) -> "Arriving":
        """The same, begun: where a device decodes, the next chunk may be begun meanwhile."""
        ...

    def advance(
        self,
        state: Any,
        actions: np.ndarray | None,
        prompt: str | None = None,
        *,
        crossfade: int | None = None,
    ) -> tuple[Any, np.ndarray]:
        """`generate` then `decode`."""
        ...

    def generate_batch(
        self,
        states: Sequence[Any],
        actions: Sequence[np.ndarray | None],
        prompts: Sequence[str | None],
        *,
        crossfade: int | None = None,
    ) -> tuple[list[Any], Any]:
        """N worlds in one forward pass."""
        ...

    def decode_batch(self, states: Sequence[Any], latents: Any) -> np.ndarray:
        """uint8 [N, F, H, W, 3]."""
        ...

    def reanchor(self, state: Any) -> Any:
        """Renew the first-frame anchor from the newest clean frame."""
        ...

    def cut(self, state: Any, *, keep_anchor: bool = False, keep_last: int = 0) -> Any:
        """Start a new shot, keeping only the anchor or the last latents if asked."""
        ...

    def save_state(self, state: Any) -> bytes:
        """The state as safetensors bytes."""
        ...

    def load_state(self, blob: bytes) -> Any:
        """Inverse of `save_state`; a blob of another pack is a ValueError."""
        ...
