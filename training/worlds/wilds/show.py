"""Pictures of Wilds to look at: a contact sheet, a film of shots, and plots of how walkers behave.

Everything is drawn at twice the size and averaged, so that edges are smooth. Run it through
`python -m training.worlds.wilds`. Not here: data for training (episodes).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.pictures import write_png
from training.worlds.wilds import biomes, policies, weather
from training.worlds.wilds.spec import FPS, SPEC
from training.worlds.wilds.world import Wilds, WildsConfig

FINER = 2
"""Pictures are rendered this much larger in both directions and averaged."""

MOMENTS: tuple[tuple[str, float, str], ...] = (
    ("dawn", 6.6, "clear"),
    ("noon", 12.0, "clear"),
    ("dusk", 17.5, "clear"),
    ("night", 22.6, "clear"),
    ("fog", 9.0, "fog"),
    ("rain", 14.0, "rain"),
    ("snow", 10.0, "snow"),
    ("storm", 16.0, "storm"),
    ("aurora", 23.4, "aurora"),
)
"""Columns of the contact sheet: name, hour, weather."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One scene of the film."""

    seed: int
    biome: str
    hour: float
    weather: str
    seconds: float
    event: str | None = None
    """Begins when the shot begins."""
    forward: float = 1.0
    turn: float = 0.0
    """Degrees per second to the right."""
    yaw: float = 0.0
    """Degrees to the right of the first look."""
    fire: float = 1.0


SUNRISE, SNOWFALL = "day breaks", "snow starts"
FILM: tuple[Shot, ...] = (
    Shot(seed=109, biome="meadow", hour=5.4, weather="clear", seconds=4, turn=5, event=SUNRISE),
    Shot(seed=104, biome="beach", hour=15.4, weather="clear", seconds=4, turn=-5, event="sun sets"),
    Shot(seed=110, biome="snow mountains", hour=9.0, weather="clear", seconds=4, event=SNOWFALL),
    Shot(seed=105, biome="crystal plain", hour=22.5, weather="aurora", seconds=4, turn=8),
    Shot(seed=105, biome="volcanic land", hour=18.0, weather="clear", seconds=4, turn=-6),
)

VIEWS: dict[str, int] = {
    "meadow": 109,
    "forest": 107,
    "desert": 104,
    "canyon": 106,
    "snow mountains": 110,
    "tundra": 107,
    "swamp": 103,
    "beach": 104,
    "volcanic land": 105,
    "crystal plain": 102,
    "autumn hills": 106,
    "ruined city": 107,
}
"""Seeds of the contact sheet that begin with a view worth showing."""


def averaged(picture: Tensor) -> np.ndarray:
    """uint8 [N, FINER H, FINER W, 3] brought down to [N, H, W, 3]."""
    n, h, w, c = picture.shape
    blocks = picture.reshape(n, h // FINER, FINER, w // FINER, FINER, c).float()
    return (blocks.mean((2, 4)) + 0.5).to(torch.uint8).cpu().numpy()


def sheet(height: int, width: int, seed: int = 0, device: str = "cpu") -> Iterator[np.ndarray]:
    """Rows of the contact sheet, one biome each: uint8 [moments, H, W, 3]; `seed` moves on."""
    count = len(MOMENTS)
    for biome in biomes.NAMES:
        config = WildsConfig(
            biomes=(biome,) * count,
            weathers=tuple(name for _, _, name in MOMENTS),
            hours=tuple(hour for _, hour, _ in MOMENTS),
        )
        wilds = Wilds([VIEWS[biome] + seed] * count, FINER * height, FINER * width, device, config)
        wilds.state = replace(wilds.state, clock=_at_flash(wilds))
        yield averaged(wilds.render())


def _at_flash(wilds: Wilds) -> Tensor:
    """Clocks within the next minute, at which a storm's lightning would be brightest."""
    later = wilds.state.clock[:, None] + torch.arange(0, 60, 0.05, device=wilds.device)
    seeds = wilds.seeds[:, None].expand_as(later)
    bright = weather.flash(seeds, later, torch.ones_like(later, dtype=torch.float32))
    return torch.gather(later, 1, bright.argmax(1, keepdim=True))[:, 0]


def film(shots: tuple[Shot, ...], height: int, width: int, device: str) -> Iterator[np.ndarray]:
    """Frames uint8 [H, W, 3] of the shots, one after the other."""
    for shot in shots:
        config = WildsConfig(
            biomes=(shot.biome,), weathers=(shot.weather,), hours=(shot.hour,),
            hours_per_second=0.03,
        )  # fmt: skip
        wilds = Wilds([shot.seed], FINER * height, FINER * width, device, config)
        wilds.set_facts(fire=shot.fire)
        body = wilds.state.body
        yaw = torch.remainder(body.yaw + np.deg2rad(shot.yaw), 2 * torch.pi)
        wilds.state = replace(wilds.state, body=replace(body, yaw=yaw, pitch=body.pitch * 0))
        if shot.event:
            wilds.event([shot.event])
        action = SPEC.build(1, move_forward=shot.forward, look_yaw=shot.turn)
        for _ in range(round(shot.seconds * FPS)):
            wilds.step(action)
            yield averaged(wilds.render())[0]


def write_film(path: Path, frames: Iterator[np.ndarray], quality: int) -> int:
    """An H.264 mp4; returns its size in bytes. Quality: 0 best, 51 worst."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality), "preset": "slow"}
        for i, frame in enumerate(frames):
            if i == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path.stat().st_size


def plots(path: Path, walkers: int, frames: int, seed: int) -> None:
    """One figure: shares of policies, values of every axis, where walks lead."""
    try:
        import matplotlib
    except ImportError as error:
        raise ValueError("plots need matplotlib: pip install 'helios-engine[research]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    actions, names = policies.mix(np.random.default_rng(seed), walkers, frames)
    figure, panels = pyplot.subplots(2, 3, figsize=(13, 7), constrained_layout=True)
    _plot_shares(panels[0, 0], names)
    for panel, name in zip(panels.flat[1:5], SPEC.names[:4], strict=True):
        values = actions[..., SPEC.index(name)].ravel()
        panel.hist(values, bins=61, log=True, color="#3b7a57")
        unit = SPEC.channels[SPEC.index(name)].unit
        panel.set_title(f"{name}{f' ({unit})' if unit else ''}, frames")
    _plot_tracks(panels[1, 2], actions, names)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _plot_shares(panel, names: list[str]) -> None:
    order = list(policies.SHARES)
    panel.barh(order, [100 * names.count(n) / len(names) for n in order], color="#b0692e")
    panel.invert_yaxis()
    panel.set_title("policies, % of clips")


def _plot_tracks(panel, actions: np.ndarray, names: list[str]) -> None:
    """Where walkers of each policy would go on flat open ground."""
    yaw = np.deg2rad(np.cumsum(actions[..., SPEC.index("look_yaw")], 1) / FPS)
    f, s = actions[..., SPEC.index("move_forward")], actions[..., SPEC.index("strafe")]
    pace = 4.2 / FPS * (1 + 0.8 * actions[..., SPEC.index("run")])
    east = np.cumsum(pace * (f * np.sin(yaw) + s * np.cos(yaw)), 1)
    north = np.cumsum(pace * (f * np.cos(yaw) - s * np.sin(yaw)), 1)
    for name in ("wander", "palindrome", "circle", "visit", "axes", "mash"):
        for k, i in enumerate([i for i, n in enumerate(names) if n == name][:6]):
            colour = f"C{list(policies.SHARES).index(name)}"
            label = name if k == 0 else None
            panel.plot(east[i], north[i], color=colour, lw=0.9, label=label)
    panel.set_aspect("equal", "datalim")
    panel.legend(fontsize=7)
    panel.set_title("tracks on open ground, metres")


def write_sheet(path: Path, rows: Iterator[np.ndarray]) -> None:
    """The rows of a contact sheet as one PNG."""
    write_png(path, np.concatenate([np.concatenate(list(row), 1) for row in rows], 0))
