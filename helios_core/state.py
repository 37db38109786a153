"""WorldState: a moment of a world as an immutable value, and its safetensors form.

A state holds the newest latent groups (one per chunk, shared with the states before it), the
anchor, and plain numbers. Its size never changes: before anything was generated the groups are
zeros, all of them one tensor. Not here: how a state becomes the next (helios_core.world).

    blob = save(state, pack_hash)
    same = load(blob, pack_hash)

C latent channels, T latent frames of a chunk, h w latent rows and columns, G groups.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from helios_core.prompts import PromptTrack
from helios_core.stillness import Rest

FORMAT = "helios-state-2"


@dataclass(frozen=True, kw_only=True, eq=False)
class WorldState:
    """All that the next chunk follows from, besides its input."""

    chunk: int
    """Index of the next chunk."""
    seed: int
    prompt: PromptTrack
    groups: tuple[Tensor, ...]
    """The newest chunks' clean latents, oldest first, [1, C, T, h, w] each; never written to."""
    valid: int
    """How many of the newest latent frames are history; those before them are zeros."""
    anchor: Tensor
    """[1, C, 1, h, w]; zeros before there is one."""
    anchored: bool
    """Whether `anchor` holds a frame."""
    rest: Rest = field(default_factory=Rest)
    """What it keeps to while nothing is asked of it."""

    def frames(self, count: int) -> Tensor:
        """The newest `count` latent frames, [1, C, count, h, w]."""
        length = self.groups[-1].shape[2]
        needed = -(-count // length)
        assert needed <= len(self.groups), "a state holds at least the model's history"
        joined = torch.cat(self.groups[len(self.groups) - needed :], 2)
        return joined[:, :, joined.shape[2] - count :]

    def same_history(self, other: "WorldState") -> bool:
        """Whether the other state has this one's very tensors."""
        pairs = zip((*self.groups, self.anchor), (*other.groups, other.anchor), strict=True)
        return all(a is b for a, b in pairs)


def blank(
    *, seed: int, prompt: str, shape: Sequence[int], length: int, groups: int, **tensor: Any
) -> WorldState:
    """A state without history: `groups` of `length` zero latent frames of shape (C, h, w)."""
    channels, rows, columns = shape
    zero = torch.zeros(1, channels, length, rows, columns, **tensor)
    return WorldState(
        chunk=0,
        seed=int(seed),
        prompt=PromptTrack.hard(prompt),
        groups=(zero,) * groups,
        valid=0,
        anchor=owned(zero[:, :, :1]),
        anchored=False,
    )


def owned(latents: Tensor) -> Tensor:
    """A copy with storage of its own and the one layout, so that saving changes no stride."""
    return latents.clone(memory_format=torch.contiguous_format)


def with_frames(state: WorldState, frames: Tensor) -> WorldState:
    """The state with another history: [1, C, n, h, w], its newest frames, zeros before them."""
    like, count = state.groups[-1], len(state.groups)
    room = like.shape[2] * count
    kept = frames[:, :, -room:].to(like)
    shape = (*like.shape[:2], room, *like.shape[3:])
    full = like.new_zeros(shape)
    full[:, :, room - kept.shape[2] :] = kept
    groups = tuple(owned(group) for group in full.chunk(count, 2))
    return replace(state, groups=groups, valid=kept.shape[2], rest=Rest())


def with_chunk(
    state: WorldState, latents: Tensor, prompt: PromptTrack, rest: Rest | None = None
) -> WorldState:
    """The state after a chunk: [1, C, T, h, w] becomes the newest group."""
    assert latents.shape == state.groups[-1].shape
    room = latents.shape[2] * len(state.groups)
    return replace(
        state,
        chunk=state.chunk + 1,
        prompt=prompt,
        groups=(*state.groups[1:], latents),
        valid=min(room, state.valid + latents.shape[2]),
        rest=rest or Rest(),
    )


def save(state: WorldState, pack_hash: str) -> bytes:
    """The state as safetensors, with the hash of the pack that it belongs to."""
    track = state.prompt
    plain = {
        "chunk": state.chunk,
        "seed": state.seed,
        "prompt": [track.start, track.text, track.step, track.length],
        "valid": state.valid,
        "anchored": state.anchored,
        "busy": state.rest.busy,
    }
    metadata = {"format": FORMAT, "pack_hash": pack_hash, "state": json.dumps(plain)}
    tensors = {"groups": torch.stack(state.groups).cpu(), "anchor": state.anchor.cpu().contiguous()}
    if state.rest.moment is not None:
        tensors["moment"] = state.rest.moment.cpu().contiguous()
    return save_tensors(tensors, metadata)


def load(blob: bytes, pack_hash: str, like: WorldState) -> WorldState:
    """Inverse of `save`. `like`, any state of the world, gives shapes, dtype and device."""
    metadata = _metadata(blob)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"this is no saved state of format {FORMAT}")
    if metadata.get("pack_hash") != pack_hash:
        raise ValueError(
            f"this state was saved with the pack {metadata.get('pack_hash')}, not {pack_hash}; "
            "load it with that pack"
        )
    try:
        tensors, plain = load_tensors(blob), json.loads(metadata["state"])
        groups, anchor = tensors["groups"], tensors["anchor"]
        moment = tensors.get("moment")
        wanted = (len(like.groups), *like.groups[-1].shape)
        if groups.shape != wanted or anchor.shape != like.anchor.shape:
            raise ValueError(f"its shape is {tuple(groups.shape)}, not {wanted}")
        if moment is not None and moment.shape != wanted[1:]:
            raise ValueError(f"its moment has the shape {tuple(moment.shape)}, not {wanted[1:]}")
        valid = int(plain["valid"])
        if not 0 <= valid <= groups.shape[0] * groups.shape[3]:
            raise ValueError(f"{valid} of its frames are history")
        return WorldState(
            chunk=int(plain["chunk"]),
            seed=int(plain["seed"]),
            prompt=_track(plain["prompt"]),
            groups=tuple(owned(group).to(like.anchor) for group in groups),
            valid=valid,
            anchor=anchor.to(like.anchor),
            anchored=bool(plain["anchored"]),
            rest=Rest(
                busy=int(plain["busy"]),
                moment=None if moment is None else moment.to(like.anchor),
            ),
        )
    except (SafetensorError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"this saved state is damaged: {error!r}") from error


def _track(row: Any) -> PromptTrack:
    start, text, step, length = row
    if not isinstance(text, str):
        raise ValueError(f"its prompt is {text!r}")
    if int(length) < 1 or int(step) < 0:
        raise ValueError(f"its crossfade is at chunk {step} of {length}")
    blend = tuple((str(old), float(weight)) for old, weight in start)
    return PromptTrack(start=blend, text=text, step=int(step), length=int(length))


def _metadata(blob: bytes) -> dict[str, str]:
    """The text part of a safetensors header."""
    try:
        (size,) = struct.unpack_from("<Q", blob)
        header = json.loads(blob[8 : 8 + size])
        return dict(header.get("__metadata__", {}))
    except (struct.error, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError("this is not a saved state: its header cannot be read") from error
