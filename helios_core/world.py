"""WorldModel: transformer, codec, text encoder and sampler as one `World`.

Four verbs: start, prepare, generate, decode; all pure, all deterministic under one fingerprint.
Nothing here grows with play: states share their tensors, prompts are cached boundedly, and the
cost of a chunk does not depend on its index. Not here: building one from files
(helios_core.packs), states (helios_core.state), how a chunk is denoised (helios_core.sampling).

    world = load_world("wilds")
    state = world.start(seed=0, prompt="a meadow at noon")
    state, frames = world.advance(state, actions)

B worlds, C latent channels, T latent frames of a chunk, K history frames, h w latent rows and
columns, F pixel frames of a chunk, W pixel frames of a latent, A action channels, H W pixels.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helios_core import start as starts
from helios_core import state as states
from helios_core.codecs import beside
from helios_core.codecs.api import Codec
from helios_core.codecs.beside import Decoding
from helios_core.conditioning import encode_actions
from helios_core.memory import History, make_history
from helios_core.program import ModelProgram
from helios_core.prompts import PromptTrack
from helios_core.sampling.chunk import Conditions, sample_chunk
from helios_core.sampling.noise import SeededNoise
from helios_core.sampling.plan import SamplerPlan
from helios_core.sampling.pyramid import check_pyramid
from helios_core.state import WorldState
from helios_core.stillness import Rest, Stillness, acted, settled, told
from helios_core.text.api import TextEncoder
from helios_core.text.cache import PromptCache
from helios_core.transformer import HeliosTransformer, HistoryCache, TextCache, join_text
from helios_core.views import Views
from helios_core.world_api import Arriving, WorldInfo


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What a world is made of."""

    transformer: HeliosTransformer
    codec: Codec
    text_encoder: TextEncoder
    plan: SamplerPlan
    """How a chunk is denoised."""
    chunk_latents: int
    """Latent frames of a chunk, T."""
    device: torch.device
    state_dtype: torch.dtype = torch.float32
    """Dtype of the latents that states keep."""
    start_noise: tuple[float, float] = (0.0, 0.0)
    """Share of noise mixed into the latents of a start image or clip, from and to."""
    negative_prompt: str = ""
    """What guidance steers away from."""
    graphs: bool = False
    """Replay whole pyramid stages as CUDA graphs; for weights that stay on their device."""
    views: Views | None = None
    """Pictures to begin from where there is only a text."""
    stillness: Stillness | None = None
    """How the world keeps its moment while nothing is asked of it; None: it does not."""
    turn: Callable[[str], AbstractContextManager] = lambda name: nullcontext()
    """Brings `text_encoder`, `transformer` or `codec` onto the device while it is used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """What of a chunk needs no input, and the state that it belongs to."""

    state: WorldState
    history: History | HistoryCache | None


class WorldModel:
    """A world that a Helios transformer generates."""

    def __init__(self, parts: Parts, info: WorldInfo) -> None:
        config = parts.transformer.config
        self.parts = parts
        self._own_negative = parts.negative_prompt
        self._program = ModelProgram(parts.transformer) if parts.graphs else parts.transformer
        self.shape = (
            config.in_channels,
            info.height // parts.codec.spatial,
            info.width // parts.codec.spatial,
        )
        self.info = replace(info, latents=(self.shape[0], parts.chunk_latents, *self.shape[1:]))
        stages, patch = parts.plan.stages, config.patch
        check_pyramid(*self.shape[1:], stages=stages, patch=patch)
        # A fine-tuned pack may have fewer actions than frames ask for: the spec decides.
        if (config.actions.channels if config.actions else 0) != info.spec.size:
            raise ValueError(
                f"the transformer takes {config.actions.channels if config.actions else 0} action "
                f"channels and the pack's spec names {info.spec.size}"
            )
        self.kept = config.kept_frames if config.multi_term_memory else 0
        # What the model continues from, and what decoding the newest chunk reads.
        needed = max(self.kept, parts.codec.context + parts.chunk_latents)
        self._groups = -(-needed // parts.chunk_latents)
        self._prompts = PromptCache(
            parts.text_encoder, self._project, turn=lambda: parts.turn("text_encoder")
        )

    def avoiding(self, negative: str | None) -> "WorldModel":
        """This world, weights shared, with a text that guidance steers away from.

        None for the pack's own. Without guidance the text changes nothing.
        """
        wanted = self._own_negative if negative is None else negative
        if wanted == self.parts.negative_prompt:
            return self
        other = WorldModel(replace(self.parts, negative_prompt=wanted), self.info)
        other._own_negative = self._own_negative
        return other

    def from_text_alone(self) -> "WorldModel":
        """This world, weights shared, without its views: it paints its first pictures itself."""
        return WorldModel(replace(self.parts, views=None), self.info)

    # Beginning ------------------------------------------------------------------------------

    @torch.inference_mode()
    def start(
        self,
        *,
        seed: int,
        prompt: str = "",
        image: np.ndarray | None = None,
        clip: np.ndarray | None = None,
    ) -> WorldState:
        if image is not None and clip is not None:
            raise ValueError("a world starts from an image or from a clip, not from both")
        state = self._blank(seed=seed, prompt=prompt)
        if image is not None:
            frames = starts.check_pixels("image", image, 3)[None]
        elif clip is not None:
            frames = starts.check_pixels("clip", clip, 4)
        else:
            return state
        begun = self._begun(state, self._encode(frames, still=image is not None))
        how = self.parts.stillness
        if clip is not None and how is not None:
            return replace(begun, rest=Rest(busy=how.settle))  # what the clip shows may be moving
        return begun

    def _begun(self, state: WorldState, beginning: tuple[Tensor, Tensor]) -> WorldState:
        """The state with a history and an anchor."""
        history, anchor = beginning
        noise, span = SeededNoise([(state.seed, -1)]), self.parts.start_noise
        history = starts.with_noise(history, span, noise, "start history")
        anchor = starts.with_noise(anchor, span, noise, "start anchor")
        state = states.with_frames(state, history)
        return replace(state, anchor=states.owned(anchor.to(state.anchor)), anchored=True)

    def _seen(self, state: WorldState, text: str) -> WorldState:
        """The state with the nearest view behind it, if nothing is."""
        views = self.parts.views
        if views is None or state.valid or state.anchored:
            return state
        with self.parts.turn("text_encoder"):
            view = views.nearest(text, seed=state.seed)
        begun = self._begun(state, self._encode(views.pictures[view][None], still=True))
        return replace(begun, rest=self._painting())

    def _painting(self) -> Rest:
        """The rest of a world that has a text alone: it may begin once what it says is there."""
        how = self.parts.stillness
        return Rest() if how is None else Rest(busy=1 + how.told)

    def _blank(self, *, seed: int, prompt: str) -> WorldState:
        return states.blank(
            seed=seed,
            prompt=prompt,
            shape=self.shape,
            length=self.parts.chunk_latents,
            groups=self._groups,
            dtype=self.parts.state_dtype,
            device=self.parts.device,
        )

    def _encode(self, frames: np.ndarray, *, still: bool) -> tuple[Tensor, Tensor]:
        """History and anchor of [F, H', W', 3] pixels."""
        parts = self.parts
        video = starts.fit(frames, self.info.height, self.info.width).to(parts.device)
        most = max(1, self.kept)
        with parts.turn("codec"):
            if still:
                return starts.from_image(parts.codec, video, parts.chunk_latents)
            return starts.from_clip(parts.codec, video, parts.chunk_latents, most)

    # Generating -----------------------------------------------------------------------------

    @torch.inference_mode()
    def prepare(self, state: WorldState) -> Prepared:
        with self.parts.turn("transformer"):
            return Prepared(state=state, history=self._history([state]))

    @torch.inference_mode()
    def generate(
        self,
        state: WorldState,
        actions: np.ndarray | None,
        prompt: str | None = None,
        *,
        crossfade: int | None = None,
        prepared: Prepared | None = None,
    ) -> tuple[WorldState, Tensor]:
        if prepared is not None and not prepared.state.same_history(state):
            raise ValueError("`prepared` belongs to another state; prepare this one")
        track = self._track(state, prompt, crossfade)
        begun = self._seen(state, track.text)
        if begun is not state:
            prepared = None
        after = self._run([begun], [self._check(actions)], [track], prepared)
        return after[0], after[0].groups[-1]

    @torch.inference_mode()
    def generate_batch(
        self,
        states: Sequence[WorldState],
        actions: Sequence[np.ndarray | None],
        prompts: Sequence[str | None],
        *,
        crossfade: int | None = None,
    ) -> tuple[list[WorldState], Tensor]:
        checked = [self._check(values) for values in actions]
        tracks = [self._track(s, p, crossfade) for s, p in zip(states, prompts, strict=True)]
        if not len(states) == len(checked) > 0:
            raise ValueError(f"{len(states)} states and {len(checked)} actions: give one each")
        states = [self._seen(s, track.text) for s, track in zip(states, tracks, strict=True)]
        after: list[WorldState | None] = [None] * len(states)
        # A first chunk may take more steps than a later one, so the two kinds run apart.
        for first in (True, False):
            rows = [i for i, state in enumerate(states) if (state.valid == 0) == first]
            if rows:
                made = self._run(
                    [states[i] for i in rows],
                    [checked[i] for i in rows],
                    [tracks[i] for i in rows],
                    None,
                )
                for i, state in zip(rows, made, strict=True):
                    after[i] = state
        done = [state for state in after if state is not None]
        return done, torch.cat([state.groups[-1] for state in done])

    def _run(
        self,
        before: list[WorldState],
        actions: list[np.ndarray | None],
        tracks: list[PromptTrack],
        prepared: Prepared | None,
    ) -> list[WorldState]:
        """One forward pass of worlds that all do, or all do not, have a history."""
        parts = self.parts
        texts = [self._prompts.blend(track.blend) for track in tracks]
        negative = self._negative(len(before)) if parts.plan.guided else None
        with parts.turn("transformer"):
            history = prepared.history if prepared else self._history(before)
            conditions = Conditions(
                text=texts[0] if len(texts) == 1 else join_text(texts),
                history=history,
                actions=parts.transformer.foresee(self._actions(actions), history),
                negative=negative,
            )
            latents = sample_chunk(
                self._program,
                parts.plan,
                SeededNoise([(state.seed, state.chunk) for state in before]),
                (len(before), self.shape[0], parts.chunk_latents, *self.shape[1:]),
                conditions,
                first_chunk=before[0].valid == 0,
            )
        latents = latents.to(parts.state_dtype)
        return [
            self._after(state, states.owned(latents[i : i + 1]), track, given)
            for i, (state, track, given) in enumerate(zip(before, tracks, actions, strict=True))
        ]

    def _after(
        self, state: WorldState, latents: Tensor, track: PromptTrack, actions: np.ndarray | None
    ) -> WorldState:
        """The next state. The anchor follows the first chunk and every finished crossfade."""
        arrived = state.prompt.text != track.text or state.prompt.weight < 1.0
        rest, latents = self._settled(state, latents, track, actions)
        after = states.with_chunk(state, latents, track, rest)
        if not state.anchored:
            return replace(after, anchor=states.owned(latents[:, :, :1]), anchored=True)
        return self.reanchor(after) if arrived and track.weight >= 1.0 else after

    def _settled(
        self, state: WorldState, latents: Tensor, track: PromptTrack, actions: np.ndarray | None
    ) -> tuple[Rest, Tensor]:
        """The chunk as it is kept: a world that has just begun from nothing is still painting."""
        how = self.parts.stillness
        if how is None:
            return state.rest, latents
        busy = max(acted(how, self.info.spec, actions), told(how, state.prompt, track))
        if state.valid == 0:
            busy = max(busy, self._painting().busy)
        elif state.valid < self.parts.chunk_latents:
            busy = max(busy, 1)  # a picture is no whole chunk, so no moment to keep yet
        return settled(how, state.rest, state.groups[-1], latents, busy=busy)

    def _check(self, actions: np.ndarray | None) -> np.ndarray | None:
        if actions is None or self.info.spec.size == 0:
            if actions is not None and np.asarray(actions).size:
                raise ValueError(f"the pack {self.info.name} takes no actions: it plays by text")
            return None
        values = self.info.spec.validate(actions)
        if len(values) != self.info.chunk_frames:
            raise ValueError(
                f"{len(values)} frames of actions; a chunk takes {self.info.chunk_frames}"
            )
        return values

    def _track(self, state: WorldState, prompt: str | None, crossfade: int | None) -> PromptTrack:
        """The prompt track that the chunk is made with: one step further."""
        track = state.prompt
        if prompt is not None:
            chunks = self.info.crossfade_chunks if crossfade is None else crossfade
            track = track.switch(prompt, chunks=chunks)
        return track.advance()

    def _history(self, before: Sequence[WorldState]) -> History | HistoryCache | None:
        model = self.parts.transformer
        if not self.kept:
            return None
        dtype = next(model.parameters()).dtype
        kept = torch.cat([state.frames(self.kept) for state in before]).to(dtype)
        anchor = torch.cat([state.anchor for state in before]).to(dtype)
        sizes = model.config.history_sizes
        history = make_history(kept, anchor, sizes, use_anchor=model.config.anchor)
        return model.history_cache(history) if model.config.restrict_history else history

    def _actions(self, actions: list[np.ndarray | None]) -> Any:
        """The model's action cache: None for a model that plays by text."""
        model = self.parts.transformer
        if model.config.actions is None:
            return None
        spec, window = self.info.spec, model.config.actions.window
        zeros = spec.zeros(self.info.chunk_frames)
        rows = [
            encode_actions(
                spec,
                self.info.fps,
                zeros if values is None else values,
                window=window,
                single_first=self.info.layout == "windowed",
            )
            for values in actions
        ]
        device = self.parts.device
        mask = torch.tensor([values is not None for values in actions], device=device)
        return model.action_cache(
            torch.stack(rows).to(device),
            mask,
            batch=len(rows),
            frames=self.parts.chunk_latents,
        )

    # Text -----------------------------------------------------------------------------------

    def _project(self, hidden: Tensor, mask: Tensor | None) -> TextCache:
        model = self.parts.transformer
        dtype = next(model.parameters()).dtype
        with self.parts.turn("transformer"):
            return model.text_cache(hidden.to(self.parts.device, dtype), mask)

    def _negative(self, batch: int) -> TextCache:
        text = self._prompts.blend(((self.parts.negative_prompt, 1.0),))
        return text if batch == 1 else join_text([text] * batch)

    # Decoding -------------------------------------------------------------------------------

    def decode(self, state: WorldState, latents: Tensor) -> np.ndarray:
        return self.begin_decode(state, latents).wait()

    @torch.inference_mode()
    def begin_decode(self, state: WorldState, latents: Tensor) -> Arriving:
        begun = self._begin_decode([state], latents)
        return Arriving(lambda: _arrived(begun)[0], ready=begun.ready)

    @torch.inference_mode()
    def decode_batch(self, states: Sequence[WorldState], latents: Tensor) -> np.ndarray:
        frames = np.empty(
            (len(states), self.info.chunk_frames, self.info.height, self.info.width, 3), np.uint8
        )
        # Worlds with less behind them than the codec reads are decoded apart.
        lengths = [self._context(state) for state in states]
        for length in set(lengths):
            rows = [i for i, other in enumerate(lengths) if other == length]
            frames[rows] = _arrived(self._begin_decode([states[i] for i in rows], latents[rows]))
        return frames

    def _context(self, state: WorldState) -> int:
        """Latents before the newest chunk that decoding it reads."""
        return min(self.parts.codec.context, state.valid - self.parts.chunk_latents)

    def _begin_decode(self, after: Sequence[WorldState], latents: Tensor) -> Decoding:
        """Pixels [B, 3, F, H, W] of states with equally much behind them."""
        new, context = self.parts.chunk_latents, self._context(after[0])
        if context > 0:
            past = [state.frames(new + context)[:, :, :context] for state in after]
            latents = torch.cat([torch.cat(past), latents], 2)
        with self.parts.turn("codec"):
            return beside.begin(self.parts.codec, latents, new=new)

    def advance(
        self,
        state: WorldState,
        actions: np.ndarray | None,
        prompt: str | None = None,
        *,
        crossfade: int | None = None,
    ) -> tuple[WorldState, np.ndarray]:
        after, latents = self.generate(state, actions, prompt, crossfade=crossfade)
        return after, self.decode(after, latents)

    # Shots and files ------------------------------------------------------------------------

    def reanchor(self, state: WorldState) -> WorldState:
        if state.valid == 0:
            return replace(state, anchor=torch.zeros_like(state.anchor), anchored=False)
        return replace(state, anchor=states.owned(state.groups[-1][:, :, -1:]), anchored=True)

    def cut(
        self, state: WorldState, *, keep_anchor: bool = False, keep_last: int = 0
    ) -> WorldState:
        room = self.parts.chunk_latents * len(state.groups)
        if not 0 <= keep_last <= room:
            raise ValueError(f"keep_last = {keep_last}: give 0 to {room} latent frames")
        kept = min(keep_last, state.valid)
        after = states.with_frames(state, state.frames(room)[:, :, room - kept :])
        if keep_anchor:
            return after
        return replace(after, anchor=torch.zeros_like(state.anchor), anchored=False)

    def save_state(self, state: WorldState) -> bytes:
        return states.save(state, self.info.pack_hash)

    def load_state(self, blob: bytes) -> WorldState:
        return states.load(blob, self.info.pack_hash, self._blank(seed=0, prompt=""))


@torch.inference_mode()
def _arrived(begun: Decoding) -> np.ndarray:
    """uint8 [B, F, H, W, 3] in the host's memory."""
    return begun.on_host(_to_bytes).numpy()


def _to_bytes(video: Tensor) -> Tensor:
    """Pixels [B, 3, F, H, W] in [-1, 1] to uint8 [B, F, H, W, 3]."""
    pixels = video.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 4, 1).contiguous()
