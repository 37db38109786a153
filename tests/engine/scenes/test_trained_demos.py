"""Demos on the trained default pack: all of them run, and the weather that they script is seen.

The evaluation's classifier, which was taught on true frames alone, reads the frames before
anything is drawn over them. It is taught once, which takes minutes, and kept in the user's cache.

    pytest -s -m full tests/engine/scenes/test_trained_demos.py      # HELIOS_PACK: another pack

Without `-m full` each demo only begins.
"""

import json
import os
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from engine.chunk import Chunk
from engine.headless import play_headless
from engine.intake import Intake
from engine.maker import ChunkMaker
from engine.opening import Opening, OpeningConfig, default_pack, load, open_play
from engine.present.overlay import enlarged
from engine.render import RenderConfig, render
from engine.stage import Stage
from engine.video import read_clip
from tests.engine.scenes.test_demos import DEMOS, NAMES

SECONDS = 110
"""World time that is played of each demo."""
WITHIN = 3.0
"""Seconds after its event by which a change of weather is to be seen."""
WORDS = {
    "thunderstorm": "storm", "storm": "storm", "northern lights": "aurora", "aurora": "aurora",
    "falling snow": "snow", "snow falls": "snow", "fog": "fog", "rain": "rain",
    "grey clouds": "cloudy", "cloudy": "cloudy", "clear sky": "clear",
}  # fmt: skip
"""What a prompt says of the weather; the first word that it holds counts."""
UNSAID = "clear"
"""The weather of a prompt that does not name one."""


def weather_of(prompt: str) -> str | None:
    return next((weather for word, weather in WORDS.items() if word in prompt.lower()), None)


@dataclass
class Watcher:
    """A sink that keeps the frames and where a prompt began to change the weather."""

    frames: list[np.ndarray] = field(default_factory=list)
    prompts: list[tuple[int, str]] = field(default_factory=list)
    """Frame and prompt, one per chunk."""

    def presented(self, chunk: Chunk, offsets: range, ages_ms) -> None:
        self.prompts.append((len(self.frames), chunk.state_after.prompt.text))
        self.frames += [chunk.frames[offset] for offset in offsets]

    def rewound(self, branch: int, parent) -> None:
        pass

    def close(self) -> None:
        pass

    def changes(self) -> list[tuple[int, str]]:
        """Frame and weather of every change."""
        found = []
        for (_, before), (frame, after) in pairwise(self.prompts):
            weather = weather_of(after)
            if weather is not None and weather != (weather_of(before) or UNSAID):
                found.append((frame, weather))
        return found


def watch(opening: Opening) -> Watcher:
    """Play a demo with nobody at the controls."""
    watcher = Watcher()
    maker = ChunkMaker(opening.world, opening.director)
    maker.jump(opening.place)
    stage = Stage(on_effect=lambda e, c: None, on_message=print, draw=lambda f, o: f)
    stage.add_sink(watcher)
    frames = SECONDS * opening.world.info.fps
    intake = Intake(opening.mapper)
    play_headless(maker, intake, sources=opening.sources, stage=stage, frames=frames)
    stage.close()
    return watcher


@pytest.fixture(scope="module")
def world():
    name = os.environ.get("HELIOS_PACK") or default_pack()
    if name == "null":
        pytest.skip("no trained pack is installed: assets/packs holds none")
    return load(name)


@pytest.fixture(scope="module")
def judge(world):
    from training.evaluation import judges

    return judges.classifier(height=world.info.height, width=world.info.width)[0]


@pytest.mark.parametrize("path", DEMOS, ids=NAMES)
def test_a_demo_begins_on_the_trained_pack(path, world, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.opening.load", lambda pack, **options: world)
    chunk = world.info.chunk_frames
    opening = OpeningConfig(what=str(path), pack=world.info.name)
    config = RenderConfig(frames=3 * chunk, out=tmp_path / "begin.mp4", captures=tmp_path)
    rendered = render(opening, config)
    assert rendered.frames == 3 * chunk and rendered.problems == ()
    shown = enlarged(np.zeros((world.info.height, world.info.width, 3), np.uint8))
    assert read_clip(tmp_path / "begin.mp4").shape[1:] == shown.shape


def seen_after(judge, frames: np.ndarray, weather: str, fps: int) -> float | None:
    """Seconds until the judge holds a weather for true over half a second, None for never."""
    from training.evaluation import lessons

    right = judge.read(frames)["weather"].argmax(1) == lessons.answer_of("weather", weather)
    span = max(1, fps // 2)
    if len(right) < span:
        return None
    held = np.convolve(right, np.ones(span), "valid") >= 0.8 * span
    return float(np.argmax(held)) / fps if held.any() else None


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", DEMOS, ids=NAMES)
def test_a_demo_on_the_trained_pack_shows_its_weather(path, world, judge):
    fps = world.info.fps
    opening = open_play(OpeningConfig(what=str(path), pack=world.info.name), world=world)
    watcher = watch(opening)
    clip = np.stack(watcher.frames)
    assert len(clip) > 10 * fps and clip.std() > 5
    late, rows = [], []
    changes = watcher.changes()
    ends = [*(frame for frame, _ in changes), len(clip)][1:]
    for (frame, weather), end in zip(changes, ends, strict=True):
        # Half a second more than allowed, because the judge has to hold it for as long.
        stop = frame + round((WITHIN + 0.5) * fps)
        if stop > len(clip):
            continue  # the film ends before it need be seen
        stop = min(end, stop)
        seconds = seen_after(judge, clip[frame:stop], weather, fps)
        rows.append({"at": frame / fps, "weather": weather, "seen_after": seconds})
        late += [rows[-1]] if seconds is None or seconds > WITHIN else []
    print(json.dumps({"demo": path.stem, "frames": len(clip), "changes": rows}))
    assert not late, f"{len(rows) - len(late)} of {len(rows)} changes were seen: {late}"
