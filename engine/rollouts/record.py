"""One chunk as it is logged: frames, actions, prompt, and whatever else its latch decided.

A replay feeds a world exactly what these records say, so everything that reaches
`World.generate` is here. Values only; `journal` stores them.

F logged frames of the chunk, N frames that the world generated for it (F < N when a rewind or the
end of the session cut it short), A channels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from engine.rollouts.latents import latent_array
from engine.rollouts.spec import RolloutSpec


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """What a latch decided beside actions and prompt text."""

    crossfade: int | None = None
    """Chunks that a prompt change was told to take; None is the pack's own number."""
    reanchor: bool = False
    """The anchor was renewed before this chunk."""
    cut: tuple[bool, int] | None = None
    """(keep_anchor, keep_last) of a cut before this chunk."""
    actions: tuple[tuple[float, ...], ...] | None = None
    """All N rows of applied actions, where only some of the chunk's frames were presented."""
    batch: tuple[int, int] | None = None
    """(worlds in the forward pass, row of this one): sums may differ by the size of a batch."""

    def to_text(self) -> str:
        """JSON of what differs from the default; empty for a plain chunk."""
        body: dict[str, Any] = {}
        if self.crossfade is not None:
            body["crossfade"] = self.crossfade
        if self.reanchor:
            body["reanchor"] = True
        if self.cut is not None:
            body["cut"] = list(self.cut)
        if self.actions is not None:
            body["actions"] = [list(row) for row in self.actions]
        if self.batch is not None:
            body["batch"] = list(self.batch)
        return json.dumps(body) if body else ""

    @staticmethod
    def from_text(text: str) -> "PlanRecord":
        body = json.loads(text) if text else {}
        for name in {"cut", "batch"} & set(body):
            body[name] = tuple(body[name])
        if "actions" in body:
            body["actions"] = tuple(tuple(row) for row in body["actions"])
        return PlanRecord(**body)


@dataclass(frozen=True, kw_only=True)
class EpisodeHeader:
    """What is known of an episode when it begins."""

    prompt: str
    """Text in force at the first chunk."""
    seed: int
    """Seed of the world's noise."""
    parent: tuple[int, int] | None = None
    """(episode, frame) of this dataset that a rewind or a counterfactual branched off."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Pack, device, dtype, fingerprint and engine version of this session."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Anything else that is JSON."""

    def __post_init__(self) -> None:
        check_text(self.prompt)
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed {self.seed} does not fit into 64 bits")
        try:
            json.dumps([dict(self.source), dict(self.extra)])
        except TypeError as error:
            raise ValueError(f"episode facts must be plain JSON values: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "parent": None if self.parent is None else list(self.parent),
            "source": dict(self.source),
            "extra": dict(self.extra),
        }

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> "EpisodeHeader":
        parent = None if body["parent"] is None else (body["parent"][0], body["parent"][1])
        return EpisodeHeader(**{**body, "parent": parent})


@dataclass(frozen=True, kw_only=True, eq=False)
class ChunkRecord:
    """A validated `write`, on its way through the queue. The arrays must not change any more."""

    frames: np.ndarray
    """uint8 [F, H, W, 3]."""
    prompt: str
    columns: Mapping[str, Any]
    """Every column of the spec but the hash: arrays [F] or [F, size]."""
    latents: np.ndarray | None = None
    """float32 [C, T, h, w], with the first record of a chunk where the spec keeps them."""

    def hashed(self) -> dict[str, Any]:
        """The columns with each frame's hash; costly, so the writer's thread does it."""
        return {**self.columns, "frame.hash": frame_hashes(self.frames)}


def chunk_record(
    spec: RolloutSpec,
    frames: np.ndarray,
    requested: np.ndarray,
    applied: np.ndarray,
    *,
    seed: int,
    prompt: str,
    prompt_weight: float,
    chunk: int,
    latch_time: float,
    age_ms: Sequence[float] | np.ndarray,
    events: Sequence[str],
    offsets: Sequence[int] | None,
    plan: PlanRecord,
    extra: Mapping[str, Any],
    latents: Any,
) -> ChunkRecord:
    """Check the parts of one chunk against the spec; a ValueError says which one is wrong."""
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.shape[1:] != (spec.height, spec.width, 3):
        raise ValueError(
            f"frames are {frames.dtype} {frames.shape}; this recording takes "
            f"uint8 [frames, {spec.height}, {spec.width}, 3]"
        )
    count = len(frames)
    if count == 0:
        raise ValueError("a chunk of no frames cannot be recorded")
    check_text(prompt)
    given, wanted = set(extra), {column.name for column in spec.extras}
    if given != wanted:
        raise ValueError(f"extra columns {sorted(given)} given; the spec has {sorted(wanted)}")
    values: dict[str, Any] = dict(extra)
    if spec.actions.size:
        values["action"] = spec.actions.validate(applied)
        values["action.requested"] = spec.actions.validate(requested)
    values |= {
        "seed": np.full(count, seed),
        "chunk": np.full(count, chunk),
        "chunk.offset": np.arange(count) if offsets is None else offsets,
        "prompt.weight": np.full(count, prompt_weight),
        "latch.time": np.full(count, latch_time),
        "latch.plan": [plan.to_text()] * count,
        "frame.age_ms": age_ms,
        "events": [json.dumps(list(events), ensure_ascii=False) if events else ""] * count,
    }
    columns = {
        c.name: c.array(values[c.name], count) for c in spec.columns if c.name != "frame.hash"
    }
    kept = None
    if latents is not None and spec.latents is not None:
        kept = latent_array(latents, spec.latents)
    return ChunkRecord(frames=frames, prompt=prompt, columns=columns, latents=kept)


def frame_hashes(frames: np.ndarray) -> np.ndarray:
    """int64 [F]: 64 bits of BLAKE2b over each frame's exact bytes, before video compression."""
    digests = [blake2b(np.ascontiguousarray(f).data, digest_size=8).digest() for f in frames]
    return np.frombuffer(b"".join(digests), "<i8").astype(np.int64)


def check_text(text: str) -> None:
    """Refuse text that no file can hold: half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"the prompt is not valid Unicode: {error.reason}") from error
