"""A world that costs nothing: a few lines of numpy draw the action and the frame number.

Scenes, tests and the window need a world that is exact, instant and honest about what it was
told. It keeps the whole `World` contract, including immutable states, prompts that crossfade and
states that save and load. It learns nothing and remembers only where the actions took the player.

    state = NullWorld().start(seed=0, prompt="a meadow")

F frames of a chunk, A channels, H W pixels.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from helios_core.actions import WALK_SPEC, ActionSpec
from helios_core.prompts import PromptTrack
from helios_core.world_api import Arriving, Preset, WorldInfo

FORMAT = "helios-null-state-1"
PROMPTS = ("a meadow at noon", "a desert at dusk", "snow falls", "night falls")
DIGITS = (
    ("111101101101111", "010110010010111", "111001111100111", "111001111001111")
    + ("101101111001001", "111100111001111", "111100111101111", "111001001001001")
    + ("111101111101111", "111101111001111")
)
"""Bitmaps of the ten digits, 3 columns by 5 rows each."""


@dataclass(frozen=True, kw_only=True)
class NullState:
    """Where the player is; one is the value of a moment."""

    chunk: int
    seed: int
    prompt: PromptTrack
    pose: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """x, y in metres, yaw and pitch in degrees."""
    anchor_chunk: int = 0
    """Chunk at which the anchor was last renewed."""


@dataclass(frozen=True, kw_only=True)
class NullChunk:
    """The "latents" of the null world: what the decoder draws."""

    first_frame: int
    actions: np.ndarray | None
    """[F, A]; None for the null action."""
    poses: np.ndarray
    """[F, 4]."""


class NullWorld:
    """A `World` drawn with numpy."""

    def __init__(
        self,
        *,
        height: int = 384,
        width: int = 640,
        fps: int = 20,
        chunk_frames: int = 4,
        spec: ActionSpec = WALK_SPEC,
    ) -> None:
        identity = json.dumps([height, width, fps, chunk_frames, spec.to_dict()])
        self.info = WorldInfo(
            name="null",
            fps=fps,
            chunk_frames=chunk_frames,
            height=height,
            width=width,
            spec=spec,
            layout="streamed",
            pack_hash="null-" + hashlib.sha256(identity.encode()).hexdigest()[:16],
            crossfade_chunks=max(1, round(2 * fps / chunk_frames)),
            presets=tuple(Preset(prompt=text) for text in PROMPTS),
            fingerprint={"device": "cpu", "dtype": "uint8", "kernels": "numpy"},
        )

    def start(
        self,
        *,
        seed: int,
        prompt: str = "",
        image: np.ndarray | None = None,
        clip: np.ndarray | None = None,
    ) -> NullState:
        for name, array, ndim in (("image", image, 3), ("clip", clip, 4)):
            if array is not None and (array.ndim != ndim or array.dtype != np.uint8):
                raise ValueError(f"the start {name} must be uint8 with {ndim} dimensions")
        return NullState(chunk=0, seed=int(seed), prompt=PromptTrack.hard(prompt))

    def prepare(self, state: NullState) -> None:
        return None

    def generate(
        self,
        state: NullState,
        actions: np.ndarray | None,
        prompt: str | None = None,
        *,
        crossfade: int | None = None,
        prepared: None = None,
    ) -> tuple[NullState, NullChunk]:
        info = self.info
        track = state.prompt
        if prompt is not None:
            track = track.switch(prompt, chunks=crossfade or info.crossfade_chunks)
        values = None if actions is None else info.spec.validate(actions)
        if values is not None and len(values) != info.chunk_frames:
            raise ValueError(f"a chunk takes {info.chunk_frames} frames of actions")
        poses = self._walk(state.pose, values)
        chunk = NullChunk(first_frame=state.chunk * info.chunk_frames, actions=values, poses=poses)
        after = replace(
            state,
            chunk=state.chunk + 1,
            prompt=track.advance(),
            pose=tuple(float(v) for v in poses[-1]),
        )
        return after, chunk

    def decode(self, state: NullState, latents: NullChunk) -> np.ndarray:
        frames = [
            self._draw(latents.first_frame + i, latents, i, state)
            for i in range(self.info.chunk_frames)
        ]
        return np.stack(frames)

    def begin_decode(self, state: NullState, latents: NullChunk) -> Arriving:
        frames = self.decode(state, latents)
        return Arriving(lambda: frames)

    def advance(
        self,
        state: NullState,
        actions: np.ndarray | None,
        prompt: str | None = None,
        *,
        crossfade: int | None = None,
    ) -> tuple[NullState, np.ndarray]:
        after, latents = self.generate(state, actions, prompt, crossfade=crossfade)
        return after, self.decode(after, latents)

    def generate_batch(
        self,
        states: Sequence[NullState],
        actions: Sequence[np.ndarray | None],
        prompts: Sequence[str | None],
        *,
        crossfade: int | None = None,
    ) -> tuple[list[NullState], list[NullChunk]]:
        pairs = [
            self.generate(s, a, p, crossfade=crossfade)
            for s, a, p in zip(states, actions, prompts, strict=True)
        ]
        return [s for s, _ in pairs], [c for _, c in pairs]

    def decode_batch(self, states: Sequence[NullState], latents: list[NullChunk]) -> np.ndarray:
        pairs = zip(states, latents, strict=True)
        return np.stack([self.decode(state, chunk) for state, chunk in pairs])

    def reanchor(self, state: NullState) -> NullState:
        return replace(state, anchor_chunk=state.chunk)

    def cut(self, state: NullState, *, keep_anchor: bool = False, keep_last: int = 0) -> NullState:
        pose = state.pose if keep_last else (0.0, 0.0, 0.0, 0.0)
        anchor = state.anchor_chunk if keep_anchor else state.chunk
        return replace(state, pose=pose, anchor_chunk=anchor)

    def save_state(self, state: NullState) -> bytes:
        track = state.prompt
        body = {
            "format": FORMAT,
            "pack_hash": self.info.pack_hash,
            "chunk": state.chunk,
            "seed": state.seed,
            "pose": state.pose,
            "anchor_chunk": state.anchor_chunk,
            "prompt": [track.start, track.text, track.step, track.length],
        }
        return json.dumps(body).encode()

    def load_state(self, blob: bytes) -> NullState:
        try:
            body = json.loads(blob)
        except ValueError as error:
            raise ValueError("this is not a saved state of the null world") from error
        if body.get("format") != FORMAT or body["pack_hash"] != self.info.pack_hash:
            raise ValueError("this state was saved with another pack; load it with that one")
        start, text, step, length = body["prompt"]
        track = PromptTrack(
            start=tuple((t, w) for t, w in start), text=text, step=step, length=length
        )
        return NullState(
            chunk=body["chunk"],
            seed=body["seed"],
            prompt=track,
            pose=tuple(body["pose"]),
            anchor_chunk=body["anchor_chunk"],
        )

    def _walk(
        self, pose: tuple[float, float, float, float], actions: np.ndarray | None
    ) -> np.ndarray:
        """Poses [F, 4] after each frame's actions."""
        x, y, yaw, pitch = pose
        rows = []
        for i in range(self.info.chunk_frames):
            go = {} if actions is None else dict(zip(self.info.spec.names, actions[i], strict=True))
            yaw = (yaw + go.get("look_yaw", 0.0) / self.info.fps) % 360.0
            pitch = float(np.clip(pitch + go.get("look_pitch", 0.0) / self.info.fps, -60, 60))
            speed = (4.0 if go.get("run", 0.0) < 0.5 else 8.0) / self.info.fps
            ahead, right = go.get("move_forward", 0.0) * speed, go.get("strafe", 0.0) * speed
            c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
            x, y = x + ahead * c - right * s, y + ahead * s + right * c
            rows.append((x, y, yaw, pitch))
        return np.array(rows)

    def _draw(self, frame: int, chunk: NullChunk, i: int, state: NullState) -> np.ndarray:
        """One picture: sky and ground by prompt, stripes by pose, a bar per channel, digits."""
        h, w = self.info.height, self.info.width
        x, y, yaw, pitch = chunk.poses[i]
        sky, ground = _colours(state.prompt, state.seed)
        picture = np.empty((h, w, 3), np.uint8)
        horizon = int(np.clip(h / 2 + pitch / 60 * h / 2, 0, h))
        picture[:horizon] = sky
        picture[horizon:] = ground
        columns = (np.arange(w) * 60.0 / w + yaw) % 15.0 < 2.0
        picture[:, columns] = (picture[:, columns] * 0.8).astype(np.uint8)
        depth = 3.0 * h / (np.arange(h - horizon) + 1.0)
        along = x * math.cos(math.radians(yaw)) + y * math.sin(math.radians(yaw))
        rows = (depth + along) % 4.0 < 1.0
        picture[horizon:][rows] = (picture[horizon:][rows] * 0.85).astype(np.uint8)
        self._bars(picture, None if chunk.actions is None else chunk.actions[i])
        _digits(picture, frame, scale=max(1, h // 96))
        return picture

    def _bars(self, picture: np.ndarray, values: np.ndarray | None) -> None:
        """Per channel a bar from the middle of the foot of the picture, right for positive."""
        h, w = picture.shape[:2]
        size, half = max(2, h // 48), w // 4
        for k, channel in enumerate(self.info.spec.channels):
            top = h - (k + 1) * (size + 2)
            picture[top : top + size, w // 2 - half : w // 2 + half] //= 2
            if values is None:
                continue
            length = round(float(values[k]) / channel.scale * half)
            left, right = sorted((w // 2, w // 2 + length))
            picture[top : top + size, left:right] = (255, 230, 90)


def _colours(track: PromptTrack, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sky and ground colours of the blend, each text's from its hash."""
    pair = np.zeros((2, 3))
    for text, weight in track.blend:
        digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
        base = np.frombuffer(digest[:6], np.uint8).reshape(2, 3).astype(np.float64)
        pair += weight * (base * 0.4 + np.array([[110], [60]]))
    return pair[0].astype(np.uint8), pair[1].astype(np.uint8)


def _digits(picture: np.ndarray, number: int, *, scale: int) -> None:
    """The number in the upper left corner, white on black."""
    x = y = 2 * scale
    for digit in str(number):
        bitmap = np.array([c == "1" for c in DIGITS[int(digit)]]).reshape(5, 3)
        big = bitmap.repeat(scale, 0).repeat(scale, 1)
        patch = picture[y : y + 5 * scale, x : x + 3 * scale]
        patch[:] = np.where(big[: patch.shape[0], : patch.shape[1], None], 255, 0)
        x += 4 * scale
